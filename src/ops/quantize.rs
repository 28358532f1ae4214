//! Rows of f32 as packed weights: the device's twin of [`formats::encode_row`].
//!
//! The kernel computes in integers, so the bytes are those of the CPU on every device; no rounding
//! of the driver's has a part in them. Formats whose encoder is a search are encoded on the CPU.

use super::{Matrix, Placement, check_loop, fold, stride};
use crate::error::{Error, Result};
use crate::formats::{self, CHUNK, FormatRef, RowScale};
use crate::gpu::{
    Access, Bind, Binding, Buffer, Gpu, Grid, Op, Part, PlanBuilder, Variant, link, params, part,
};

params! {
    packed:
    /// Weights in a row.
    cols: u32,
    /// Floats from row to row of x.
    stride: u32,
    /// Rows to write: those of the shard.
    rows: u32,
    /// The first of them in x.
    x_row: u32,
}

/// What writes chunks, shared with kv_append.
pub(super) const ENCODE: Part = part!("lib/encode.wgsl");

/// The operation.
pub static OP: Op = Op {
    name: "quantize",
    parts: &[part!("ops/quantize.wgsl"), ENCODE],
    formats: &[""],
    reduces: false,
    bindings: &[
        Binding { name: "x", access: Access::Read },
        Binding { name: "weights", access: Access::Write },
    ],
    params: Params::INFO,
};

pub(super) const LANES: u32 = 64;

/// Whether a format can be encoded on the device: its WGSL part has an `encode32`, and a row needs
/// to know of no other.
pub fn can_encode(format: FormatRef) -> bool {
    let encodes = |part: &Part| link::declared(part.text).any(|name| name == "encode32");
    let row_alone = !matches!(format.row_scale(), RowScale::PerTensor(_));
    row_alone && format.shader().iter().any(encodes)
}

/// Chunks that a lane encodes: as many as share a word of any of the planes, or a block.
pub fn group(format: FormatRef) -> usize {
    let planes = format.planes().iter().map(|p| p.chunks);
    planes.chain([scope(format)]).max().unwrap_or(1)
}

/// Chunks in a block.
fn scope(format: FormatRef) -> usize {
    format.block_len().div_ceil(CHUNK)
}

/// A lane per `group` chunks, folded into two dimensions. A lane loops a few hundred times per
/// chunk, whatever the shape.
pub fn workgroups(params: &Params, group: usize) -> Grid {
    let lanes = params.rows as usize * (params.chunks as usize).div_ceil(group);
    fold(lanes.div_ceil(LANES as usize))
}

/// A lane per row, for the rows' scales.
///
/// # Errors
/// [`Error::Limit`] where rows are so long that a lane would loop longer than drivers allow.
pub fn scale_workgroups(params: &Params) -> Result<Grid> {
    check_loop("quantize", params.cols.into())?;
    Ok(fold((params.rows as usize).div_ceil(LANES as usize)))
}

/// Records W = x, encoded in W's format; rows of x are [`stride`] of K floats apart.
///
/// # Errors
/// [`Error::InvalidOption`] for a format that is encoded on the CPU only (see [`can_encode`]);
/// [`Error::Limit`] as [`scale_workgroups`]; what the plan says.
pub fn record(plan: &mut PlanBuilder, x: &Buffer, w: &Matrix) -> Result<()> {
    if !can_encode(w.format) {
        let allowed = "one that the device encodes; others are encoded on the CPU";
        let value = w.format.name().into();
        return Err(Error::InvalidOption { name: "format", value, allowed });
    }
    for shard in &w.shards {
        let params = Params {
            cols: w.cols as u32,
            stride: stride(w.cols) as u32,
            rows: shard.layout.rows as u32,
            x_row: shard.first_row as u32,
            ..Params::of(shard)
        };
        let buffers: [&dyn Bind; 2] = [x, shard.words.buffer()?];
        let variant = variant(w);
        if let RowScale::PerRow(max) = w.format.row_scale() {
            let scales = variant.clone().and(&[("SCALES", 1.0), ("ROW_MAX", max.into())]);
            plan.dispatch(&OP, scales, &params, &buffers, scale_workgroups(&params)?)?;
        }
        let grid = workgroups(&params, group(w.format));
        plan.dispatch(&OP, variant, &params, &buffers, grid)?;
    }
    Ok(())
}

