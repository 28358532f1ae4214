//! Kernels on rows of f32.

use super::bound::{DIVISION, U, gamma};
use super::{Outcome, Random};
use crate::error::Result;
use crate::gpu::{Buffer, Gpu, PlanBuilder, Texels};
use crate::ops::extexp::EXP_ERROR;
use crate::ops::glu::Activation;
use crate::ops::softmax::{Algorithm, Options, Softmax, softmax_with};
use crate::ops::{self, glu as gating, rms_norm as norming, stage as staging};

/// `docs/SOFTMAX.md`'s bound for the layout that this device takes.
pub(super) async fn softmax(
    gpu: &Gpu,
    (rows, cols): (usize, usize),
    algorithm: Algorithm,
) -> Result<Outcome> {
    let x = Random::new(cols as u64).normals(rows * cols, 5.0);
    let options = Options { algorithm, ..Options::default() };
    let layout = Softmax::new(gpu, (rows, cols), options).await?.layout();
    let (got, _) = softmax_with(gpu, &x, cols, None, options).await?;
    let want = x.chunks_exact(cols).flat_map(|x| {
        let most = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let exact = ops::softmax::reference(x, 1.0);
        let below = x.iter().map(move |v| f64::from(most) - f64::from(*v)).collect::<Vec<_>>();
        exact.into_iter().zip(below).map(move |(y, below)| {
            (y, layout.error_bound(algorithm, cols, below) * y + 2f64.powi(-126))
        })
    });
    Ok(Outcome::near(&got, want))
}

/// The mean's terms are all positive: γ(K + 1) and a division, which the root halves; WGSL's sqrt is
/// 1/inverseSqrt: 2 ulp and a division; another division, and two products.
/// Into a buffer, or as texels on the way to a multiplication.
pub(super) async fn rms_norm(
    gpu: &Gpu,
    (rows, cols): (usize, usize),
    staged: bool,
) -> Result<Outcome> {
    const EPS: f32 = 1e-5;
    let mut random = Random::new(cols as u64);
    let (x, weight) = (random.normals(rows * cols, 1.0), random.normals(cols, 1.0));
    let from = Buffer::from_slice(gpu, "x", &ops::with_padding(&x, cols)).await?;
    let w = Buffer::from_slice(gpu, "weight", &ops::with_padding(&weight, cols)).await?;
    let words = rows * ops::stride(cols);
    let mut plan = PlanBuilder::new(gpu, "rms_norm");
    let padded: Vec<f32> = if staged {
        let y = Texels::zeros(gpu, "y", staging::texels(rows, cols)).await?;
        staging::record(&mut plan, (&from, 0, rows), cols, Some((&w, EPS)), &y)?;
        plan.run().await?;
        y.read(0, words).await?.into_iter().map(f32::from_bits).collect()
    } else {
        let y = Buffer::new(gpu, "y", words).await?;
        norming::record(&mut plan, (&from, 0), &w, &y, (rows, cols), EPS)?;
        plan.run().await?;
        y.read(0, words).await?
    };
    let got = ops::without_padding(&padded, cols);
    let sqrt = 4.0 * U + DIVISION;
    let relative = (gamma(cols + 1) + DIVISION) / 2.0 + sqrt + DIVISION + 2.0 * U;
    let exact = x.chunks_exact(cols).flat_map(|x| norming::reference(x, &weight, EPS));
    Ok(Outcome::near(&got, exact.map(|y| (y, relative * y.abs()))))
}

/// The sigmoid's error is that of its exponential and of its argument, an addition and a division;
/// two products follow. GELU's argument has 8 roundings, and its reference cancels to 2^−53.
pub(super) async fn glu(
    gpu: &Gpu,
    (rows, cols): (usize, usize),
    activation: Activation,
) -> Result<Outcome> {
    let x = Random::new(cols as u64).normals(rows * 2 * cols, 3.0);
    let from = Buffer::from_slice(gpu, "x", &ops::with_padding(&x, 2 * cols)).await?;
    let y = Buffer::new(gpu, "y", rows * ops::stride(cols)).await?;
    let mut plan = PlanBuilder::new(gpu, "glu");
    gating::record(&mut plan, &from, &y, (rows, cols), activation)?;
    plan.run().await?;
    let got = ops::without_padding(&y.read(0, rows * ops::stride(cols)).await?, cols);
    let want = x.chunks_exact(2 * cols).flat_map(|row| {
        let (gates, ups) = row.split_at(cols);
        gates.iter().zip(ups).map(|(&gate, &up)| gated(gate, up, activation))
    });
    Ok(Outcome::near(&got, want))
}

fn gated(gate: f32, up: f32, activation: Activation) -> (f64, f64) {
    let exact = gating::reference(gate, up, activation);
    let (g, size) = (f64::from(gate), (f64::from(gate) * f64::from(up)).abs());
    let (argument, cancelled) = match activation {
        Activation::Silu => (0.0, 0.0),
        Activation::Gelu => {
            let z = 1.595_769_121_605_730_8 * (g + 0.044_715 * g.powi(3));
            (8.0 * U * z.abs(), 2f64.powi(-52))
        }
    };
    let relative = EXP_ERROR * U + argument.min(1.0) + U + DIVISION + 2.0 * U;
    (exact, relative * exact.abs() + cancelled * size + 2f64.powi(-125) * (1.0 + size))
}
