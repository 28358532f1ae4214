//! Packed weights as f32: all rows, or the rows that a list of ids names (an embedding).

use super::{Matrix, fold, stride};
use crate::error::Result;
use crate::formats::FormatRef;
use crate::gpu::{
    Access, Bind, Binding, Bound, Buffer, Gpu, Grid, Op, PlanBuilder, Variant, params, part,
};

params! {
    packed:
    /// Weights in a row.
    cols: u32,
    /// Floats from row to row of y.
    stride: u32,
    /// Rows to write.
    rows: u32,
    /// First row of the shard.
    first_row: u32,
    /// Rows in the shard.
    shard_rows: u32,
}

/// The operation.
pub static OP: Op = Op {
    name: "dequantize",
    parts: &[part!("ops/dequantize.wgsl")],
    formats: &[""],
    reduces: false,
    bindings: &[
        Binding { name: "weights", access: Access::Read },
        Binding { name: "ids", access: Access::Read },
        Binding { name: "y", access: Access::Write },
    ],
    params: Params::INFO,
};

const LANES: u32 = 64;

/// A lane per 8 weights, folded into two dimensions.
pub fn workgroups(params: &Params) -> Grid {
    let lanes = params.rows as usize * params.chunks as usize * 4;
    fold(lanes.div_ceil(LANES as usize))
}

/// Records `y[m, :] = W[ids[m], :]` for `rows` ids.
///
/// # Errors
/// What the plan says.
pub fn record_rows(
    plan: &mut PlanBuilder,
    w: &Matrix,
    ids: &Buffer,
    y: &Buffer,
    rows: usize,
) -> Result<()> {
    record_shards(plan, w, Some((ids, rows)), y)
}

/// Records y = W, rows `stride(cols)` floats apart.
///
/// # Errors
/// What the plan says.
pub fn record(plan: &mut PlanBuilder, w: &Matrix, y: &Buffer) -> Result<()> {
    record_shards(plan, w, None, y)
}

fn record_shards(
    plan: &mut PlanBuilder,
    w: &Matrix,
    gather: Option<(&Buffer, usize)>,
    y: &Buffer,
) -> Result<()> {
    for shard in &w.shards {
        let params = Params {
            cols: w.cols as u32,
            stride: stride(w.cols) as u32,
            rows: gather.map_or(shard.layout.rows, |(_, rows)| rows) as u32,
            first_row: shard.first_row as u32,
            shard_rows: shard.layout.rows as u32,
            ..Params::of(shard)
        };
        let variant = Variant::of(&[
            ("LANES", LANES.into()),
            ("GATHER", u8::from(gather.is_some()).into()),
            ("ROW_TILE", w.tile as f64),
        ]);
        let variant = shard.words.read_by(variant.packed(w.format));
        let ids: &dyn Bind = gather.map_or(&Bound::Nothing, |(ids, _)| ids);
        plan.dispatch(&OP, variant, &params, &[&shard.words, ids, y], workgroups(&params))?;
    }
    Ok(())
}

/// Decodes host blocks on the device: `bytes` is rows of whole blocks of `cols` weights.
///
/// # Errors
/// As [`Matrix::upload`].
pub async fn dequantize(
    gpu: &Gpu,
    format: FormatRef,
    bytes: &[u8],
    (rows, cols): (usize, usize),
) -> Result<Vec<f32>> {
    if rows == 0 {
        return Ok(Vec::new());
    }
    let w = Matrix::upload(gpu, "blocks", format, (rows, cols), bytes).await?;
    let y = Buffer::new(gpu, "y", rows * stride(cols)).await?;
    let mut plan = PlanBuilder::new(gpu, "dequantize");
    record(&mut plan, &w, &y)?;
    plan.run().await?;
    let padded = y.read(0, rows * stride(cols)).await?;
    Ok(super::without_padding(&padded, cols))
}
