//! Multiplication with int8 activations: y = x·Wᵀ (+ bias, gated activation, + what y holds), x in
//! [`quantize_q8`]'s bytes, W in a format of small integers.
//!
//! Dot products within a chunk are exact, and each f32 operation between chunks is rounded by itself in
//! a fixed order, so that [`twin`] gives the device's bits.

use super::glu::{ACTIVATION, Activation};
use super::matmul::{self, Output, TO_BUFFER, WAY_OUT, Y_BUFFER};
use super::quantize_q8::{self, Chunk, SEPARATE};
use super::{EXTEXP, Matrix, check_loop};
use crate::error::{Error, Result};
use crate::formats::{self, CHUNK, FormatRef, Integers};
use crate::gpu::{
    Access, Bind, Binding, Buffer, Class, Gpu, Grid, Op, PlanBuilder, Variant, link, params, part,
};

params! {
    packed:
    /// Rows of W in the shard.
    rows: u32,
    /// First of them in the whole tensor.
    first_row: u32,
    /// Rows of x and y.
    m: u32,
    /// Floats from row to row of y.
    y_stride: u32,
    /// Where in a row of y the result begins.
    y_at: u32,
    /// 0, which the compiler does not know.
    opaque_zero: u32,
}

/// The operation.
pub static OP: Op = Op {
    name: "matmul_q8",
    parts: &[
        part!("ops/matmul_q8.wgsl"),
        SEPARATE,
        WAY_OUT,
        Y_BUFFER,
        TO_BUFFER,
        ACTIVATION,
        EXTEXP,
    ],
    formats: &[""],
    reduces: false,
    bindings: &[
        Binding { name: "weights", access: Access::Read },
        Binding { name: "q8", access: Access::Read },
        Binding { name: "y", access: Access::Write },
        Binding { name: "bias", access: Access::Read },
    ],
    params: Params::INFO,
};

/// Whether weights in this format can be multiplied with int8 activations: its WGSL part declares
/// `integers`.
pub fn can_multiply(format: FormatRef) -> bool {
    let integers = |part: &crate::gpu::Part| link::declared(part.text).any(|n| n == "integers");
    format.shader().iter().any(integers)
}

/// How the work is laid out over lanes; all values are powers of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// Lanes in a workgroup.
    pub lanes: usize,
    /// Lanes that share rows of W.
    pub split: usize,
    /// Rows of x that a lane owns: 1 to 16.
    pub m: usize,
    /// Rows of W that a lane owns: 4 or 8.
    pub rows: usize,
}

impl Tile {
    /// The default for this many rows of x on this kind of machine, for the reasons that
    /// [`matmul`](super::matmul::Tile::choose) has.
    pub fn choose(class: Class, m: usize) -> Self {
        let tile_m = m.next_power_of_two().min(16);
        // A CPU's loads of x cost more than its dot products, so many rows share them.
        let rows = if class == Class::Software && m >= 8 { 8 } else { 4 };
        let (lanes, split) = match (class, m) {
            (Class::Software, _) => (8, 1),
            (Class::Gpu, ..=8) => (64, 16),
            (Class::Gpu, _) => (64, 4),
        };
        Self { lanes, split, m: tile_m, rows }
    }

    /// Rows of W that a workgroup takes.
    fn group_rows(&self) -> usize {
        self.lanes / self.split * self.rows
    }
}

/// The grid for `rows` rows of W and `m` rows of x, K being `chunks` chunks.
///
/// # Errors
/// [`Error::Limit`] for a K so large that an invocation would loop too long.
pub fn workgroups(tile: &Tile, chunks: usize, rows: usize, m: usize) -> Result<Grid> {
    let reduce = tile.m * (1 + 1 + tile.rows / 4 * (4 + tile.split));
    check_loop("matmul_q8", (chunks.div_ceil(tile.split) * (1 + tile.m) + reduce) as u64)?;
    Ok([rows.div_ceil(tile.group_rows()) as u32, m.div_ceil(tile.m) as u32, 1])
}

/// Records y = x·Wᵀ for `m` rows of x, which are the first of `q8`. On the way out: a value for each
/// row of W is added, and rows 2i and 2i + 1 become act(gate)·up, where these are given.
///
/// # Errors
/// [`Error::InvalidOption`] for a format without integers (see [`can_multiply`]); as [`workgroups`].
pub fn record(
    plan: &mut PlanBuilder,
    w: &Matrix,
    (q8, m): (&Buffer, usize),
    way_out: (Option<&Buffer>, Option<Activation>),
    out: Output<'_>,
) -> Result<()> {
    let tile = Tile::choose(plan.gpu().caps().class, m);
    record_tiled(plan, tile, w, (q8, m), way_out, out)
}

