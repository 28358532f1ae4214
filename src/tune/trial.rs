//! Layouts on a model's own matrices: each answer is checked, then all take turns.

use std::time::Duration;

use web_time::Instant;

use super::answer::Answer;
use super::choice::ROUNDS as LEAST_ROUNDS;
use super::{Choice, Class, Tuning, candidates, clearly_faster};
use crate::conformance::Random;
use crate::error::Result;
use crate::gpu::{Buffer, Gpu, Plan, PlanBuilder};
use crate::ops::matmul::{Fused, Output, Tile, record_tiled};
use crate::ops::{Matrix, stride, with_padding};
use crate::platform::CLOCK_TICK;

/// How much is measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// What the whole may take ([`measure`]).
    pub budget: Duration,
    /// Rows of x that are measured: 1 is decoding, others are chunks of prompts.
    pub rows: Vec<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Self { budget: Duration::from_millis(1500), rows: vec![1, 128] }
    }
}

/// What is measured: matrices of one [`Class`] by so many rows of x.
#[derive(Debug, Clone)]
pub struct Target {
    /// Matrices of the same format and shape, which runs take turns with.
    pub matrices: Vec<Matrix>,
    /// Rows of x.
    pub m: usize,
}

impl Target {
    /// The class that its choice holds for; `None` without a matrix.
    pub fn class(&self) -> Option<Class> {
        let w = self.matrices.first()?;
        Some(Class::of(w.format, (w.rows, w.cols), self.m))
    }
}

/// Rounds of which medians are taken.
const ROUNDS: usize = 7;

/// How long a turn should last, so that what surrounds it does not count, nor the clock's ticks.
const TURN: f64 = if 15.0 * CLOCK_TICK > 0.003 { 15.0 * CLOCK_TICK } else { 0.003 };

/// Runs of a turn at the most.
const MOST_RUNS: usize = 256;

/// What is so much slower than the default in the first round is not tried again.
const HOPELESS: f64 = 1.5;

/// Matrices that take turns, so that weights do not stay in a cache, as they do not in decoding.
const MATRICES: usize = 8;

/// Measures targets in their order until the budget is spent; what was not reached has no choice.
/// Nothing is begun that takes longer than there is time, going by what took longest until then, so
/// the budget is passed by one compilation at most. `progress` hears of each target (done, of all).
///
/// # Errors
/// What the device says; a layout that it refuses, or that gives a wrong answer, is left out.
pub async fn measure(
    gpu: &Gpu,
    targets: &[Target],
    budget: Duration,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<Tuning> {
    let mut tuning = Tuning::new(gpu);
    let mut clock = Clock { end: Instant::now() + budget, longest: Duration::ZERO };
    let total = targets.len() as u64;
    for (target, done) in targets.iter().zip(0..) {
        progress(done, total);
        // The default and one other have to be compiled, with time for rounds.
        if clock.left() < 3 * clock.longest || clock.left().is_zero() {
            break;
        }
        tuning.choices.extend(measure_one(gpu, target, &mut clock).await?);
    }
    progress(total, total);
    Ok(tuning)
}

/// What is left of the budget, and how long a layout took to be compiled and checked at most.
struct Clock {
    end: Instant,
    longest: Duration,
}

impl Clock {
    fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    fn hear(&mut self, begun: Instant) {
        self.longest = self.longest.max(begun.elapsed());
    }
}

async fn measure_one(gpu: &Gpu, target: &Target, clock: &mut Clock) -> Result<Option<Choice>> {
    let (Some(w), Some(class)) = (target.matrices.first(), target.class()) else {
        return Ok(None);
    };
    // The rest is for the rounds, and for targets to come.
    let compile_until = clock.left() / 3;
    let shape = (w.rows, w.cols);
    let default = Tile::choose(gpu.caps(), w.format, shape, target.m);
    let bench = Bench::new(gpu, target).await?;
    let begun = Instant::now();
    let Some(mut base) = bench.contestant(default).await? else { return Ok(None) };
    clock.hear(begun);
    let mut others = Vec::new();
    for tile in candidates(gpu.caps(), gpu.limits(), w.format, shape, target.m) {
        let begun = Instant::now();
        if clock.left() < compile_until + clock.longest {
            break;
        }
        others.extend(bench.contestant(tile).await?);
        clock.hear(begun);
    }
    if others.is_empty() {
        return Ok(None);
    }
    for round in 0..ROUNDS {
        let begun = Instant::now();
        base.turn(gpu).await?;
        let goes_on = |other: &Contestant| other.times.len() == round;
        for other in others.iter_mut().filter(|other| goes_on(other)) {
            let hopeless = round == 1 && other.times[0] > HOPELESS * base.times[0];
            if !hopeless {
                other.turn(gpu).await?;
            }
        }
        if clock.left() < begun.elapsed() {
            break;
        }
    }
    let times: Vec<Vec<f64>> = others.iter().map(|other| other.times.clone()).collect();
    let (best, seconds, default_seconds) = clearly_faster(&base.times, &times);
    if base.times.len() < LEAST_ROUNDS {
        return Ok(None);
    }
    let tile = best.and_then(|i| others.get(i)).map(|other| other.tile);
    Ok(Some(Choice { class, tile, seconds, default_seconds }))
}

/// The operands, and what the answer must be.
struct Bench<'a> {
    gpu: &'a Gpu,
    target: &'a Target,
    x: Buffer,
    y: Buffer,
    answer: Answer,
}

