//! Conversations that are decoded together: each must say what it says alone.

use std::pin::pin;
use std::task::{Context, Waker};

use mantissa::gpu::Gpu;
use mantissa::model::{Batch, Finish, GenerateOptions, SamplerOptions, SessionOptions};
use mantissa::{Error, Result, formats};
use pollster::block_on;

use super::{LONG, MODEL, PROMPT, bytes, expect, generate, goldens, load, options, session};
use crate::support::{Case, Outcome, Random, case};

pub fn kernel_trials() -> Vec<(String, Case)> {
    vec![
        case("a batch says what each says alone", together),
        case("a batch in every golden model, in a cache of few bits", models),
    ]
}

pub fn trials() -> Vec<(String, Case)> {
    vec![
        case("conversations of a batch come and go", staggered),
        case("a conversation of a batch is continued", continued),
        case("a batch ends each where it ends", ends),
        case("batches that cannot be", refused),
        case("a NaN ends its conversation", not_finite),
        case("a step that nobody waits for leaves no trace", dropped),
    ]
}

fn batch(gpu: &Gpu, name: &str, sequences: usize) -> Result<Batch> {
    let options = SessionOptions { context: Some(64), chunk: 7, ..Default::default() };
    block_on(load(gpu, bytes(name))?.batch(&options, sequences))
}

/// Prompts of 1 to 30 tokens.
fn prompts(count: usize) -> Vec<Vec<u32>> {
    let mut random = Random::new(count as u64);
    let mut prompt = |_| (0..1 + random.below(30)).map(|_| random.below(60) as u32).collect();
    (0..count).map(&mut prompt).collect()
}

/// Steps until all have ended; what each got.
fn answers(batch: &mut Batch) -> Result<Vec<Vec<u32>>> {
    let mut all = vec![Vec::new(); batch.sequences()];
    while batch.is_running() {
        for (sequence, id) in block_on(batch.step())? {
            all[sequence].push(id);
        }
    }
    Ok(all)
}

/// Greedy, drawn on the device when alone, and drawn by the host.
fn samplers() -> [SamplerOptions; 3] {
    let drawn = SamplerOptions { temperature: 1.3, seed: 4, ..Default::default() };
    [SamplerOptions::greedy(), drawn.clone(), SamplerOptions { repeat_penalty: 1.2, ..drawn }]
}

fn together(gpu: &Gpu) -> Outcome {
    for count in [1, 2, 5] {
        for sampler in samplers() {
            let of = |i: usize| {
                let sampler = SamplerOptions { seed: i as u64, ..sampler.clone() };
                GenerateOptions { sampler, ..options(12 + i, 2) }
            };
            let mut batch = batch(gpu, MODEL, count)?;
            let mut want = Vec::new();
            for (i, prompt) in prompts(count).iter().enumerate() {
                want.push(generate(&mut session(gpu, MODEL, 64)?, prompt, of(i))?.0);
                block_on(batch.start(i, prompt, of(i)))?;
            }
            expect(&format!("{sampler:?}"), &answers(&mut batch)?, &want)?;
        }
    }
    // One draws, and the others' best tokens are then found by the host.
    let mut batch = batch(gpu, MODEL, 3)?;
    let mut want = Vec::new();
    for (i, sampler) in samplers().into_iter().enumerate() {
        let options = GenerateOptions { sampler, ..options(12, 2) };
        want.push(generate(&mut session(gpu, MODEL, 64)?, &LONG, options.clone())?.0);
        block_on(batch.start(i, &LONG, options))?;
    }
    expect("three samplers", &answers(&mut batch)?, &want)
}

fn models(gpu: &Gpu) -> Outcome {
    for golden in goldens() {
        for format in ["f32", "q8_0"] {
            let kv_cache = formats::by_name(format)?;
            let of_session = SessionOptions { context: Some(50), kv_cache, ..Default::default() };
            let model = load(gpu, bytes(&golden.name))?;
            let mut batch = block_on(model.batch(&of_session, 4))?;
            let mut want = Vec::new();
            for (i, prompt) in prompts(4).iter().enumerate() {
                let mut alone = block_on(model.session(&of_session))?;
                want.push(generate(&mut alone, prompt, options(8, 2))?.0);
                block_on(batch.start(i, prompt, options(8, 2)))?;
            }
            expect(&format!("{} in {format}", golden.name), &answers(&mut batch)?, &want)?;
        }
    }
    Ok(())
}

