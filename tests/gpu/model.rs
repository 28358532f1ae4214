//! Whole models: the golden files against llama-shaped logits in f64, however a prompt is cut and
//! however many steps are in flight; and what goes wrong on the way.

mod batches;
mod decoding;

use std::sync::Arc;

use mantissa::gpu::{Gpu, GpuOptions};
use mantissa::model::{
    Activations, Bytes, Finish, GenerateOptions, Model, SamplerOptions, Session, SessionOptions,
};
use mantissa::{Error, Result};
use pollster::block_on;

use crate::support::{Case, Outcome, case};

/// A file of tests/golden/models, with what its script noted.
struct Golden {
    name: String,
    tokens: Vec<u32>,
    /// [tokens, vocabulary] in f64.
    logits: Vec<f64>,
    /// How far the oracle's own f32 twin strays: the size of f32 rounding in this model. Orders of
    /// summation differ from it by no more than the worst case grows over it; see the derivation
    /// of the same factor in tests/peers/test_shapes.py.
    limit: f64,
}

const FLOAT32_ERRORS: f64 = 32.0;

fn folder() -> std::path::PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "golden", "models"].iter().collect()
}

fn goldens() -> Vec<Golden> {
    let text = std::fs::read_to_string(folder().join("models.json")).unwrap();
    let all: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    let golden = |(name, about): (String, serde_json::Value)| {
        let file = std::fs::File::open(folder().join(format!("{name}.npy"))).unwrap();
        let logits = npyz::NpyFile::new(std::io::BufReader::new(file)).unwrap();
        let ids = about["tokens"].as_array().unwrap().iter();
        Golden {
            tokens: ids.map(|id| id.as_u64().unwrap() as u32).collect(),
            logits: logits.into_vec().unwrap(),
            limit: FLOAT32_ERRORS * about["float32_error"].as_f64().unwrap(),
            name,
        }
    };
    all.into_iter().map(golden).collect()
}

pub fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(format!("{name}.gguf"))).unwrap()
}

pub fn load(gpu: &Gpu, data: Vec<u8>) -> Result<Model> {
    block_on(Model::load(gpu, Arc::new(Bytes::new("golden", data)), &mut |_| {}))
}

fn session(gpu: &Gpu, name: &str, chunk: usize) -> Result<Session> {
    let options = SessionOptions { context: Some(64), chunk, ..Default::default() };
    block_on(load(gpu, bytes(name))?.session(&options))
}

pub const MODEL: &str = "tied_q4_1";

/// What the kernels say. A mask changes them, and nothing else that the trials below are about.
pub fn kernel_trials() -> Vec<(String, Case)> {
    let chunks = [64, 7, 1];
    let logits = chunks.map(|chunk| {
        case(format!("logits in chunks of {chunk}"), move |gpu| logits_are_right(gpu, chunk))
    });
    let others: [(&str, fn(&Gpu) -> Outcome); 4] = [
        ("greedy is the best logit, however many steps are in flight", greedy),
        ("log-probabilities are log-softmax of the logits", log_probabilities),
        ("activations as bytes move the logits, a little", rounded_activations),
        ("a cache in few bits is another model's, nearly", cache_formats),
    ];
    let others = others.map(|(name, work)| case(name, work));
    let together = [decoding::kernel_trials(), batches::kernel_trials()].into_iter().flatten();
    logits.into_iter().chain(others).chain(together).collect()
}

pub fn trials() -> Vec<(String, Case)> {
    let others: [(&str, fn(&Gpu) -> Outcome); 10] = [
        ("an answer can be continued", continued),
        ("a stop token ends it and leaves no trace", stopped),
        ("an answer that is left leaves no trace", left),
        ("a seed decides", seeded),
        ("the context ends it", context_ends),
        ("prompts that cannot be", bad_prompts),
        ("a NaN is no answer", not_finite),
        ("a NaN is no weight", nan_weight),
        ("a lost device is told, and a new one goes on", lost),
        ("a type that is not known is refused", unknown_type),
    ];
    let others = others.map(|(name, work)| case(name, work));
    let more = [decoding::trials(), batches::trials()].into_iter().flatten();
    kernel_trials().into_iter().chain(others).chain(more).collect()
}

