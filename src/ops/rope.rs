//! Rotary position embedding (RoFormer, arXiv 2104.09864).

use super::STEP;
use crate::error::Result;
use crate::gpu::{Access, Binding, Buffer, Grid, Op, Part, PlanBuilder, Variant, params, part};

params! {
    /// Heads in a row that are rotated, from the row's start.
    heads: u32,
    /// Floats in a head.
    head_dim: u32,
    /// Pairs that are rotated in each head; the rest of it stays.
    pairs: u32,
    /// Floats from row to row.
    stride: u32,
}

/// The rotation itself, shared with kv_append.
pub(super) const ROTATE: Part = part!("lib/rotate.wgsl");

/// The operation.
pub static OP: Op = Op {
    name: "rope",
    parts: &[part!("ops/rope.wgsl"), ROTATE, STEP],
    formats: &[],
    reduces: false,
    bindings: &[
        Binding { name: "step", access: Access::Uniform },
        Binding { name: "table", access: Access::Read },
        Binding { name: "x", access: Access::Write },
    ],
    params: Params::INFO,
};

const LANES: u32 = 64;

/// A lane per pair, a row of workgroups per position.
pub fn workgroups(params: &Params, rows: usize) -> Grid {
    [(params.heads * params.pairs).div_ceil(LANES), rows as u32, 1]
}

/// Records the rotation of `rows` rows of x in place, by the places that `step` names in its first
/// sequence. `neox`
/// pairs i with i + pairs, otherwise 2i with 2i + 1.
///
/// # Errors
/// What the plan says.
pub fn record(
    plan: &mut PlanBuilder,
    step: &Buffer,
    table: &Buffer,
    x: &Buffer,
    rows: usize,
    params: &Params,
    neox: bool,
) -> Result<()> {
    let variant = Variant::of(&[("LANES", LANES.into()), ("NEOX", u8::from(neox).into())]);
    plan.dispatch(&OP, variant, params, &[step, table, x], workgroups(params, rows))
}

/// (cos, sin) of position·frequency for every position and pair, computed in f64.
pub fn table(frequencies: &[f64], positions: usize) -> Vec<[f32; 2]> {
    let turn = |angle: f64| [angle.cos() as f32, angle.sin() as f32];
    (0..positions).flat_map(|p| frequencies.iter().map(move |f| turn(p as f64 * f))).collect()
}

/// One head at one position in f64.
pub fn reference(head: &[f32], frequencies: &[f64], position: usize, neox: bool) -> Vec<f64> {
    let turns = frequencies.iter().map(|frequency| (position as f64 * frequency).sin_cos());
    turned(head, turns.map(|(sin, cos)| [cos, sin]), neox)
}

/// One head in f64, its pairs rotated by angles of these cosines and sines.
pub fn turned(
    head: &[f32],
    turns: impl ExactSizeIterator<Item = [f64; 2]>,
    neox: bool,
) -> Vec<f64> {
    let mut out: Vec<f64> = head.iter().copied().map(f64::from).collect();
    let pairs = turns.len();
    for (i, [cos, sin]) in turns.enumerate() {
        let (a, b) = if neox { (i, i + pairs) } else { (2 * i, 2 * i + 1) };
        let (x, y) = (f64::from(head[a]), f64::from(head[b]));
        (out[a], out[b]) = (x * cos - y * sin, x * sin + y * cos);
    }
    out
}
