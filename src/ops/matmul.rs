//! Multiplication with packed weights: y = x·Wᵀ (+ bias, + what y holds).

use super::matrix::{decode_f64, has_tail};
use super::{Matrix, check_loop, stride};
use crate::error::Result;
use crate::formats::FormatRef;
use crate::gpu::{
    Access, Binding, Buffer, Class, Gpu, Grid, Op, PlanBuilder, Variant, params, part,
};

params! {
    packed:
    /// Rows of W in the shard.
    rows: u32,
    /// First of them in the whole tensor.
    first_row: u32,
    /// Rows of x and y.
    m: u32,
    /// First row of x.
    x_row: u32,
    /// vec4s from row to row of x.
    x_stride: u32,
    /// Floats from row to row of y.
    y_stride: u32,
    /// Where in a row of y the result begins.
    y_at: u32,
}

/// The operation.
pub static OP: Op = Op {
    name: "matmul",
    parts: &[part!("ops/matmul.wgsl"), part!("lib/dot8.wgsl")],
    formats: &[""],
    reduces: false,
    bindings: &[
        Binding { name: "weights", access: Access::Read },
        Binding { name: "x", access: Access::Read },
        Binding { name: "bias", access: Access::Read },
        Binding { name: "y", access: Access::Write },
    ],
    params: Params::INFO,
};

/// Rows of W that a lane owns.
const ROWS: usize = 4;

/// How the work is laid out over lanes; all values are powers of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// Lanes in a workgroup.
    pub lanes: usize,
    /// Lanes that share rows of W.
    pub split: usize,
    /// Rows of x that a lane owns: 1 to 16.
    pub m: usize,
}

impl Tile {
    /// The default for this many rows of x on this kind of machine. A CPU wants a lane per row and
    /// no barriers; a GPU's GEMV wants its lanes along the rows, so that loads coalesce.
    pub fn choose(class: Class, m: usize) -> Self {
        let tile_m = m.next_power_of_two().min(16);
        match (class, m) {
            (Class::Software, _) => Self { lanes: 8, split: 1, m: tile_m },
            (Class::Gpu, ..=8) => Self { lanes: 64, split: 16, m: tile_m },
            (Class::Gpu, _) => Self { lanes: 64, split: 4, m: tile_m },
        }
    }

    fn rows(&self) -> usize {
        self.lanes / self.split * ROWS
    }
}

/// The grid for `rows` rows of W and `m` rows of x, K being `chunks` chunks.
///
/// # Errors
/// [`Error::Limit`](crate::Error::Limit) for a K so large that an invocation would loop too long.
pub fn workgroups(tile: &Tile, chunks: usize, rows: usize, m: usize) -> Result<Grid> {
    let per_chunk = 1 + 4 * (1 + tile.m);
    let reduce = tile.m * (1 + 4 + tile.split);
    check_loop("matmul", (chunks.div_ceil(tile.split) * per_chunk + reduce) as u64)?;
    Ok([rows.div_ceil(tile.rows()) as u32, m.div_ceil(tile.m) as u32, 1])
}

/// Where the result of a multiplication goes.
#[derive(Debug, Clone, Copy)]
pub struct Output<'a> {
    /// The buffer.
    pub y: &'a Buffer,
    /// Floats from row to row.
    pub stride: usize,
    /// Where in a row the result begins.
    pub at: usize,
    /// Whether it is added to what is there.
    pub accumulate: bool,
}

/// Records y = x·Wᵀ for `m` rows of x from row `x_row` on, rows [`stride`] of K floats apart.
///
/// # Errors
/// As [`workgroups`].
pub fn record(
    plan: &mut PlanBuilder,
    w: &Matrix,
    (x, x_row, m): (&Buffer, usize, usize),
    bias: Option<&Buffer>,
    out: Output<'_>,
) -> Result<()> {
    let tile = Tile::choose(plan.gpu().caps().class, m);
    record_tiled(plan, tile, w, (x, x_row, m), bias, out)
}

