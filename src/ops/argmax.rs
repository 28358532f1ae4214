//! The index of each row's largest value: greedy sampling on the device.

use super::{check_loop, stride};
use crate::error::Result;
use crate::gpu::{Access, Binding, Buffer, Grid, Op, PlanBuilder, Variant, params, part};

params! {
    /// Values in a row.
    cols: u32,
    /// Values from row to row.
    stride: u32,
    /// Where in y the first row's index goes.
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

/// A workgroup for each row, of any length that its lanes may loop over.
///
/// # Errors
/// [`Error::Limit`](crate::Error::Limit) for more than some 16 million values.
pub fn workgroups((rows, cols): (usize, usize)) -> Result<Grid> {
    check_loop("argmax", cols.div_ceil(LANES as usize) as u64 + 8)?;
    Ok([rows as u32, 1, 1])
}

/// Records `y[to + r] = argmax x[r, 0..cols]`, rows [`stride`] of `cols` apart.
///
/// # Errors
/// As [`workgroups`].
pub fn record(
    plan: &mut PlanBuilder,
    x: &Buffer,
    (rows, cols): (usize, usize),
    y: &Buffer,
    to: usize,
) -> Result<()> {
    let params = Params { cols: cols as u32, stride: stride(cols) as u32, to: to as u32 };
    let variant = Variant::of(&[("LANES", LANES.into())]);
    plan.dispatch(&OP, variant, &params, &[x, y], workgroups((rows, cols))?)
}

/// The same of a row in plain Rust.
pub fn reference(x: &[f32]) -> u32 {
    if x.iter().any(|v| !v.is_finite()) {
        return NOT_FINITE;
    }
    let better = |best: usize, i: usize| if x[i] > x[best] { i } else { best };
    (0..x.len()).fold(0, better) as u32
}
