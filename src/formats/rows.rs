//! Rows and tensors of blocks, with the scale that stands in front of a row where a format has one.

use rayon::prelude::*;

use super::{CHUNK, Format, FormatRef, RowScale, bits};
use crate::error::{Error, Result};

/// Bytes of a row of `k` weights, or `None` where `k` is no multiple of the block (or absurd).
pub fn row_bytes(format: FormatRef, k: usize) -> Option<usize> {
    let blocks = k.is_multiple_of(format.block_len()).then(|| k / format.block_len())?;
    blocks.checked_mul(format.block_bytes())?.checked_add(format.row_scale().bytes())
}

/// Decodes one row of whole blocks.
///
/// # Errors
/// [`Error::Shape`] where `row` is no whole number of blocks, or not that of `out`.
pub fn decode_row(format: FormatRef, row: &[u8], out: &mut [f32]) -> Result<()> {
    check(format, "decode_row", (1, row.len()), (out.len(), out.len()))?;
    decode(format, row, out);
    Ok(())
}

/// Decodes rows of `k` weights, back to back.
///
/// # Errors
/// [`Error::Shape`] where `bytes` are no such rows, or not as many as `out` has room for.
pub fn decode_rows(format: FormatRef, k: usize, bytes: &[u8], out: &mut [f32]) -> Result<()> {
    let rows = out.len() / k.max(1);
    let row = check(format, "decode_rows", (rows, bytes.len()), (k, out.len()))?;
    let rows = bytes.chunks_exact(row.max(1)).zip(out.chunks_exact_mut(k.max(1)));
    rows.for_each(|(row, out)| decode(format, row, out));
    Ok(())
}

/// Encodes one row of whole blocks, which is a tensor of its own.
///
/// # Errors
/// [`Error::Shape`] where `weights` is no whole number of blocks, or not that of `row`.
pub fn encode_row(format: FormatRef, weights: &[f32], row: &mut [u8]) -> Result<()> {
    encode_row_of(format, weights, peak(weights), row)
}

/// Encodes one row of a tensor whose largest magnitude is `tensor_peak` (see [`peak`]).
///
/// # Errors
/// As [`encode_row`].
pub fn encode_row_of(
    format: FormatRef,
    weights: &[f32],
    tensor_peak: f32,
    row: &mut [u8],
) -> Result<()> {
    check(format, "encode_row", (1, row.len()), (weights.len(), weights.len()))?;
    encode(format, weights, tensor_peak, row);
    Ok(())
}

/// Encodes a tensor of rows of `k` weights.
///
/// # Errors
/// [`Error::Shape`] where `weights` are no whole rows of whole blocks, or not as many as `bytes` has
/// room for.
pub fn encode_rows(format: FormatRef, k: usize, weights: &[f32], bytes: &mut [u8]) -> Result<()> {
    let rows = weights.len() / k.max(1);
    let row = check(format, "encode_rows", (rows, bytes.len()), (k, weights.len()))?;
    let tensor_peak = match format.row_scale() {
        RowScale::PerTensor(_) => peak(weights),
        _ => 0.0,
    };
    let rows = weights.chunks_exact(k.max(1)).zip(bytes.chunks_exact_mut(row.max(1)));
    rows.for_each(|(weights, row)| encode(format, weights, tensor_peak, row));
    Ok(())
}

/// The first weight among rows of `k` that is NaN or infinite: its row, its column, and its value. A
/// scale that is one makes its whole block so.
///
/// # Errors
/// [`Error::Shape`] where `bytes` are no whole rows.
pub fn first_not_finite(
    format: FormatRef,
    k: usize,
    bytes: &[u8],
) -> Result<Option<(usize, usize, f32)>> {
    let row_bytes = row_bytes(format, k).unwrap_or(0).max(1);
    let rows = bytes.len() / row_bytes;
    check(format, "first_not_finite", (rows, bytes.len()), (k, rows * k))?;
    let find = |(row, bytes): (usize, &[u8])| {
        let mut weights = vec![0.0; k];
        decode(format, bytes, &mut weights);
        let column = weights.iter().position(|x| !x.is_finite())?;
        Some((row, column, weights[column]))
    };
    Ok(bytes.par_chunks_exact(row_bytes).enumerate().with_min_len(64).find_map_first(find))
}

