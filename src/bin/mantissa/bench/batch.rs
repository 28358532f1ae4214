//! Sequences that are decoded together: what a step of several costs.

use std::time::Instant;

use anyhow::Result;
use mantissa::model::{Batch, GenerateOptions, SessionOptions};
use mantissa::ops::MAX_SEQUENCES;

use super::clock::{Budget, median};
use super::model::tokens;
use super::report::Batched;
use crate::engine::Engine;

/// Tokens before those that are decoded.
const CONTEXT: usize = 128;

/// What is measured, and how long its rounds took, by the step.
struct Item {
    sequences: usize,
    seconds: Vec<f64>,
    cost: f64,
}

/// Greedy decoding of so many sequences at once, `decoded` steps a round; what does not fit is named
/// in `left_out`.
pub async fn run(
    engine: &Engine,
    (asked, decoded): (&[usize], usize),
    (rounds, budget): (u32, Budget),
    left_out: &mut Vec<String>,
) -> Result<Vec<Batched>> {
    let most = engine.model.config().context;
    let room = CONTEXT + decoded + 1;
    let fits = |n: &usize| (1..=MAX_SEQUENCES).contains(n) && room <= most;
    let (asked, others): (Vec<usize>, Vec<usize>) = asked.iter().partition(|n| fits(n));
    let why = format!("up to {MAX_SEQUENCES}, of {room} tokens each where the model holds {most}");
    left_out.extend(others.iter().map(|n| format!("batch of {n}: {why}")));
    let Some(largest) = asked.iter().copied().max() else { return Ok(Vec::new()) };
    let options = SessionOptions { context: Some(room), ..engine.options.clone() };
    let mut batch = engine.model.batch(&options, largest).await?;
    let new = |&sequences| Item { sequences, seconds: Vec::new(), cost: 0.0 };
    let mut items: Vec<Item> = asked.iter().map(new).collect();
    for item in &mut items {
        // The first round also compiles, and processes the prompts.
        if !budget.holds(0.0) {
            left_out.push(format!("batch of {}: the time", item.sequences));
            continue;
        }
        round(&mut batch, item.sequences, 1).await?;
        item.round(&mut batch, decoded).await?;
    }
    for _ in 1..rounds {
        for item in items.iter_mut().filter(|item| !item.seconds.is_empty()) {
            if budget.holds(item.cost) {
                item.round(&mut batch, decoded).await?;
            }
        }
    }
    Ok(items.into_iter().filter(|item| !item.seconds.is_empty()).map(Item::measured).collect())
}

impl Item {
    async fn round(&mut self, batch: &mut Batch, decoded: usize) -> Result<()> {
        let clock = Instant::now();
        self.seconds.push(round(batch, self.sequences, decoded).await?);
        self.cost = clock.elapsed().as_secs_f64();
        Ok(())
    }

    fn measured(self) -> Batched {
        let seconds = median(self.seconds.iter().copied());
        Batched {
            sequences: self.sequences,
            context: CONTEXT,
            seconds_per_step: seconds,
            tokens_per_second: self.sequences as f64 / seconds,
            rounds: self.seconds.len(),
        }
    }
}

/// Seconds per step of so many sequences, the first step left out.
async fn round(batch: &mut Batch, sequences: usize, decoded: usize) -> Result<f64> {
    // What stays of a prompt from round to round is not processed again.
    let prompt = tokens(batch.vocabulary(), CONTEXT);
    let options = GenerateOptions { max_tokens: decoded + 1, ..Default::default() };
    for sequence in 0..sequences {
        batch.start(sequence, &prompt, options.clone()).await?;
    }
    batch.step().await?;
    let clock = Instant::now();
    for _ in 0..decoded {
        batch.step().await?;
    }
    let seconds = clock.elapsed().as_secs_f64() / decoded as f64;
    // The end is noticed by the step behind it.
    batch.step().await?;
    Ok(seconds)
}
