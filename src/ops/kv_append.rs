//! Appends keys, or values, to the cache, in the cache's format.

use super::kv::Kv;
use super::quantize::{ENCODE, LANES, encoder, group};
use super::{STEP, fold};
use crate::error::{Error, Result};
use crate::formats::{self, FormatRef};
use crate::gpu::{Access, Binding, Buffer, Grid, Op, PlanBuilder, params, part};

params! {
    packed:
    /// Values in a head.
    cols: u32,
    /// Heads.
    heads: u32,
    /// Rows of the cache for each head.
    context: u32,
    /// Floats from row to row of x.
    stride: u32,
    /// Where the heads begin in a row of x.
    at: u32,
}

/// The operation.
pub static OP: Op = Op {
    name: "kv_append",
    parts: &[part!("ops/kv_append.wgsl"), ENCODE, STEP],
    formats: &[""],
    reduces: false,
    bindings: &[
        Binding { name: "step", access: Access::Uniform },
        Binding { name: "x", access: Access::Read },
        Binding { name: "weights", access: Access::Write },
    ],
    params: Params::INFO,
};

/// A lane per `group` chunks of a head; a row of workgroups for each row of x, which are at most
/// 65,535. A lane loops a few hundred times per chunk, whatever the shape.
pub fn workgroups(params: &Params, group: usize, rows: usize) -> Grid {
    let lanes = params.heads as usize * (params.chunks as usize).div_ceil(group);
    let [x, ..] = fold(lanes.div_ceil(LANES as usize));
    [x, rows as u32, 1]
}

/// Records the encoding of `rows` rows of x, whose heads begin at float `at` and which are `stride`
/// floats apart, into the cache, at the positions that `step` names. Positions behind the cache's end
/// are dropped.
///
/// # Errors
/// What the plan says.
pub fn record(
    plan: &mut PlanBuilder,
    step: &Buffer,
    x: &Buffer,
    (at, stride): (usize, usize),
    rows: usize,
    cache: &Kv,
) -> Result<()> {
    let format = cache.matrix.format;
    let variant = encoder(format).and(&[("ROW_TILE", cache.matrix.tile as f64)]).packed(format);
    for shard in &cache.matrix.shards {
        let params = Params {
            cols: cache.shape.head_dim as u32,
            heads: cache.shape.heads as u32,
            context: cache.stride as u32,
            stride: stride as u32,
            at: at as u32,
            ..Params::of(shard)
        };
        let grid = workgroups(&params, group(format), rows);
        plan.dispatch(&OP, variant.clone(), &params, &[step, x, &shard.buffer], grid)?;
    }
    Ok(())
}

/// A head as the cache holds it: padded with zeros to whole blocks, in the format.
///
/// # Errors
/// [`Error::Shape`] where the block is larger than what is asked for.
pub fn reference(format: FormatRef, head: &[f32], cols: usize) -> Result<Vec<u8>> {
    let bytes = formats::row_bytes(format, cols).filter(|_| head.len() <= cols);
    let bytes = bytes.ok_or_else(|| Error::Shape {
        op: "kv_append",
        expected: format!("rows of whole blocks of {}", format.block_len()),
        got: format!("{} values in rows of {cols}", head.len()),
    })?;
    let mut padded = head.to_vec();
    padded.resize(cols, 0.0);
    let mut row = vec![0; bytes];
    formats::encode_rows(format, cols, &padded, &mut row)?;
    Ok(row)
}