/// The same with a tile of one's own choice.
///
/// # Errors
/// As [`record`].
pub fn record_tiled(
    plan: &mut PlanBuilder,
    tile: Tile,
    w: &Matrix,
    (q8, m): (&Buffer, usize),
    way_out: (Option<&Buffer>, Option<Activation>),
    out: Output<'_>,
) -> Result<()> {
    check_format(w.format)?;
    matmul::check_gates("matmul_q8", w, way_out.1)?;
    let variant = Variant::of(&[
        ("LANES", tile.lanes as f64),
        ("SPLIT", tile.split as f64),
        ("TILE_M", tile.m as f64),
        ("EIGHT", f64::from(u8::from(tile.rows == 8))),
    ]);
    let variant = matmul::way_out(variant, w, way_out, out.accumulate).packed(w.format);
    for shard in &w.shards {
        let params = Params {
            rows: shard.layout.rows as u32,
            first_row: shard.first_row as u32,
            m: m as u32,
            y_stride: out.stride as u32,
            y_at: out.at as u32,
            ..Params::of(shard)
        };
        let grid = workgroups(&tile, shard.layout.chunks, shard.layout.rows, m)?;
        let buffers: [&dyn Bind; 4] = [&shard.words, q8, out.y, way_out.0.unwrap_or(q8)];
        plan.dispatch(&OP, shard.words.read_by(variant.clone()), &params, &buffers, grid)?;
    }
    Ok(())
}

fn check_format(format: FormatRef) -> Result<()> {
    if can_multiply(format) {
        return Ok(());
    }
    let allowed = "one of small integers: q4_0, q4_1, q5_0, q5_1, q8_0, mxfp4, q4_k, q6_k";
    Err(Error::InvalidOption { name: "format", value: format.name().into(), allowed })
}

/// x·Wᵀ of host slices, x rounded to bytes first: x is rows of K floats, `blocks` is N rows of whole
/// blocks of K weights; the result is rows of N floats.
///
/// # Errors
/// [`Error::Shape`] where the slices disagree; as [`record`]; what the device says.
pub async fn matmul_q8(
    gpu: &Gpu,
    format: FormatRef,
    blocks: &[u8],
    (n, k): (usize, usize),
    x: &[f32],
) -> Result<Vec<f32>> {
    check_format(format)?;
    let m = super::rows_of("matmul_q8", x.len(), k)?;
    if m == 0 {
        return Ok(Vec::new());
    }
    let w = Matrix::upload(gpu, "weights", format, (n, k), blocks).await?;
    let x = Buffer::from_slice(gpu, "x", x).await?;
    let q8 = Buffer::new(gpu, "q8", quantize_q8::words(m, k)).await?;
    let y = Buffer::new(gpu, "y", m * n).await?;
    let mut plan = PlanBuilder::new(gpu, "matmul_q8");
    quantize_q8::record(&mut plan, (&x, 0), (m, k), &q8)?;
    let out = Output { y: &y, stride: n, at: 0, accumulate: false };
    record(&mut plan, &w, (&q8, m), (None, None), out)?;
    plan.run().await?;
    y.read(0, m * n).await
}

/// The same on the CPU, bit for bit where the result is finite, for lanes that share rows by `split`.
///
/// # Errors
/// [`Error::Shape`] where the slices disagree; [`Error::InvalidOption`] for a format without integers.
pub fn twin(
    format: FormatRef,
    blocks: &[u8],
    (n, k): (usize, usize),
    x: &[f32],
    split: usize,
) -> Result<Vec<f32>> {
    check_format(format)?;
    super::rows_of("matmul_q8", x.len(), k)?;
    let shape = || {
        let expected = format!("{n} rows of {k} weights in {}", format.name());
        Error::Shape { op: "matmul_q8", expected, got: format!("{} bytes", blocks.len()) }
    };
    let row_bytes = formats::row_bytes(format, k).ok_or_else(shape)?;
    if n.checked_mul(row_bytes) != Some(blocks.len()) {
        return Err(shape());
    }
    let rows = blocks.chunks_exact(row_bytes).map(|row| formats::row_integers(format, row));
    let rows: Vec<_> = rows.collect::<Option<_>>().ok_or_else(shape)?;
    let x = quantize_q8::reference(x);
    let cells = x.chunks_exact(k / CHUNK).flat_map(|x| rows.iter().map(move |w| sum(w, x, split)));
    Ok(cells.collect())
}

fn sum(w: &[Integers], x: &[Chunk], split: usize) -> f32 {
    let part = |part: usize| {
        let mut sum = 0.0f32;
        for (w, x) in w.iter().zip(x).skip(part).step_by(split) {
            sum += w.d * x.d * dot(w, x) as f32;
            if let Some(m) = w.m {
                sum += m * x.scaled_sum();
            }
        }
        sum
    };
    let first = part(0);
    (1..split).fold(first, |sum, i| sum + part(i))
}

/// Σ scale·(code − zero)·q over a chunk: below 2²⁴, and so exact as an f32.
fn dot(w: &Integers, x: &Chunk) -> i32 {
    let product =
        |j: usize| w.scales[j / 16] * (i32::from(w.codes[j]) - w.zero) * i32::from(x.codes[j]);
    (0..CHUNK).map(product).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn formats_without_integers_are_refused() {
        let f16 = formats::by_name("f16").unwrap();
        assert!(matches!(twin(f16, &[], (0, 32), &[], 1), Err(Error::InvalidOption { .. })));
        let q4_0 = formats::by_name("q4_0").unwrap();
        assert!(matches!(twin(q4_0, &[0; 18], (1, 48), &[], 1), Err(Error::Shape { .. })));
    }
}