/// The same with a tile of one's own choice.
///
/// # Errors
/// As [`workgroups`].
pub fn record_tiled(
    plan: &mut PlanBuilder,
    tile: Tile,
    w: &Matrix,
    (x, x_row, m): (&Buffer, usize, usize),
    bias: Option<&Buffer>,
    out: Output<'_>,
) -> Result<()> {
    for shard in &w.shards {
        let params = Params {
            rows: shard.layout.rows as u32,
            first_row: shard.first_row as u32,
            m: m as u32,
            x_row: x_row as u32,
            x_stride: stride(w.cols) as u32 / 4,
            y_stride: out.stride as u32,
            y_at: out.at as u32,
            ..Params::of(shard)
        };
        let flag = |on: bool| f64::from(u8::from(on));
        let variant = Variant::of(&[
            ("LANES", tile.lanes as f64),
            ("SPLIT", tile.split as f64),
            ("TILE_M", tile.m as f64),
            ("TAIL", flag(has_tail(w.cols))),
            ("ACCUMULATE", flag(out.accumulate)),
            ("BIAS", flag(bias.is_some())),
            ("ROW_TILE", w.tile as f64),
            ("EXACT", 0.0),
        ]);
        let grid = workgroups(&tile, shard.layout.chunks, shard.layout.rows, m)?;
        let buffers = [&shard.buffer, x, bias.unwrap_or(x), out.y];
        plan.dispatch(&OP, variant.packed(w.format), &params, &buffers, grid)?;
    }
    Ok(())
}

/// x·Wᵀ of host slices: x is rows of K floats, `blocks` is N rows of whole blocks of K weights;
/// the result is rows of N floats.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where the slices disagree; what the device says.
pub async fn matmul(
    gpu: &Gpu,
    format: FormatRef,
    blocks: &[u8],
    (n, k): (usize, usize),
    x: &[f32],
) -> Result<Vec<f32>> {
    let m = super::rows_of("matmul", x.len(), k)?;
    if m == 0 {
        return Ok(Vec::new());
    }
    let w = Matrix::upload(gpu, "weights", format, (n, k), blocks).await?;
    let x = Buffer::from_slice(gpu, "x", &super::with_padding(x, k)).await?;
    let y = Buffer::new(gpu, "y", m * n).await?;
    let mut plan = PlanBuilder::new(gpu, "matmul");
    let out = Output { y: &y, stride: n, at: 0, accumulate: false };
    record(&mut plan, &w, (&x, 0, m), None, out)?;
    plan.run().await?;
    y.read(0, m * n).await
}

/// The same in f64 over the decoded weights, with Σ|x·w| beside each result, which bounds the
/// error of any order of summation.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where `blocks` are not N rows of K weights.
pub fn reference(
    format: FormatRef,
    blocks: &[u8],
    (n, k): (usize, usize),
    x: &[f32],
) -> Result<Vec<(f64, f64)>> {
    super::rows_of("matmul", x.len(), k)?;
    let w = decode_f64(format, blocks, (n, k))?;
    let cell = |w: &[f64], x: &[f32]| {
        let products = w.iter().zip(x).map(|(w, x)| w * f64::from(*x));
        (products.clone().sum(), products.map(f64::abs).sum())
    };
    let row = |x| w.chunks_exact(k).map(move |w| cell(w, x));
    Ok(x.chunks_exact(k).flat_map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn no_lane_loops_past_the_drivers_limit() {
        for class in [Class::Software, Class::Gpu] {
            for m in 1..=16 {
                let tile = Tile::choose(class, m);
                assert!(workgroups(&tile, 28_672 / 32, 1, m).is_ok(), "{class:?} {m}");
            }
        }
        let tile = Tile::choose(Class::Software, 16);
        assert!(matches!(workgroups(&tile, 40_000, 1, 16), Err(Error::Limit { .. })));
    }
}
