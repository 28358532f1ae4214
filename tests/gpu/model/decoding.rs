//! Tokens that the device chooses: drawn, ahead of the host, or guessed and confirmed. Each way must
//! give what the plain one does.

use mantissa::gpu::Gpu;
use mantissa::model::{Finish, GenerateOptions, SamplerOptions, Session};
use mantissa::ops::sample::{self, Choice};
use mantissa::ops::top_k;
use mantissa::{Error, Result};
use pollster::block_on;

use super::{MODEL, PROMPT, expect, generate, options, session};
use crate::support::{Case, Outcome, case};

pub fn kernel_trials() -> Vec<(String, Case)> {
    vec![case("a draw is the reference's, however many are in flight", drawn)]
}

pub fn trials() -> Vec<(String, Case)> {
    vec![
        case("a draw does not depend on where an answer is cut", drawn_in_parts),
        case("guesses change nothing", guessed),
        case("a guess ends where the context ends", guessed_to_the_end),
        case("a stop token within a guess leaves no trace", guessed_stop),
        case("guesses do not count where tokens are drawn", guessed_draws),
    ]
}

fn sampler(top_k: usize) -> SamplerOptions {
    SamplerOptions {
        temperature: 1.3,
        top_k,
        top_p: 0.97,
        min_p: 0.01,
        seed: 11,
        ..Default::default()
    }
}

/// Draws by the host from logits that another plan computes.
fn drawn_by_host(gpu: &Gpu, options: &SamplerOptions, count: usize) -> Result<Vec<u32>> {
    let SamplerOptions { top_k, top_p, min_p, temperature, seed, .. } = *options;
    let choice = Choice::new(seed, top_k, top_p, min_p, temperature);
    let mut session = session(gpu, MODEL, 64)?;
    let (mut ids, mut feed) = (Vec::new(), PROMPT.to_vec());
    for _ in 0..count {
        let mut token = 0;
        block_on(session.logits(&feed, &mut |at, row| {
            let (bits, places) = top_k::reference(row, top_k);
            token = sample::reference(&choice, (&bits, &places), at as u32 + 1);
        }))?;
        ids.push(token);
        feed = vec![token];
    }
    Ok(ids)
}

fn drawn(gpu: &Gpu) -> Outcome {
    for top_k in [1, 40, 64, 65, 256] {
        let want = drawn_by_host(gpu, &sampler(top_k), 20)?;
        for in_flight in [1, 2, 5] {
            let options = GenerateOptions { sampler: sampler(top_k), ..options(20, in_flight) };
            let (ids, _) = generate(&mut session(gpu, MODEL, 64)?, &PROMPT, options)?;
            expect(&format!("top {top_k}, {in_flight} in flight"), &ids, &want)?;
        }
    }
    let other = SamplerOptions { seed: 12, ..sampler(40) };
    let same = drawn_by_host(gpu, &sampler(40), 20)? == drawn_by_host(gpu, &other, 20)?;
    expect("two seeds draw the same", &same, &false)
}

/// As a device that is lost, or a user who goes on, would cut it; drawn by the device, and by the host,
/// from all tokens and with a penalty.
fn drawn_in_parts(gpu: &Gpu) -> Outcome {
    let penalised = SamplerOptions { repeat_penalty: 1.2, ..sampler(40) };
    for sampler in [sampler(40), sampler(0), penalised] {
        in_parts(gpu, &sampler)?;
    }
    Ok(())
}

fn in_parts(gpu: &Gpu, sampler: &SamplerOptions) -> Outcome {
    let options = |n| GenerateOptions { sampler: sampler.clone(), ..options(n, 3) };
    let (want, _) = generate(&mut session(gpu, MODEL, 64)?, &PROMPT, options(20))?;
    let mut session = session(gpu, MODEL, 64)?;
    let mut generation = session.generate(&PROMPT, options(20));
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.extend(block_on(generation.next())?);
    }
    drop(generation);
    // What the greedy steps between leave on the device is not used.
    let kept = session.tokens().len();
    generate(&mut session, &[], super::options(3, 2))?;
    session.truncate(kept);
    ids.extend(generate(&mut session, &[], options(13))?.0);
    expect(&format!("ids by {sampler:?}"), &ids, &want)
}

fn guessing(max_tokens: usize, lookup: usize) -> GenerateOptions {
    GenerateOptions { lookup, ..options(max_tokens, 2) }
}