pub fn logits_are_right(gpu: &Gpu, chunk: usize) -> Outcome {
    for golden in goldens() {
        let mut session = session(gpu, &golden.name, chunk)?;
        let mut all = Vec::new();
        block_on(session.logits(&golden.tokens, &mut |_, row| all.extend_from_slice(row)))?;
        if all.len() != golden.logits.len() {
            return Err(format!("{}: {} logits", golden.name, all.len()).into());
        }
        let errors = all.iter().zip(&golden.logits).map(|(a, b)| (f64::from(*a) - b).abs());
        let worst = errors.fold(0.0, f64::max);
        if worst.is_nan() || worst > golden.limit {
            return Err(format!("{}: off by {worst:e} > {:e}", golden.name, golden.limit).into());
        }
    }
    Ok(())
}

fn options(max_tokens: usize, in_flight: usize) -> GenerateOptions {
    GenerateOptions { max_tokens, in_flight, ..Default::default() }
}

fn generate(
    session: &mut Session,
    prompt: &[u32],
    options: GenerateOptions,
) -> Result<(Vec<u32>, Option<Finish>)> {
    block_on(async {
        let mut ids = Vec::new();
        let mut generation = session.generate(prompt, options);
        while let Some(id) = generation.next().await? {
            ids.push(id);
        }
        Ok((ids, generation.finish()))
    })
}

/// What greedy decoding must give, from logits that another plan computes.
fn best_by_logits(gpu: &Gpu, prompt: &[u32], count: usize) -> Result<Vec<u32>> {
    let mut session = session(gpu, MODEL, 64)?;
    let (mut ids, mut feed) = (Vec::new(), prompt.to_vec());
    for _ in 0..count {
        let mut best = 0;
        block_on(
            session.logits(&feed, &mut |_, row| best = mantissa::ops::argmax::reference(row)),
        )?;
        ids.push(best);
        feed = vec![best];
    }
    Ok(ids)
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, got: &T, want: &T) -> Outcome {
    if got == want { Ok(()) } else { Err(format!("{what}: {got:?}, expected {want:?}").into()) }
}

const PROMPT: [u32; 3] = [5, 17, 42];
const LONG: [u32; 7] = [5, 17, 42, 1, 2, 3, 4];

fn greedy(gpu: &Gpu) -> Outcome {
    let want = best_by_logits(gpu, &PROMPT, 20)?;
    for in_flight in [1, 2, 5] {
        let mut session = session(gpu, MODEL, 64)?;
        let (ids, finish) = generate(&mut session, &PROMPT, options(20, in_flight))?;
        expect("ids", &ids, &want)?;
        expect("finish", &finish, &Some(Finish::Length))?;
        let all: Vec<u32> = PROMPT.into_iter().chain(ids).collect();
        expect("tokens", &session.tokens().to_vec(), &all)?;
    }
    Ok(())
}

/// Held against f64 of the logits that another plan computes, token by token in both, so that the
/// logits are the same; greedy and sampled, the ids are those that come without.
fn log_probabilities(gpu: &Gpu) -> Outcome {
    let sampler = SamplerOptions { seed: 3, ..Default::default() };
    let by_host = SamplerOptions { top_k: 0, ..sampler.clone() };
    for sampler in [SamplerOptions::greedy(), sampler, by_host] {
        let options = GenerateOptions { sampler, ..options(9, 3) };
        let (want, _) = generate(&mut session(gpu, MODEL, 1)?, &PROMPT, options.clone())?;
        let mut session = session(gpu, MODEL, 1)?;
        let options = GenerateOptions { log_probs: Some(4), ..options };
        let (mut ids, mut said) = (Vec::new(), Vec::new());
        block_on(async {
            let mut generation = session.generate(&PROMPT, options);
            while let Some(id) = generation.next().await? {
                ids.push(id);
                said.extend(generation.log_probs().cloned());
            }
            Ok::<_, mantissa::Error>(())
        })?;
        expect("ids", &ids, &want)?;
        expect("one for each", &said.len(), &ids.len())?;
        let all: Vec<u32> = PROMPT.into_iter().chain(ids.iter().copied()).collect();
        let (mut rows, mut other) = (Vec::new(), self::session(gpu, MODEL, 1)?);
        block_on(other.logits(&all, &mut |_, row| rows.push(log_softmax(row))))?;
        for (i, (id, said)) in ids.iter().zip(&said).enumerate() {
            let row = &rows[PROMPT.len() - 1 + i];
            let mut order: Vec<u32> = (0..row.len() as u32).collect();
            order.sort_by(|a, b| row[*b as usize].total_cmp(&row[*a as usize]));
            expect(
                "best",
                &said.top.iter().map(|t| t.0).collect::<Vec<_>>(),
                &order[..4].to_vec(),
            )?;
            for (id, p) in said.top.iter().copied().chain([(*id, said.chosen)]) {
                let error = (f64::from(p) - row[id as usize]).abs();
                if error.is_nan() || error > 1e-5 {
                    return Err(format!("token {i}, id {id}: off by {error:e}").into());
                }
            }
        }
    }
    Ok(())
}

