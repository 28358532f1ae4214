//! Appends keys and values to the cache.

use super::STEP;
use crate::error::Result;
use crate::gpu::{Access, Binding, Buffer, Grid, Op, PlanBuilder, Variant, params, part};

params! {
    /// Floats of a position in each cache.
    width: u32,
    /// Floats from row to row of x.
    stride: u32,
    /// Where the keys begin in a row of x.
    k_at: u32,
    /// Where the values begin in a row of x.
    v_at: u32,
}

/// The operation.
pub static OP: Op = Op {
    name: "kv_append",
    parts: &[part!("ops/kv_append.wgsl"), STEP],
    packed: false,
    reduces: false,
    bindings: &[
        Binding { name: "step", access: Access::Uniform },
        Binding { name: "x", access: Access::Read },
        Binding { name: "k", access: Access::Write },
        Binding { name: "v", access: Access::Write },
    ],
    params: Params::INFO,
};

const LANES: u32 = 64;

/// A lane per float, a row of workgroups per position.
pub fn workgroups(params: &Params, rows: usize) -> Grid {
    [params.width.div_ceil(LANES), rows as u32, 1]
}

/// Records the copy of `rows` rows of x into the caches, at the positions that `step` names.
///
/// # Errors
/// What the plan says.
pub fn record(
    plan: &mut PlanBuilder,
    step: &Buffer,
    x: &Buffer,
    (k, v): (&Buffer, &Buffer),
    rows: usize,
    params: &Params,
) -> Result<()> {
    let variant = Variant::of(&[("LANES", LANES.into())]);
    plan.dispatch(&OP, variant, params, &[step, x, k, v], workgroups(params, rows))
}

/// The cache after rows of `stride` floats were appended at `position`: a plain copy of `width`
/// floats from `at` on in each row.
pub fn reference(cache: &mut [f32], x: &[f32], position: usize, params: &Params, at: u32) {
    let (width, stride) = (params.width as usize, params.stride as usize);
    let from = x.chunks_exact(stride).map(|row| &row[at as usize..at as usize + width]);
    for (to, from) in cache[position * width..].chunks_exact_mut(width).zip(from) {
        to.copy_from_slice(from);
    }
}