/// Prompts that repeat themselves, so that guesses are made from the first token on, right and wrong.
const REPEATING: [&[u32]; 3] =
    [&[5, 17, 42, 5, 17, 42, 5, 17], &[9, 9, 9, 9], &[1, 2, 3, 4, 50, 1, 2, 3, 4, 51, 1, 2, 3]];

/// The tokens, and how many were guessed and came.
fn count(
    session: &mut Session,
    prompt: &[u32],
    options: GenerateOptions,
) -> Result<(Vec<u32>, [usize; 2])> {
    block_on(async {
        let mut ids = Vec::new();
        let mut generation = session.generate(prompt, options);
        while let Some(id) = generation.next().await? {
            ids.push(id);
        }
        let stats = generation.stats();
        Ok((ids, [stats.guessed_tokens, stats.confirmed_tokens]))
    })
}

fn guessed(gpu: &Gpu) -> Outcome {
    let mut all = [0, 0];
    for prompt in REPEATING.into_iter().chain([&PROMPT[..]]) {
        let (want, none) = count(&mut session(gpu, MODEL, 64)?, prompt, options(30, 2))?;
        expect("guesses without lookup", &none, &[0, 0])?;
        for (lookup, chunk) in [(1, 64), (3, 64), (8, 4), (100, 64), (usize::MAX, 64)] {
            let mut session = session(gpu, MODEL, chunk)?;
            let (mut ids, [made, came]) = count(&mut session, prompt, guessing(17, lookup))?;
            (all[0], all[1]) = (all[0] + made, all[1] + came);
            // The next turn finds the cache as it should be.
            ids.extend(generate(&mut session, &[], guessing(13, lookup))?.0);
            expect(&format!("{prompt:?}, {lookup} at a time"), &ids, &want)?;
            let tokens: Vec<u32> = prompt.iter().chain(&want).copied().collect();
            expect("tokens", &session.tokens().to_vec(), &tokens)?;
        }
    }
    // Some must have come, and some not, or nothing is tested.
    expect("right and wrong guesses", &(all[1] > 0 && all[1] < all[0]), &true)
}

fn guessed_to_the_end(gpu: &Gpu) -> Outcome {
    for prompt in REPEATING {
        let (want, _) = generate(&mut session(gpu, MODEL, 64)?, prompt, options(1000, 2))?;
        let mut session = session(gpu, MODEL, 64)?;
        let (ids, finish) = generate(&mut session, prompt, guessing(1000, 20))?;
        expect("finish", &finish, &Some(Finish::Context))?;
        expect("ids", &ids, &want)?;
        expect("all are told", &(prompt.len() + ids.len()), &65)?;
    }
    Ok(())
}

fn guessed_stop(gpu: &Gpu) -> Outcome {
    let prompt = REPEATING[0];
    let (want, _) = generate(&mut session(gpu, MODEL, 64)?, prompt, options(30, 1))?;
    for stop in want.iter().copied().collect::<std::collections::BTreeSet<_>>() {
        let before = want.iter().position(|id| *id == stop).unwrap();
        let mut session = session(gpu, MODEL, 64)?;
        let stopping = GenerateOptions { stop: vec![stop], ..guessing(30, 8) };
        let (ids, finish) = generate(&mut session, prompt, stopping)?;
        expect("ids", &ids, &want[..before].to_vec())?;
        expect("finish", &finish, &Some(Finish::Stop))?;
        // The stop token is part of the conversation, as the chat's next turn has it.
        let (rest, _) = generate(&mut session, &[], guessing(29 - before, 8))?;
        expect("rest", &rest, &want[before + 1..].to_vec())?;
    }
    Ok(())
}

fn guessed_draws(gpu: &Gpu) -> Outcome {
    let draws = GenerateOptions { sampler: sampler(40), ..options(12, 2) };
    let (want, _) = generate(&mut session(gpu, MODEL, 64)?, REPEATING[0], draws.clone())?;
    let looking = GenerateOptions { lookup: 8, ..draws };
    let (ids, guesses) = count(&mut session(gpu, MODEL, 64)?, REPEATING[0], looking)?;
    expect("ids", &ids, &want)?;
    expect("guesses", &guesses, &[0, 0])?;
    let bad = SamplerOptions { top_p: 0.0, ..sampler(40) };
    let bad = GenerateOptions { sampler: bad, ..options(1, 1) };
    match generate(&mut session(gpu, MODEL, 64)?, &PROMPT, bad) {
        Err(Error::InvalidOption { name: "top_p", .. }) => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}