/// Started one after the other, of different lengths, and a place taken anew.
fn staggered(gpu: &Gpu) -> Outcome {
    let prompts = prompts(5);
    let alone =
        |i: usize| generate(&mut session(gpu, MODEL, 64)?, &prompts[i], options(3 + 4 * i, 2));
    let mut batch = batch(gpu, MODEL, 3)?;
    let mut got = vec![Vec::new(); 5];
    // Which prompt each place has.
    let mut places = [None; 3];
    let mut waiting = 0;
    while waiting < 5 || batch.is_running() {
        let free = (0..3).find(|&at| places[at].is_none() || batch.finish(at).is_some());
        if let (Some(at), true) = (free, waiting < 5) {
            block_on(batch.start(at, &prompts[waiting], options(3 + 4 * waiting, 2)))?;
            places[at] = Some(waiting);
            waiting += 1;
        }
        for (at, id) in block_on(batch.step())? {
            let prompt: usize = places[at].ok_or("a token of nobody")?;
            got[prompt].push(id);
        }
    }
    let want: Result<Vec<_>> = (0..5).map(|i| Ok(alone(i)?.0)).collect();
    expect("answers", &got, &want?)
}

/// What the next prompt begins with is not processed again, and is not another.
fn continued(gpu: &Gpu) -> Outcome {
    let mut batch = batch(gpu, MODEL, 2)?;
    block_on(batch.start(0, &LONG, options(30, 2)))?;
    block_on(batch.start(1, &PROMPT, options(4, 2)))?;
    let first = answers(&mut batch)?;
    let mut prompt = batch.tokens(1).to_vec();
    expect("tokens", &prompt, &[&PROMPT[..], &first[1]].concat())?;
    prompt.extend([9, 8, 7]);
    block_on(batch.start(1, &prompt, options(6, 2)))?;
    let again = answers(&mut batch)?;
    let (want, _) = generate(&mut session(gpu, MODEL, 64)?, &prompt, options(6, 2))?;
    expect("the second answer", &again, &vec![Vec::new(), want])?;
    // Shorter than what is there, and the same: all of it is there but its last token.
    block_on(batch.start(1, &prompt[..5], options(6, 2)))?;
    let (want, _) = generate(&mut session(gpu, MODEL, 64)?, &prompt[..5], options(6, 2))?;
    expect("the third", &answers(&mut batch)?[1], &want)
}

fn ends(gpu: &Gpu) -> Outcome {
    let (whole, _) = generate(&mut session(gpu, MODEL, 64)?, &PROMPT, options(1000, 2))?;
    let stop = whole[4];
    let until = whole.iter().position(|id| *id == stop).ok_or("it is there")?;
    let mut batch = batch(gpu, MODEL, 4)?;
    let stopped = GenerateOptions { stop: vec![stop], ..options(1000, 2) };
    for (i, options) in
        [options(1000, 2), stopped, options(3, 2), options(0, 2)].into_iter().enumerate()
    {
        block_on(batch.start(i, &PROMPT, options))?;
    }
    let got = answers(&mut batch)?;
    let want = [&whole[..], &whole[..until], &whole[..3], &[]].map(<[u32]>::to_vec);
    expect("answers", &got, &want.to_vec())?;
    let finish: Vec<_> = (0..5).map(|i| batch.finish(i)).collect();
    let reasons = [Finish::Context, Finish::Stop, Finish::Length, Finish::Length].map(Some);
    expect("reasons", &finish, &[&reasons[..], &[None]].concat())?;
    // The stop token is part of the conversation, as it is alone.
    expect("the stopped one", &batch.tokens(1).last(), &Some(&stop))?;
    expect("after the end", &block_on(batch.step())?, &Vec::new())
}