/// The offset ([`Format::offset`]) of every chunk of rows of `k` weights; the rows are whole.
pub(crate) fn offsets(format: FormatRef, bytes: &[u8], k: usize) -> Vec<f32> {
    let (header, len) = (format.row_scale().bytes(), format.block_len());
    let row_bytes = row_bytes(format, k).unwrap_or(0).max(1);
    let chunk = |(row, c): (&[u8], usize)| {
        let block = &row[header + c * CHUNK / len * format.block_bytes()..];
        format.offset(&block[..format.block_bytes()], c * CHUNK % len / CHUNK)
    };
    let rows = bytes.chunks_exact(row_bytes);
    rows.flat_map(|row| (0..k.div_ceil(CHUNK)).map(move |c| chunk((row, c)))).collect()
}

/// The largest magnitude; NaN where there is a NaN, 0 for none.
pub fn peak(weights: &[f32]) -> f32 {
    f32::from_bits(bits::peak_bits(weights))
}

fn decode(format: FormatRef, row: &[u8], out: &mut [f32]) {
    let (scale, blocks) = row.split_at(format.row_scale().bytes());
    let blocks = blocks.chunks_exact(format.block_bytes());
    for (block, out) in blocks.zip(out.chunks_exact_mut(format.block_len())) {
        format.decode(block, out);
    }
    if let Some(scale) = scale.first_chunk() {
        let scale = f32::from_le_bytes(*scale);
        out.iter_mut().for_each(|x| *x *= scale);
    }
}

fn encode(format: FormatRef, weights: &[f32], tensor_peak: f32, row: &mut [u8]) {
    let (header, blocks) = row.split_at_mut(format.row_scale().bytes());
    let scale = match format.row_scale() {
        RowScale::None => return encode_blocks(format, weights, blocks),
        RowScale::PerRow(max) => peak(weights) / max,
        RowScale::PerTensor(max) => tensor_peak / max,
    };
    let scale = if scale.is_nan() { f32::NAN } else { scale };
    header.copy_from_slice(&scale.to_le_bytes());
    let weights: Vec<f32> = weights.iter().map(|&x| quotient(x, scale)).collect();
    encode_blocks(format, &weights, blocks);
}

/// x / s; 0 where s is 0, and one NaN of all that there are, so that a device can do the same.
fn quotient(x: f32, s: f32) -> f32 {
    let q = if s == 0.0 { 0.0 } else { x / s };
    if q.is_nan() { f32::NAN } else { q }
}

fn encode_blocks(format: &dyn Format, weights: &[f32], blocks: &mut [u8]) {
    let blocks = blocks.chunks_exact_mut(format.block_bytes());
    for (block, weights) in blocks.zip(weights.chunks_exact(format.block_len())) {
        format.encode(weights, block);
    }
}

/// Bytes of a row, once `rows` rows of `k` of `weights` weights are `bytes` bytes.
fn check(
    format: FormatRef,
    op: &'static str,
    (rows, bytes): (usize, usize),
    (k, weights): (usize, usize),
) -> Result<usize> {
    let row = row_bytes(format, k).filter(|_| rows.checked_mul(k) == Some(weights));
    if let Some(row) = row.filter(|row| rows.checked_mul(*row) == Some(bytes)) {
        return Ok(row);
    }
    let mut expected = format!(
        "blocks of {} weights in {} bytes ({})",
        format.block_len(),
        format.block_bytes(),
        format.name()
    );
    if format.row_scale().bytes() > 0 {
        expected += " behind 4 bytes of a row's scale";
    }
    let got = format!("{bytes} bytes, {weights} weights in rows of {k}");
    Err(Error::Shape { op, expected, got })
}
