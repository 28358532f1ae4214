//! Kernels that choose tokens: exact.

use super::{Outcome, Random};
use crate::error::Result;
use crate::gpu::{Buffer, Gpu, PlanBuilder};
use crate::ops::sample::Choice;
use crate::ops::{self, Span};

/// The first of the largest.
pub(super) async fn argmax(gpu: &Gpu, cols: usize) -> Result<Outcome> {
    let mut x = Random::new(cols as u64).normals(cols, 5.0);
    // A tie, in lanes above and below each other.
    (x[cols - 1], x[cols / 3]) = (100.0, 100.0);
    let from = Buffer::from_slice(gpu, "x", &x).await?;
    let y = Buffer::new(gpu, "y", 1).await?;
    let mut plan = PlanBuilder::new(gpu, "argmax");
    ops::argmax::record(&mut plan, &from, (1, cols), &y, 0)?;
    plan.run().await?;
    let got: Vec<u32> = y.read(0, 1).await?;
    Ok(Outcome::exact(&got, &[ops::argmax::reference(&x)], "index"))
}

/// The largest, best first, by bits and places; many are equal.
pub(super) async fn top_k(gpu: &Gpu, cols: usize, k: usize) -> Result<Outcome> {
    let mut x = Random::new(cols as u64).normals(cols, 5.0);
    x.iter_mut().step_by(3).for_each(|v| *v = v.round());
    let from = Buffer::from_slice(gpu, "x", &x).await?;
    let scratch = Buffer::new(gpu, "lists", ops::top_k::scratch_words(cols, k)).await?;
    let y = Buffer::new(gpu, "y", ops::top_k::list_words(k)).await?;
    let mut plan = PlanBuilder::new(gpu, "top_k");
    ops::top_k::record(&mut plan, &from, (cols, k), &scratch, &y)?;
    plan.run().await?;
    let got: Vec<u32> = y.read(0, ops::top_k::list_words(k)).await?;
    let (bits, places) = ops::top_k::reference(&x, k);
    Ok(Outcome::exact(&got, &[bits, places].concat(), "words"))
}

/// A token for each of some places in the context.
pub(super) async fn sample(gpu: &Gpu, width: usize) -> Result<Outcome> {
    const DRAWS: usize = 16;
    let x = Random::new(width as u64).normals(2 * width, 2.0);
    let (bits, places) = ops::top_k::reference(&x, width);
    let choice = Choice::new(5, width - 1, 0.95, 0.01, 1.2);
    let list = Buffer::from_slice(gpu, "candidates", &[&bits[..], &places[..]].concat()).await?;
    let uniform = Buffer::uniform(gpu, "choice", Choice::WORDS).await?;
    uniform.write(0, &[choice]);
    let y = Buffer::new(gpu, "y", DRAWS).await?;
    for at in 0..DRAWS {
        let step = ops::step(gpu, &[Span::alone(at, 1, DRAWS)]).await?;
        let mut plan = PlanBuilder::new(gpu, "sample");
        ops::sample::record(&mut plan, (&step, &uniform), (&list, width), &y, at)?;
        plan.run().await?;
    }
    let got: Vec<u32> = y.read(0, DRAWS).await?;
    let token = |at| ops::sample::reference(&choice, (&bits, &places), at + 1);
    let want: Vec<u32> = (0..DRAWS as u32).map(token).collect();
    Ok(Outcome::exact(&got, &want, "tokens"))
}