fn log_softmax(row: &[f32]) -> Vec<f64> {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = row.iter().map(|x| f64::from(x - most).exp()).sum();
    row.iter().map(|x| f64::from(*x) - f64::from(most) - sum.ln()).collect()
}

/// A cache in another format moves the logits, by more the fewer its bits; f16 hardly.
fn cache_formats(gpu: &Gpu) -> Outcome {
    let logits = |name: &str| -> Result<Vec<f32>> {
        let kv_cache = mantissa::formats::by_name(name)?;
        let options = SessionOptions { context: Some(64), kv_cache, ..Default::default() };
        let mut session = block_on(load(gpu, bytes(MODEL))?.session(&options))?;
        let mut last = Vec::new();
        block_on(session.logits(&LONG, &mut |_, row| last = row.to_vec()))?;
        Ok(last)
    };
    let right = logits("f32")?;
    let error = |name: &str| -> Result<f32> {
        let off = logits(name)?.iter().zip(&right).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
        Ok((off / right.iter().map(|x| x * x).sum::<f32>()).sqrt())
    };
    let errors = [error("f16")?, error("q8_0")?, error("bfp:m4:n32")?];
    let rising = errors[0] > 0.0 && errors.windows(2).all(|pair| pair[0] < pair[1]);
    if rising && errors[0] < 1e-3 {
        return Ok(());
    }
    Err(format!("relative errors of f16, q8_0, bfp:m4:n32: {errors:?}").into())
}

/// Rounding a chunk of 32 to steps of its peak over 127 leaves a relative mean square error of
/// (peak²/127²/12) / mean x², at most 32/12/127² = 1.7e-4, where one value is all of the chunk. Roundings
/// are independent, so they add up: before queries, before the output, before gate and up, before down,
/// in each layer, and before the head. The product of gate and up has the errors of both; so each counts
/// twice. Exact logits would mean that nothing was rounded.
fn rounded_activations(gpu: &Gpu) -> Outcome {
    let one = 32.0 / 12.0 / (127.0 * 127.0);
    for golden in goldens() {
        let model = load(gpu, bytes(&golden.name))?;
        let limit = 2.0 * one * (4 * model.config().layers + 1) as f64;
        for chunk in [64, 1] {
            let activations = Activations::Q8;
            let options =
                SessionOptions { context: Some(64), chunk, activations, ..Default::default() };
            let mut all = Vec::new();
            let mut session = block_on(model.session(&options))?;
            block_on(session.logits(&golden.tokens, &mut |_, row| all.extend_from_slice(row)))?;
            expect("logits", &all.len(), &golden.logits.len())?;
            let off = all.iter().zip(&golden.logits).map(|(a, b)| (f64::from(*a) - b).powi(2));
            let nmse = off.sum::<f64>() / golden.logits.iter().map(|b| b * b).sum::<f64>();
            if nmse.is_nan() || nmse > limit || nmse < 1e-7 {
                let name = &golden.name;
                return Err(
                    format!("{name}: a relative error² of {nmse:e}, limit {limit:e}").into()
                );
            }
        }
    }
    Ok(())
}

fn continued(gpu: &Gpu) -> Outcome {
    let (want, _) = generate(&mut session(gpu, MODEL, 64)?, &PROMPT, options(12, 2))?;
    let mut session = session(gpu, MODEL, 2)?;
    let (mut ids, _) = generate(&mut session, &PROMPT, options(5, 4))?;
    ids.extend(generate(&mut session, &[], options(7, 3))?.0);
    expect("ids", &ids, &want)?;
    // A prompt that begins like the conversation costs only what is new in it.
    let again: Vec<u32> = session.tokens()[..6].iter().copied().chain([9, 8]).collect();
    expect("new tokens", &session.keep_prefix(&again).to_vec(), &vec![9, 8])?;
    expect("kept", &session.tokens().len(), &6)?;
    // A prompt can be left in the middle, and taken up again.
    let (want, _) = generate(&mut self::session(gpu, MODEL, 64)?, &LONG, options(4, 2))?;
    let mut session = self::session(gpu, MODEL, 2)?;
    let mut generation = session.generate(&LONG, options(4, 2));
    expect("prepared", &block_on(generation.prepare())?, &false)?;
    drop(generation);
    expect("ids", &generate(&mut session, &[], options(4, 2))?.0, &want)
}