/// A layout that is ready to run.
struct Contestant {
    tile: Tile,
    plan: Plan,
    /// Launches of the plan, and runs of the plan in a turn.
    launches: usize,
    runs: usize,
    times: Vec<f64>,
}

impl<'a> Bench<'a> {
    async fn new(gpu: &'a Gpu, target: &'a Target) -> Result<Self> {
        let (w, m) = (&target.matrices[0], target.m);
        let x = Random::new((w.rows + m) as u64).normals(m * w.cols, 1.0);
        let y = Buffer::new(gpu, "y", m * stride(w.rows)).await?;
        let answer = Answer::new(w, &x, m).await?;
        let x = Buffer::from_slice(gpu, "x", &with_padding(&x, w.cols)).await?;
        Ok(Self { gpu, target, x, y, answer })
    }

    /// Compiles a layout and checks its answer; `None` where the device refuses it or the answer is
    /// wrong.
    async fn contestant(&self, tile: Tile) -> Result<Option<Contestant>> {
        match self.try_contestant(tile).await {
            Ok(Some(contestant)) => Ok(Some(contestant)),
            Ok(None) => {
                log::warn!("tune: a wrong answer from {tile:?}, which is left out");
                Ok(None)
            }
            Err(error) => {
                // A device that is gone is no fault of the layout's.
                self.gpu.check()?;
                log::warn!("tune: {tile:?} is left out: {error}");
                Ok(None)
            }
        }
    }

    async fn try_contestant(&self, tile: Tile) -> Result<Option<Contestant>> {
        let (gpu, m) = (self.gpu, self.target.m);
        let w = &self.target.matrices[0];
        self.y.write(0, &vec![f32::NAN; m * stride(w.rows)]);
        self.plan(tile, 1)?.run().await?;
        if !self.answer.accepts(&self.y, tile).await? {
            return Ok(None);
        }
        // A prompt's matrices are read once for many rows of x: there a cache does not matter.
        let launches = if m < 32 { MATRICES.min(self.target.matrices.len()) } else { 1 };
        let plan = self.plan(tile, launches)?.build(&mut |_, _| {}).await?;
        let mut new = Contestant { tile, plan, launches, runs: 1, times: Vec::new() };
        new.fill_a_turn(gpu).await?;
        Ok(Some(new))
    }

    fn plan(&self, tile: Tile, launches: usize) -> Result<PlanBuilder> {
        let mut plan = PlanBuilder::new(self.gpu, "tune");
        for w in self.target.matrices.iter().take(launches) {
            let out = Output { y: &self.y, stride: stride(w.rows), at: 0, accumulate: false };
            let x = (&self.x, 0, self.target.m);
            record_tiled(&mut plan, tile, w, x, Fused::default(), out)?;
        }
        Ok(plan)
    }
}

impl Contestant {
    /// As many runs as last for a turn. How short a single one is, a coarse clock does not say.
    async fn fill_a_turn(&mut self, gpu: &Gpu) -> Result<()> {
        loop {
            let turn = self.seconds(gpu).await? * (self.launches * self.runs) as f64;
            if turn >= TURN || self.runs == MOST_RUNS {
                return Ok(());
            }
            let more = (TURN / turn.max(1e-9)).clamp(1.25, 16.0);
            self.runs = ((self.runs as f64 * more).ceil() as usize).min(MOST_RUNS);
        }
    }

    async fn turn(&mut self, gpu: &Gpu) -> Result<()> {
        let seconds = self.seconds(gpu).await?;
        self.times.push(seconds);
        Ok(())
    }

    /// Seconds of a launch, by the device's clock where it has one that is fine enough.
    async fn seconds(&self, gpu: &Gpu) -> Result<f64> {
        let each = (self.launches * self.runs) as f64;
        if let Some(seconds) = self.plan.time_whole(self.runs).await?.filter(|s| *s > 0.0) {
            return Ok(seconds / each);
        }
        let start = Instant::now();
        let encode = |encoder: &mut _| (0..self.runs).for_each(|_| self.plan.encode(encoder));
        gpu.submit("tune", encode)?.finish().await?;
        Ok(start.elapsed().as_secs_f64() / each)
    }
}
