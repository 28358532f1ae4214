//! Two-pass softmax on (mantissa, exponent) pairs (arXiv 2001.04438).

use super::{EXTEXP, check_loop, fold};
use crate::error::Result;
use crate::gpu::{Access, Binding, Buffer, Gpu, Grid, Op, PlanBuilder, Variant, params, part};

params! {
    /// Values in a row.
    cols: u32,
    /// Rows.
    rows: u32,
    /// Multiplies every value first.
    scale: f32,
}

/// The operation.
pub static OP: Op = Op {
    name: "softmax",
    parts: &[part!("ops/softmax.wgsl"), EXTEXP],
    packed: false,
    reduces: false,
    bindings: &[
        Binding { name: "x", access: Access::Read },
        Binding { name: "y", access: Access::Write },
    ],
    params: Params::INFO,
};

const LANES: u32 = 256;

/// A workgroup per row, folded into two dimensions.
///
/// # Errors
/// [`Error::Limit`](crate::Error::Limit) for rows of more than some 8 million values.
pub fn workgroups(rows: usize, cols: usize) -> Result<Grid> {
    check_loop("softmax", 2 * cols.div_ceil(LANES as usize) as u64 + 8)?;
    Ok(fold(rows))
}

/// Records y = softmax(scale·x) over rows of `cols` floats, back to back.
///
/// # Errors
/// As [`workgroups`].
pub fn record(
    plan: &mut PlanBuilder,
    x: &Buffer,
    y: &Buffer,
    (rows, cols): (usize, usize),
    scale: f32,
) -> Result<()> {
    let params = Params { cols: cols as u32, rows: rows as u32, scale };
    let variant = Variant::of(&[("LANES", LANES.into())]);
    plan.dispatch(&OP, variant, &params, &[x, y], workgroups(rows, cols)?)
}

/// Softmax of a host slice of rows of `cols` floats.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where x is no whole number of rows; what the device says.
pub async fn softmax(gpu: &Gpu, x: &[f32], cols: usize) -> Result<Vec<f32>> {
    let rows = super::rows_of("softmax", x.len(), cols)?;
    if rows == 0 {
        return Ok(Vec::new());
    }
    let from = Buffer::from_slice(gpu, "x", x).await?;
    let to = Buffer::new(gpu, "y", x.len()).await?;
    let mut plan = PlanBuilder::new(gpu, "softmax");
    record(&mut plan, &from, &to, (rows, cols), 1.0)?;
    plan.run().await?;
    to.read(0, x.len()).await
}

/// One row in f64, with the answers for −inf, +inf and NaN that the module promises.
pub fn reference(x: &[f32], scale: f32) -> Vec<f64> {
    if x.iter().any(|v| v.is_nan() || *v == f32::INFINITY) {
        return vec![f64::NAN; x.len()];
    }
    let scaled = x.iter().map(|v| f64::from(*v) * f64::from(scale));
    let most = scaled.clone().fold(f64::NEG_INFINITY, f64::max);
    if most == f64::NEG_INFINITY {
        return vec![0.0; x.len()];
    }
    let sum: f64 = scaled.clone().map(|v| (v - most).exp()).sum();
    scaled.map(|v| (v - most).exp() / sum).collect()
}