fn stopped(gpu: &Gpu) -> Outcome {
    let (want, _) = generate(&mut session(gpu, MODEL, 64)?, &PROMPT, options(12, 1))?;
    let stop = want[6];
    let before = want.iter().position(|id| *id == stop).unwrap();
    let mut session = session(gpu, MODEL, 64)?;
    let stopping = GenerateOptions { stop: vec![stop], ..options(12, 4) };
    let (ids, finish) = generate(&mut session, &PROMPT, stopping)?;
    expect("ids", &ids, &want[..before].to_vec())?;
    expect("finish", &finish, &Some(Finish::Stop))?;
    // What was computed past the stop token must not show in what comes next.
    session.truncate(PROMPT.len() + before);
    let (rest, _) = generate(&mut session, &[], options(12 - before, 2))?;
    expect("rest", &rest, &want[before..].to_vec())
}

/// Steps that were ahead when an answer was given up are no part of the conversation, whatever comes
/// next.
fn left(gpu: &Gpu) -> Outcome {
    let (all, _) = generate(&mut session(gpu, MODEL, 64)?, &PROMPT, options(3, 1))?;
    let next = [60, 61, 62, 63];
    let tokens: Vec<u32> = PROMPT.into_iter().chain(all).chain(next).collect();
    let mut want = Vec::new();
    block_on(session(gpu, MODEL, 64)?.logits(&tokens, &mut |_, row| want = row.to_vec()))?;
    let mut session = session(gpu, MODEL, 64)?;
    let mut generation = session.generate(&PROMPT, options(40, 8));
    for _ in 0..3 {
        block_on(generation.next())?;
    }
    drop(generation);
    let mut got = (0, Vec::new());
    block_on(session.logits(&next, &mut |at, row| got = (at, row.to_vec())))?;
    expect("last position", &got.0, &(tokens.len() - 1))?;
    let error = got.1.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    // Sums are in another order; both are as near to the exact logits as the golden ones must be.
    let limit =
        goldens().into_iter().find(|golden| golden.name == MODEL).map(|golden| golden.limit);
    let near = limit.is_some_and(|limit| f64::from(error) <= 2.0 * limit);
    expect("near the same logits", &near, &true)
}

fn seeded(gpu: &Gpu) -> Outcome {
    let sample = |seed, top_k| -> Result<Vec<u32>> {
        let sampler = SamplerOptions {
            temperature: 1.5,
            top_k,
            top_p: 1.0,
            min_p: 0.0,
            seed,
            ..Default::default()
        };
        let options = GenerateOptions { sampler, ..options(16, 2) };
        Ok(generate(&mut session(gpu, MODEL, 64)?, &PROMPT, options)?.0)
    };
    expect("same seed", &sample(1, 0)?, &sample(1, 0)?)?;
    if sample(1, 0)? == sample(2, 0)? {
        return Err("16 draws by two seeds are the same".into());
    }
    expect("top 1", &sample(3, 1)?, &best_by_logits(gpu, &PROMPT, 16)?)
}

fn context_ends(gpu: &Gpu) -> Outcome {
    let mut first = None;
    for in_flight in [1, 3, 8, 100] {
        let mut session = session(gpu, MODEL, 64)?;
        let (ids, finish) = generate(&mut session, &PROMPT, options(1000, in_flight))?;
        expect("finish", &finish, &Some(Finish::Context))?;
        // The last token is known, but there is no place to feed it.
        expect("length", &(PROMPT.len() + ids.len()), &65)?;
        expect("ids", &ids, first.get_or_insert(ids.clone()))?;
        session.truncate(60);
        let (again, _) = generate(&mut session, &[], options(1000, 2))?;
        expect("the end again", &again, &ids[57..].to_vec())?;
    }
    Ok(())
}

fn bad_prompts(gpu: &Gpu) -> Outcome {
    let mut session = session(gpu, MODEL, 64)?;
    let vocabulary = session.model().config().vocabulary as u32;
    let long = generate(&mut session, &[1; 65], options(1, 1));
    let outside = generate(&mut session, &[vocabulary], options(1, 1));
    let none = generate(&mut session, &[], options(1, 1));
    match (long, outside, none) {
        (
            Err(Error::ContextFull { tokens: 65, context: 64 }),
            Err(Error::Token { id, .. }),
            Err(Error::Shape { .. }),
        ) if id == vocabulary => expect("tokens", &session.tokens().len(), &0),
        other => Err(format!("{other:?}").into()),
    }
}

