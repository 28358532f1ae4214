//! A plan that is timed: by the device's clock where it has one, else by the host's around many.

use std::time::Instant;

use anyhow::Result;
use mantissa::gpu::{Gpu, Plan, PlanBuilder};

use super::clock::median;

/// How long a round should last, so that what surrounds it does not count.
const ROUND_SECONDS: f64 = 0.02;

/// One thing that takes its turns.
pub struct Timed {
    gpu: Gpu,
    plan: Plan,
    /// How often the plan does what is timed.
    repeats: usize,
    /// Runs of the plan in a round.
    runs: usize,
    seconds: Vec<f64>,
}

impl Timed {
    /// Compiles a plan and runs it once, so that its result can be checked.
    pub async fn new(gpu: &Gpu, plan: PlanBuilder, repeats: usize) -> Result<Self> {
        let plan = plan.build(&mut |_, _| {}).await?;
        plan.submit()?.finish().await?;
        let mut new = Self { gpu: gpu.clone(), plan, repeats, runs: 1, seconds: Vec::new() };
        let once = new.measure().await? * repeats as f64;
        new.runs = (ROUND_SECONDS / once.max(1e-9)).clamp(1.0, 1000.0) as usize;
        Ok(new)
    }

    /// How long a round takes, about.
    pub fn cost(&self) -> f64 {
        let last = self.seconds.last().copied().unwrap_or(ROUND_SECONDS);
        last * (self.repeats * self.runs) as f64
    }

    /// One more round.
    pub async fn round(&mut self) -> Result<()> {
        let seconds = self.measure().await?;
        self.seconds.push(seconds);
        Ok(())
    }

    /// The median of the rounds since the last call.
    pub fn take_median(&mut self) -> f64 {
        median(std::mem::take(&mut self.seconds))
    }

    async fn measure(&self) -> Result<f64> {
        let each = (self.repeats * self.runs) as f64;
        if let Some(seconds) = self.plan.time_whole(self.runs).await?.filter(|s| *s > 0.0) {
            return Ok(seconds / each);
        }
        let start = Instant::now();
        let encode = |encoder: &mut _| (0..self.runs).for_each(|_| self.plan.encode(encoder));
        self.gpu.submit("bench", encode)?.finish().await?;
        Ok(start.elapsed().as_secs_f64() / each)
    }
}
