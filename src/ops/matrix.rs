//! Packed weight matrices on the device.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::formats::{self, CHUNK, FormatRef, Layout};
use crate::gpu::{Buffer, Class, Gpu};

/// A matrix of N rows of K weights in a block format, repacked, in one or more buffers.
#[derive(Debug, Clone)]
pub struct Matrix {
    /// Its number format.
    pub format: FormatRef,
    /// N.
    pub rows: usize,
    /// K.
    pub cols: usize,
    /// Rows that are interleaved with each other.
    pub tile: usize,
    /// The rows, cut where a binding may not be larger.
    pub shards: Vec<Shard>,
}

/// Consecutive rows of a matrix in one buffer.
#[derive(Debug, Clone)]
pub struct Shard {
    /// Where their words lie.
    pub layout: Layout,
    /// First row.
    pub first_row: usize,
    /// The words.
    pub buffer: Buffer,
}

impl Matrix {
    /// Uploads `rows` rows of `cols` weights, given as rows of whole blocks back to back.
    ///
    /// # Errors
    /// [`Error::Shape`] where K is no multiple of the block or the bytes are too few or many;
    /// what the device says.
    pub async fn upload(
        gpu: &Gpu,
        name: &str,
        format: FormatRef,
        (rows, cols): (usize, usize),
        bytes: &[u8],
    ) -> Result<Self> {
        let wrong = |expected: String, got: String| Error::Shape { op: "upload", expected, got };
        let Some(row_bytes) = formats::row_bytes(format, cols).filter(|_| cols > 0) else {
            let block = format.block_len();
            return Err(wrong(format!("{name}: a multiple of {block} columns"), cols.to_string()));
        };
        if rows.checked_mul(row_bytes) != Some(bytes.len()) || rows == 0 {
            let expected = format!("{name}: {rows} rows of {row_bytes} bytes");
            return Err(wrong(expected, format!("{} bytes", bytes.len())));
        }
        let tile = row_tile(gpu);
        let mut shards = Vec::new();
        for range in cut(gpu, format, (rows, cols), tile)? {
            let layout = Layout::new(format, range.len(), cols, tile);
            let words =
                layout.repack(format, &bytes[range.start * row_bytes..range.end * row_bytes]);
            let buffer = Buffer::from_slice(gpu, name, &words).await?;
            shards.push(Shard { layout, first_row: range.start, buffer });
        }
        Ok(Self { format, rows, cols, tile, shards })
    }
}

impl Shard {
    /// `chunks, plane1, plane2` of a kernel's params.
    pub(super) fn planes(&self) -> (u32, u32, u32) {
        let base = |p: usize| self.layout.bases.get(p).copied().unwrap_or(0) as u32;
        (self.layout.chunks as u32, base(1), base(2))
    }
}

/// Rows interleaved for the lanes that walk a row each; GPUs put their lanes along a row instead.
fn row_tile(gpu: &Gpu) -> usize {
    match gpu.caps().class {
        Class::Software => 8,
        Class::Gpu => 1,
    }
}

/// Ranges of rows that fit a binding each.
fn cut(
    gpu: &Gpu,
    format: FormatRef,
    (rows, cols): (usize, usize),
    tile: usize,
) -> Result<Vec<Range<usize>>> {
    let limits = gpu.limits();
    let available = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
    let tile_bytes = Layout::new(format, tile, cols, tile).words as u64 * 4;
    // Planes are padded to 16 bytes, once each.
    let slack = 16 * format.planes().len() as u64;
    let step = (available.saturating_sub(slack) / tile_bytes.max(1)) as usize * tile;
    if step == 0 {
        let what = format!("{tile} rows of {cols} weights in {}", format.name());
        let limit = "max_storage_buffer_binding_size";
        return Err(Error::Limit { what, needed: tile_bytes, limit, available });
    }
    Ok((0..rows).step_by(step).map(|r| r..rows.min(r + step)).collect())
}

/// The f64 values of rows of whole blocks, as every kernel's reference needs them.
pub fn decode_f64(format: FormatRef, bytes: &[u8], cols: usize) -> Vec<f64> {
    let Some(row_bytes) = formats::row_bytes(format, cols) else { return Vec::new() };
    let mut row = vec![0.0; cols];
    let mut all = Vec::with_capacity(bytes.len() / row_bytes.max(1) * cols);
    for bytes in bytes.chunks_exact(row_bytes.max(1)) {
        formats::decode_row(format, bytes, &mut row);
        all.extend(row.iter().copied().map(f64::from));
    }
    all
}

/// Whether the last chunk of rows of this many columns reaches past their vec4s.
pub(super) fn has_tail(cols: usize) -> bool {
    !cols.is_multiple_of(CHUNK)
}
