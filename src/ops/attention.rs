//! Causal attention with grouped heads over the KV cache.

use super::{EXTEXP, STEP, check_loop};
use crate::error::{Error, Result};
use crate::gpu::{Access, Binding, Buffer, Grid, Op, PlanBuilder, Variant, params, part};

params! {
    /// Floats in a head; a multiple of 4.
    head_dim: u32,
    /// Query heads that share a head of keys and values.
    group: u32,
    /// Floats from row to row of q.
    q_stride: u32,
    /// Floats from position to position in each cache.
    kv_stride: u32,
    /// Floats from row to row of y.
    y_stride: u32,
    /// Multiplies every score.
    scale: f32,
}

/// The operation.
pub static OP: Op = Op {
    name: "attention",
    parts: &[part!("ops/attention.wgsl"), EXTEXP, STEP],
    packed: false,
    reduces: false,
    bindings: &[
        Binding { name: "step", access: Access::Uniform },
        Binding { name: "q", access: Access::Read },
        Binding { name: "k", access: Access::Read },
        Binding { name: "v", access: Access::Read },
        Binding { name: "y", access: Access::Write },
    ],
    params: Params::INFO,
};

const LANES: u32 = 64;

/// A workgroup per query and head.
///
/// # Errors
/// [`Error::Limit`] for a context that an invocation may not loop over, [`Error::Shape`] for a
/// head size that is no multiple of 4 or above 256.
pub fn workgroups(params: &Params, heads: usize, rows: usize, context: usize) -> Result<Grid> {
    let (width, teams) = teams(params);
    if width == 0 || !params.head_dim.is_multiple_of(4) || teams == 0 {
        let expected = "a head size that is a multiple of 4, up to 256".into();
        let got = params.head_dim.to_string();
        return Err(Error::Shape { op: "attention", expected, got });
    }
    let strides = [params.q_stride, params.kv_stride, params.y_stride];
    if strides.iter().any(|stride| !stride.is_multiple_of(4)) {
        let (expected, got) = ("strides of whole vec4s".into(), format!("{strides:?}"));
        return Err(Error::Shape { op: "attention", expected, got });
    }
    let block = u64::from(width + LANES.div_ceil(teams) + 1);
    let blocks = (context as u64).div_ceil(LANES.into());
    check_loop("attention over the context", blocks * block + u64::from(teams))?;
    Ok([heads as u32, rows as u32, 1])
}

/// Lanes of a team, and teams.
fn teams(params: &Params) -> (u32, u32) {
    let width = params.head_dim / 4;
    (width, LANES / width.max(1))
}

/// Records y = attention of `rows` rows of q over a cache that may hold `context` positions; row i
/// sees all up to position + i of `step`.
///
/// # Errors
/// As [`workgroups`].
pub fn record(
    plan: &mut PlanBuilder,
    step: &Buffer,
    q: &Buffer,
    (k, v): (&Buffer, &Buffer),
    y: &Buffer,
    (heads, rows, context): (usize, usize, usize),
    params: &Params,
) -> Result<()> {
    let grid = workgroups(params, heads, rows, context)?;
    let (width, teams) = teams(params);
    let sizes = [("LANES", LANES.into()), ("WIDTH", width.into()), ("TEAMS", teams.into())];
    let variant = Variant::of(&sizes);
    plan.dispatch(&OP, variant, params, &[step, q, k, v, y], grid)
}

/// One query of one head in f64, over `positions` positions of keys and values of `kv_stride`
/// floats each, from `at` on.
pub fn reference(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    (positions, kv_stride, at): (usize, usize, usize),
    scale: f32,
) -> Vec<f64> {
    let row = |x: &[f32], j: usize| -> Vec<f64> {
        let from = j * kv_stride + at;
        x[from..from + q.len()].iter().copied().map(f64::from).collect()
    };
    let dot = |j| -> f64 { row(k, j).iter().zip(q).map(|(k, q)| k * f64::from(*q)).sum() };
    let scores: Vec<f64> = (0..positions).map(|j| dot(j) * f64::from(scale)).collect();
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = scores.iter().map(|s| (s - most).exp()).sum();
    let mut y = vec![0.0; q.len()];
    for (j, score) in scores.iter().enumerate() {
        let weight = (score - most).exp() / total;
        y.iter_mut().zip(row(v, j)).for_each(|(y, v)| *y += weight * v);
    }
    y
}
