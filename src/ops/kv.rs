//! One layer's keys, or values, on the device: packed rows that a step appends to.

use super::Matrix;
use super::matrix::Placement;
use super::quantize::can_encode;
use crate::error::{Error, Result};
use crate::formats::{CHUNK, FormatRef, RowScale};
use crate::gpu::{Class, Gpu};

/// How many heads, how wide, for how many positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvShape {
    /// Heads of keys, or values.
    pub heads: usize,
    /// Values in a head; a multiple of 4.
    pub head_dim: usize,
    /// Positions that it can hold.
    pub positions: usize,
}

/// Keys, or values: a matrix with a row for each head and position, head by head. Heads that are no
/// whole number of blocks are padded with zeros.
#[derive(Debug, Clone)]
pub struct Kv {
    /// What it holds.
    pub shape: KvShape,
    /// The rows; one shard.
    pub matrix: Matrix,
    /// Rows from head to head.
    pub stride: usize,
}

/// Rows interleaved with each other at the most; heads begin at multiples of it.
pub(crate) const TILE: usize = 32;

/// Whether a cache can be in this format: the device must be able to encode a head by itself.
pub fn can_hold(format: FormatRef) -> bool {
    can_encode(format) && format.row_scale() == RowScale::None && format.table().is_empty()
}

impl Kv {
    /// An empty cache for keys, whose rows are interleaved for lanes that walk a row each.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for a format that cannot be appended to (see [`can_hold`]);
    /// [`Error::Limit`] where it does not fit one binding; what the device says.
    pub async fn keys(gpu: &Gpu, format: FormatRef, shape: KvShape) -> Result<Self> {
        let tile = match gpu.caps().class {
            Class::Software => 8,
            Class::Gpu => TILE,
        };
        Self::new(gpu, "keys", format, shape, tile).await
    }

    /// An empty cache for values, row by row, for lanes that share one.
    ///
    /// # Errors
    /// As [`keys`](Self::keys).
    pub async fn values(gpu: &Gpu, format: FormatRef, shape: KvShape) -> Result<Self> {
        Self::new(gpu, "values", format, shape, 1).await
    }

    async fn new(
        gpu: &Gpu,
        name: &str,
        format: FormatRef,
        shape: KvShape,
        tile: usize,
    ) -> Result<Self> {
        if !can_hold(format) {
            let allowed =
                "one that the device encodes, without a scale per row, such as f16 or q8_0";
            let value = format.name().into();
            return Err(Error::InvalidOption { name: "KV cache format", value, allowed });
        }
        let stride = shape.positions.next_multiple_of(TILE);
        let cols = row_values(format, shape.head_dim);
        let rows = shape.heads.saturating_mul(stride);
        let limits = gpu.limits();
        let available = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
        let placement = Placement { tile, shard_bytes: u64::MAX, texels: false };
        let needed = bytes(format, rows, cols);
        if needed > available {
            return Err(Error::Limit {
                what: format!("{name} of {} positions in {}", shape.positions, format.name()),
                needed,
                limit: "max_storage_buffer_binding_size",
                available,
            });
        }
        let label = format!("{name} of {} positions", shape.positions);
        let matrix = Matrix::zeros(gpu, &label, format, (rows, cols), placement).await?;
        Ok(Self { shape, matrix, stride })
    }

    /// Bytes that such a cache takes on the device, but for padding of positions.
    pub fn bytes(format: FormatRef, shape: KvShape) -> u64 {
        let rows = shape.heads.saturating_mul(shape.positions);
        bytes(format, rows, row_values(format, shape.head_dim))
    }
}

/// Values of a row in the cache: whole blocks and chunks.
fn row_values(format: FormatRef, head_dim: usize) -> usize {
    head_dim.next_multiple_of(format.block_len().max(CHUNK))
}

fn bytes(format: FormatRef, rows: usize, cols: usize) -> u64 {
    let words: usize = format.planes().iter().map(|p| p.row_words(cols / CHUNK)).sum();
    (rows as u64).saturating_mul(words as u64 * 4)
}