fn variant(w: &Matrix) -> Variant {
    encoder(w.format).and(&[("ROW_TILE", w.tile as f64)]).packed(w.format)
}

/// The constants that describe a plane: words in a slot, chunks that share it.
const SHAPES: [[&str; 2]; 3] = [["WORDS0", "SHARE0"], ["WORDS1", "SHARE1"], ["WORDS2", "SHARE2"]];

/// The constants of `lib/encode.wgsl` for a format, and the workgroup's size.
pub(super) fn encoder(format: FormatRef) -> Variant {
    let planes = format.planes();
    let variant = Variant::of(&[
        ("LANES", LANES.into()),
        ("GROUP", group(format) as f64),
        ("SCOPE", scope(format) as f64),
        ("PLANES", planes.len() as f64),
    ]);
    let shapes = SHAPES.into_iter().zip(planes);
    shapes.fold(variant, |variant, ([words, share], plane)| {
        variant.and(&[(words, plane.words as f64), (share, plane.chunks as f64)])
    })
}

/// Encodes a host slice of rows of `cols` weights on the device: whole blocks back to back, as a
/// file has them. A format that the device does not encode (see [`can_encode`]) is encoded on the
/// CPU.
///
/// # Errors
/// [`Error::Shape`] where x is no whole number of rows, or `cols` no multiple of the block;
/// otherwise as [`record`], and what the device says.
pub async fn quantize(gpu: &Gpu, format: FormatRef, x: &[f32], cols: usize) -> Result<Vec<u8>> {
    quantize_placed(gpu, format, x, cols, Placement::of(gpu)).await
}

/// The same with a placement of one's own choice; no more rows of x are on the device at once than
/// fit a shard, so that x may be of any size.
///
/// # Errors
/// As [`quantize`], and [`Error::Limit`] where not even one row fits.
pub async fn quantize_placed(
    gpu: &Gpu,
    format: FormatRef,
    x: &[f32],
    cols: usize,
    placement: Placement,
) -> Result<Vec<u8>> {
    check(format, x.len(), cols)?;
    if !can_encode(format) {
        return reference(format, x, cols);
    }
    let fit = placement.shard_bytes / (stride(cols) as u64 * 4);
    let mut bytes = Vec::new();
    for x in x.chunks(fit.max(1) as usize * cols) {
        let rows = Buffer::from_slice(gpu, "x", &super::with_padding(x, cols)).await?;
        let w = Matrix::zeros(gpu, "blocks", format, (x.len() / cols, cols), placement).await?;
        let mut plan = PlanBuilder::new(gpu, "quantize");
        record(&mut plan, &rows, &w)?;
        plan.run().await?;
        bytes.extend(w.download().await?);
    }
    Ok(bytes)
}

/// Bytes of a row.
fn check(format: FormatRef, len: usize, cols: usize) -> Result<usize> {
    super::rows_of("quantize", len, cols)?;
    formats::row_bytes(format, cols).ok_or_else(|| {
        let expected =
            format!("rows of a multiple of {} for {}", format.block_len(), format.name());
        Error::Shape { op: "quantize", expected, got: cols.to_string() }
    })
}

/// The same on the CPU.
///
/// # Errors
/// [`Error::Shape`] as [`quantize`].
pub fn reference(format: FormatRef, x: &[f32], cols: usize) -> Result<Vec<u8>> {
    let row_bytes = check(format, x.len(), cols)?;
    let mut bytes = vec![0; x.len() / cols * row_bytes];
    formats::encode_rows(format, cols, x, &mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_dimension_holds_more_workgroups_than_webgpu_allows() {
        // A lane for the two chunks of a row: just more than fit one dimension.
        let params = Params { chunks: 2, rows: 64 * 65_535 + 1, ..Params::default() };
        assert_eq!(workgroups(&params, 2), [32_768, 2, 1]);
        assert_eq!(workgroups(&Params { rows: 64 * 65_535, ..params }, 2), [65_535, 1, 1]);
        assert_eq!(workgroups(&Params { chunks: 3, rows: 32, ..params }, 2), [1, 1, 1]);
    }
}
