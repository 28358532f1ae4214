//! The index of a row's largest value: greedy sampling on the device.

use super::check_loop;
use crate::error::Result;
use crate::gpu::{Access, Binding, Buffer, Grid, Op, PlanBuilder, Variant, params, part};

params! {
    /// Values in the row.
    cols: u32,
    /// Where in y the index goes.
    to: u32,
}

/// What is written where a value is NaN or infinite.
pub const NOT_FINITE: u32 = u32::MAX;

/// The operation.
pub static OP: Op = Op {
    name: "argmax",
    parts: &[part!("ops/argmax.wgsl")],
    formats: &[],
    reduces: false,
    bindings: &[
        Binding { name: "x", access: Access::Read },
        Binding { name: "y", access: Access::Write },
    ],
    params: Params::INFO,
};

const LANES: u32 = 256;

/// One workgroup for rows of any length that its lanes may loop over.
///
/// # Errors
/// [`Error::Limit`](crate::Error::Limit) for more than some 16 million values.
pub fn workgroups(cols: usize) -> Result<Grid> {
    check_loop("argmax", cols.div_ceil(LANES as usize) as u64 + 8)?;
    Ok([1, 1, 1])
}

/// Records `y[to] = argmax x[0..cols]`.
///
/// # Errors
/// As [`workgroups`].
pub fn record(
    plan: &mut PlanBuilder,
    x: &Buffer,
    cols: usize,
    y: &Buffer,
    to: usize,
) -> Result<()> {
    let params = Params { cols: cols as u32, to: to as u32 };
    let variant = Variant::of(&[("LANES", LANES.into())]);
    plan.dispatch(&OP, variant, &params, &[x, y], workgroups(cols)?)
}

/// The same in plain Rust.
pub fn reference(x: &[f32]) -> u32 {
    if x.iter().any(|v| !v.is_finite()) {
        return NOT_FINITE;
    }
    let better = |best: usize, i: usize| if x[i] > x[best] { i } else { best };
    (0..x.len()).fold(0, better) as u32
}