fn refused(gpu: &Gpu) -> Outcome {
    let model = load(gpu, bytes(MODEL))?;
    let options_of = |context| SessionOptions { context: Some(context), ..Default::default() };
    for sequences in [0, 65, usize::MAX] {
        match block_on(model.batch(&options_of(64), sequences)) {
            Err(Error::Shape { op: "batch", .. }) => {}
            other => return Err(format!("{sequences} sequences: {other:?}").into()),
        }
    }
    for context in [usize::MAX, usize::MAX / 64, 1 << 40] {
        match block_on(model.batch(&options_of(context), 64)) {
            Err(Error::Limit { .. } | Error::OutOfMemory { .. }) => {}
            other => return Err(format!("{context} positions: {other:?}").into()),
        }
    }
    let mut batch = batch(gpu, MODEL, 2)?;
    let vocabulary = model.config().vocabulary as u32;
    let cold = SamplerOptions { temperature: -1.0, ..Default::default() };
    let log_probs = GenerateOptions { log_probs: Some(2), ..options(4, 2) };
    let sampler = GenerateOptions { sampler: cold, ..options(4, 2) };
    block_on(batch.start(0, &PROMPT, options(4, 2)))?;
    let tries: [(usize, &[u32], GenerateOptions, fn(&Error) -> bool); 6] = [
        (2, &PROMPT, options(4, 2), |e| matches!(e, Error::Shape { .. })),
        (0, &[], options(4, 2), |e| matches!(e, Error::Shape { .. })),
        (0, &[1; 65], options(4, 2), |e| matches!(e, Error::ContextFull { tokens: 65, .. })),
        (0, &[1, vocabulary], options(4, 2), |e| matches!(e, Error::Token { .. })),
        (0, &PROMPT, log_probs, |e| matches!(e, Error::InvalidOption { name: "log_probs", .. })),
        (0, &PROMPT, sampler, |e| matches!(e, Error::InvalidOption { name: "temperature", .. })),
    ];
    for (sequence, prompt, options, is_right) in tries {
        match block_on(batch.start(sequence, prompt, options)) {
            Err(error) if is_right(&error) => {}
            other => return Err(format!("{sequence}, {prompt:?}: {other:?}").into()),
        }
    }
    // The conversation that was there goes on.
    let (want, _) = generate(&mut session(gpu, MODEL, 64)?, &PROMPT, options(4, 2))?;
    expect("the answer", &answers(&mut batch)?[0], &want)
}

fn not_finite(gpu: &Gpu) -> Outcome {
    let model = load(gpu, super::overflowing()?)?;
    for sampler in samplers() {
        let mut batch = block_on(model.batch(&SessionOptions::default(), 2))?;
        let options = GenerateOptions { sampler, ..options(4, 2) };
        block_on(batch.start(1, &PROMPT, options))?;
        match block_on(batch.step()) {
            Err(Error::NotFinite { position: 2 }) => {}
            other => return Err(format!("{other:?}").into()),
        }
        expect("finish", &batch.finish(1), &Some(Finish::Failed))?;
        expect("after it", &block_on(batch.step())?, &Vec::new())?;
    }
    Ok(())
}

/// Each step is begun, left after its first poll, and begun again.
fn dropped(gpu: &Gpu) -> Outcome {
    let (want, _) = generate(&mut session(gpu, MODEL, 64)?, &LONG, options(8, 2))?;
    let mut batch = batch(gpu, MODEL, 2)?;
    block_on(batch.start(1, &LONG, options(8, 2)))?;
    let mut left = 0;
    while batch.is_running() {
        let polled = pin!(batch.step()).poll(&mut Context::from_waker(Waker::noop()));
        left += usize::from(polled.is_pending());
        block_on(batch.step())?;
    }
    let all = [&LONG[..], &want].concat();
    expect("tokens", &batch.tokens(1).to_vec(), &all)?;
    expect("whether any step was left", &(left > 0), &true)
}
