//! Adds up the parts that the splits of a context left of an attention.

use super::stage::{Place, Y_TEXELS, Y_VEC4S};
use super::{EXTEXP, check_loop, fold};
use crate::error::Result;
use crate::gpu::{Access, Binding, Buffer, Grid, Op, Part, PlanBuilder, Variant, params, part};

params! {
    /// Query heads.
    heads: u32,
    /// vec4s in a head.
    width: u32,
    /// Parts of each query.
    splits: u32,
    /// Rows of queries.
    rows: u32,
    /// vec4s from row to row of y.
    y_stride: u32,
}

/// How a sum becomes a result, shared with attention itself.
pub(super) const FINISH: Part = part!("lib/attention_finish.wgsl");

/// The operation.
pub static OP: Op = Op {
    name: "attention_combine",
    parts: &[part!("ops/attention_combine.wgsl"), FINISH, EXTEXP],
    formats: &[],
    reduces: false,
    bindings: &[
        Binding { name: "parts", access: Access::Read },
        Binding { name: "of_heads", access: Access::Read },
        Binding { name: "y", access: Access::Write },
    ],
    params: Params::INFO,
};

/// The parts that variants of the operation choose, for a test of them all.
pub fn part_lists() -> Vec<Vec<Part>> {
    vec![vec![Y_VEC4S], vec![Y_TEXELS]]
}

const LANES: u32 = 64;

/// A lane per vec4 of y.
///
/// # Errors
/// [`Error::Limit`](crate::Error::Limit) for more splits than a lane may loop over.
pub fn workgroups(params: &Params) -> Result<Grid> {
    check_loop("attention_combine", params.splits.into())?;
    let lanes = params.rows as usize * params.heads as usize * params.width as usize;
    Ok(fold(lanes.div_ceil(LANES as usize)))
}

/// Words that the parts of `params.rows` rows take.
pub fn words(params: &Params) -> usize {
    let parts = params.rows as usize * params.heads as usize * params.splits as usize;
    parts * (params.width as usize + 1) * 4
}

/// Records y = Σ parts / Σ weights; `of_heads` holds a slope and a sink for each head, of which the
/// sinks join the weights where `sinks` says so.
///
/// # Errors
/// As [`workgroups`]; what the plan says.
pub fn record<'a>(
    plan: &mut PlanBuilder,
    parts: &Buffer,
    of_heads: &Buffer,
    y: impl Into<Place<'a>>,
    params: &Params,
    sinks: bool,
) -> Result<()> {
    let (y, sinks) = (y.into(), u8::from(sinks).into());
    let variant = y.written_by(Variant::of(&[("LANES", LANES.into()), ("SINKS", sinks)]));
    plan.dispatch(&OP, variant, params, &[parts, of_heads, &y.bound()], workgroups(params)?)
}

/// One query's result in f64: each part is the weighted values, the sum of weights, and their
/// exponent.
pub fn reference(parts: &[(Vec<f32>, f32, f32)], sink: Option<f32>) -> Vec<f64> {
    let sink = sink.map(f64::from);
    let log2 = std::f64::consts::LOG2_E;
    let tops = parts.iter().map(|p| f64::from(p.2)).chain(sink.map(|s| s * log2));
    let top = tops.fold(f64::NEG_INFINITY, f64::max);
    let scale = |e: f32| (f64::from(e) - top).exp2();
    let weights = parts.iter().map(|(_, sum, e)| f64::from(*sum) * scale(*e));
    let total = weights.sum::<f64>() + sink.map_or(0.0, |s| (s * log2 - top).exp2());
    let width = parts.first().map_or(0, |p| p.0.len());
    let sum = |i: usize| parts.iter().map(|(v, _, e)| f64::from(v[i]) * scale(*e)).sum::<f64>();
    (0..width).map(|i| if total > 0.0 { sum(i) / total } else { 0.0 }).collect()
}