/// A model whose logits are infinite.
fn overflowing() -> Result<Vec<u8>> {
    let mut data = bytes(MODEL);
    let gguf = block_on(mantissa::model::gguf::Gguf::read(&Bytes::new("golden", data.clone())))?;
    let norm = gguf.tensor("output_norm.weight").unwrap();
    let weights = &mut data[norm.offset as usize..][..norm.bytes as usize];
    // Finite, so that the model loads; times anything above 1 they are infinite.
    weights.chunks_exact_mut(4).for_each(|w| w.copy_from_slice(&f32::MAX.to_le_bytes()));
    Ok(data)
}

fn not_finite(gpu: &Gpu) -> Outcome {
    let model = load(gpu, overflowing()?)?;
    let drawn = SamplerOptions { temperature: 1.0, ..Default::default() };
    let by_host = SamplerOptions { top_k: 0, ..drawn.clone() };
    let samplers = [drawn, by_host].map(|sampler| GenerateOptions { sampler, ..options(4, 3) });
    let guesses = GenerateOptions { lookup: 4, ..options(4, 3) };
    for options in samplers.into_iter().chain([options(4, 3), guesses]) {
        let mut session = block_on(model.session(&SessionOptions::default()))?;
        match generate(&mut session, &PROMPT, options) {
            Err(Error::NotFinite { position: 2 }) => {}
            other => return Err(format!("{other:?}").into()),
        }
    }
    let mut session = block_on(model.session(&SessionOptions::default()))?;
    match block_on(session.logits(&PROMPT, &mut |_, _| {})) {
        Err(Error::NotFinite { position: 0 }) => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

/// A NaN among the weights is named before anything is computed with it.
fn nan_weight(gpu: &Gpu) -> Outcome {
    let mut data = bytes(MODEL);
    let gguf = block_on(mantissa::model::gguf::Gguf::read(&Bytes::new("golden", data.clone())))?;
    let norm = gguf.tensor("output_norm.weight").unwrap();
    data[norm.offset as usize + 8..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
    match load(gpu, data) {
        Err(Error::WeightNotFinite { tensor, row: 0, column: 2, value }) if value.is_nan() => {
            expect("tensor", &tensor.as_str(), &"output_norm.weight")
        }
        other => Err(format!("{other:?}").into()),
    }
}

/// A device of the trial's own, to be destroyed.
pub fn own_device(gpu: &Gpu) -> Result<Gpu> {
    let adapter = Some(gpu.info().name.clone());
    block_on(Gpu::request(&GpuOptions { adapter, ..Default::default() }))
}

fn lost(gpu: &Gpu) -> Outcome {
    let (want, _) = generate(&mut session(&own_device(gpu)?, MODEL, 64)?, &PROMPT, options(12, 2))?;
    let first = own_device(gpu)?;
    let mut session = session(&first, MODEL, 64)?;
    let mut generation = session.generate(&PROMPT, options(12, 3));
    let mut ids = Vec::new();
    let told = loop {
        match block_on(generation.next()) {
            Ok(Some(id)) => ids.push(id),
            other => break other,
        }
        if ids.len() == 4 {
            first.device().destroy();
        }
    };
    if !matches!(told, Err(Error::DeviceLost { .. })) {
        return Err(format!("after {} tokens: {told:?}", ids.len()).into());
    }
    drop(generation);
    block_on(session.rebuild(&own_device(gpu)?, &mut |_| {}))?;
    let left = 12 - ids.len();
    ids.extend(generate(&mut session, &[], options(left, 2))?.0);
    expect("ids", &ids, &want)
}

fn unknown_type(gpu: &Gpu) -> Outcome {
    use mantissa::model::gguf::{Value, Writer};
    let mut writer = Writer::new("small");
    writer.set("general.architecture", Value::String("llama".into()))?;
    // Q8_K, which ggml never stores: 292 bytes for 256 weights.
    writer.tensor("token_embd.weight", &[256, 1], 15)?;
    let data = writer.write(Vec::new(), &[&[0; 292]])?;
    let before = gpu.allocated_bytes();
    match load(gpu, data) {
        Err(Error::UnsupportedType { tensor, type_name, .. }) => {
            expect("tensor", &tensor.as_str(), &"token_embd.weight")?;
            expect("type", &type_name.as_str(), &"Q8_K")?;
            expect("uploaded", &(gpu.allocated_bytes() <= before), &true)
        }
        other => Err(format!("{other:?}").into()),
    }
}
