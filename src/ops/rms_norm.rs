//! Root-mean-square normalisation of rows (arXiv 1910.07467).

use super::{check_loop, stride};
use crate::error::Result;
use crate::gpu::{Access, Binding, Buffer, Grid, Op, PlanBuilder, Variant, params, part};

params! {
    /// Values in a row.
    cols: u32,
    /// Floats from row to row of x.
    x_stride: u32,
    /// Floats from row to row of y.
    y_stride: u32,
    /// First row of x.
    x_row: u32,
    /// Added to the mean square.
    eps: f32,
}

/// The operation.
pub static OP: Op = Op {
    name: "rms_norm",
    parts: &[part!("ops/rms_norm.wgsl")],
    formats: &[],
    reduces: true,
    bindings: &[
        Binding { name: "x", access: Access::Read },
        Binding { name: "weight", access: Access::Read },
        Binding { name: "y", access: Access::Write },
    ],
    params: Params::INFO,
};

const LANES: u32 = 64;

/// A workgroup per row.
pub fn workgroups(rows: usize) -> Grid {
    [rows as u32, 1, 1]
}

/// Refuses rows that a lane may not loop over.
///
/// # Errors
/// [`Error::Limit`](crate::Error::Limit) for more than some 2 million values.
pub fn check_cols(cols: usize) -> Result<()> {
    check_loop("rms_norm", 2 * cols.div_ceil(LANES as usize) as u64 + u64::from(LANES))
}

/// Records y[0..rows] = norm(x[x_row..x_row + rows])·weight for rows of `cols` floats.
///
/// # Errors
/// As [`check_cols`]; what the plan says.
pub fn record(
    plan: &mut PlanBuilder,
    x: (&Buffer, usize),
    weight: &Buffer,
    y: &Buffer,
    (rows, cols): (usize, usize),
    eps: f32,
) -> Result<()> {
    check_cols(cols)?;
    let stride = stride(cols) as u32;
    let (x, x_row) = (x.0, x.1 as u32);
    let params = Params { cols: cols as u32, x_stride: stride, y_stride: stride, x_row, eps };
    let variant = Variant::of(&[("LANES", LANES.into())]);
    plan.dispatch(&OP, variant, &params, &[x, weight, y], workgroups(rows))
}

/// One row in f64.
pub fn reference(x: &[f32], weight: &[f32], eps: f32) -> Vec<f64> {
    let square = |v: &f32| f64::from(*v).powi(2);
    let mean = x.iter().map(square).sum::<f64>() / x.len() as f64;
    let scale = 1.0 / (mean + f64::from(eps)).sqrt();
    x.iter().zip(weight).map(|(x, w)| f64::from(*x) * scale * f64::from(*w)).collect()
}
