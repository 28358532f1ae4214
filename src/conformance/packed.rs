//! Kernels on packed weights.

use super::bound::gamma;
use super::{Outcome, Random};
use crate::error::Result;
use crate::formats::{FormatRef, decode_rows};
use crate::gpu::{Buffer, Gpu, PlanBuilder, Texels};
use crate::ops::matmul::{Fused, Input, Output, Share, Squares, Tile, To, record_tiled};
use crate::ops::{Matrix, dequantize as decoding, matmul as multiplying, quantize as encoding};
use crate::ops::{matmul_q8 as multiplying_q8, quantize_q8 as rounding};

/// N rows of K weights in their blocks, and M rows of x.
fn operands(format: FormatRef, (m, n, k): (usize, usize, usize)) -> Result<(Vec<u8>, Vec<f32>)> {
    let mut random = Random::new((n * k + m) as u64);
    let blocks = encoding::reference(format, &random.normals(n * k, 1.0), k)?;
    Ok((blocks, random.normals(m * k, 1.0)))
}

pub(super) async fn matmul(
    gpu: &Gpu,
    format: FormatRef,
    (m, n, k): (usize, usize, usize),
) -> Result<Outcome> {
    matmul_by(gpu, Tile::on(gpu, format, (n, k), m), format, (m, n, k)).await
}

/// x by way of workgroup memory, which few devices would choose by themselves.
pub(super) async fn matmul_fetched(
    gpu: &Gpu,
    format: FormatRef,
    shape: (usize, usize, usize),
) -> Result<Outcome> {
    let share = Share::Workgroup;
    let tile = Tile { lanes: 64, split: 4, rows: 4, m: 8, share, codes: false, staged: false };
    matmul_by(gpu, tile, format, shape).await
}

/// K products and K − 1 additions in any order (Higham, section 3.1), and one more for slack.
async fn matmul_by(
    gpu: &Gpu,
    tile: Tile,
    format: FormatRef,
    (m, n, k): (usize, usize, usize),
) -> Result<Outcome> {
    let (blocks, x) = operands(format, (m, n, k))?;
    let got = multiplying::matmul_tiled(gpu, tile, format, &blocks, (n, k), &x).await?;
    let codes = tile.uses_codes(format);
    let exact = multiplying::reference_by(format, &blocks, (n, k), &x, codes)?;
    let bounds = exact.into_iter().map(|(sum, size)| (sum, gamma(k + 2) * size));
    Ok(Outcome::near(&got, bounds))
}

/// A row through two multiplications, by way of texels: the first leaves what RMSNorm needs, the second
/// finishes it. It is held against what the first left in its buffer, K being the columns between: as above,
/// with a product by the gain; the mean of K squares, and 10 for the root, its divisions and the last product.
pub(super) async fn matmul_normed(
    gpu: &Gpu,
    format: FormatRef,
    (n, between, k): (usize, usize, usize),
) -> Result<Outcome> {
    const EPS: f32 = 0.5;
    let (blocks, x) = operands(format, (1, between, k))?;
    let (next_blocks, gain) = operands(format, (1, n, between))?;
    let tile = |shape| Tile { split: 1, m: 1, ..Tile::on(gpu, format, shape, 1) };
    let (first, second) = (tile((between, k)), tile((n, between)));
    let w = Matrix::upload(gpu, "first", format, (between, k), &blocks).await?;
    let next = Matrix::upload(gpu, "second", format, (n, between), &next_blocks).await?;
    let (from, gain_buffer) =
        (Buffer::from_slice(gpu, "x", &x).await?, Buffer::from_slice(gpu, "gain", &gain).await?);
    let (y, z) = (Buffer::new(gpu, "y", between).await?, Buffer::new(gpu, "z", n).await?);
    let squares = Squares::left_by(&first, &w, EPS);
    let texels = Texels::zeros(gpu, "y, scaled", squares.texels(1, between)).await?;
    let to = |y, stride| Output { y, stride, at: 0, accumulate: false };
    let mut plan = PlanBuilder::new(gpu, "norm between");
    let scaled = To::Scaled(to(&y, between), &gain_buffer, &texels);
    record_tiled(&mut plan, first, &w, (&from, 0, 1), Fused::default(), scaled)?;
    let scaled = Input::Scaled(&texels, 1, squares);
    record_tiled(&mut plan, second, &next, scaled, Fused::default(), to(&z, n))?;
    plan.run().await?;
    let (row, got): (Vec<f32>, Vec<f32>) = (y.read(0, between).await?, z.read(0, n).await?);
    let mean = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / between as f64;
    let scale = 1.0 / (mean + f64::from(EPS)).sqrt();
    let row: Vec<f32> = row.iter().zip(&gain).map(|(v, gain)| v * gain).collect();
    let codes = second.uses_codes(format);
    let exact = multiplying::reference_by(format, &next_blocks, (n, between), &row, codes)?;
    let error = gamma(2 * between + 10);
    Ok(Outcome::near(&got, exact.into_iter().map(|(z, size)| (z * scale, error * size * scale))))
}

/// With int8 activations, the bits are the CPU's.
pub(super) async fn matmul_q8(
    gpu: &Gpu,
    format: FormatRef,
    (m, n, k): (usize, usize, usize),
) -> Result<Outcome> {
    let (blocks, x) = operands(format, (m, n, k))?;
    let got = multiplying_q8::matmul_q8(gpu, format, &blocks, (n, k), &x).await?;
    let tile = multiplying_q8::Tile::choose(gpu.caps().class, m);
    let want = multiplying_q8::twin(format, &blocks, (n, k), &x, tile.split)?;
    Ok(Outcome::exact(&bits(&got), &bits(&want), "sums"))
}

/// Rounding to bytes is exact: the device's words are the CPU's.
pub(super) async fn quantize_q8(gpu: &Gpu, (rows, cols): (usize, usize)) -> Result<Outcome> {
    let x = Random::new(cols as u64).normals(rows * cols, 1.0);
    let got = rounding::quantize_q8(gpu, &x, cols).await?;
    let want: Vec<u32> = rounding::reference(&x).iter().flat_map(rounding::Chunk::words).collect();
    Ok(Outcome::exact(&got, &want, "words"))
}

/// Decoding is exact, bit for bit.
pub(super) async fn dequantize(
    gpu: &Gpu,
    format: FormatRef,
    (rows, cols): (usize, usize),
) -> Result<Outcome> {
    let values = Random::new(cols as u64).normals(rows * cols, 1.0);
    let blocks = encoding::reference(format, &values, cols)?;
    let got = decoding::dequantize(gpu, format, &blocks, (rows, cols)).await?;
    let mut want = vec![0.0; rows * cols];
    decode_rows(format, cols, &blocks, &mut want)?;
    Ok(Outcome::exact(&bits(&got), &bits(&want), "values"))
}

/// Encoding is exact: the device's bytes are the CPU's.
pub(super) async fn quantize(
    gpu: &Gpu,
    format: FormatRef,
    (rows, cols): (usize, usize),
) -> Result<Outcome> {
    let values = Random::new(cols as u64 + 1).normals(rows * cols, 1.0);
    let got = encoding::quantize(gpu, format, &values, cols).await?;
    let want = encoding::reference(format, &values, cols)?;
    Ok(Outcome::exact(&got, &want, "bytes"))
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}
