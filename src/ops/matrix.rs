//! Packed weight matrices on the device.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::formats::{self, CHUNK, FormatRef, Layout, RowScale};
use crate::gpu::{Bind, Bound, Buffer, Class, Gpu, Part, Texel, Texels, Variant, part};

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
    pub words: Words,
}

/// Where the words of packed weights are.
#[derive(Debug, Clone)]
pub enum Words {
    /// In a storage buffer.
    Buffer(Buffer),
    /// In a texture, four to a texel: kernels cannot write there.
    Texels(Texels),
}

/// How kernels that read packed weights find their words.
const IN_BUFFER: Part = part!("lib/weights_buffer.wgsl");
const SAMPLED: Part = part!("lib/weights_sampled.wgsl");
const NEAREST: Part = part!("lib/weights_nearest.wgsl");
const STORED: Part = part!("lib/weights_stored.wgsl");
pub(super) const IN_TEXELS: [Part; 3] = [SAMPLED, NEAREST, STORED];

/// All ways, for a test of them all.
pub const WORDS: [Part; 4] = [IN_BUFFER, SAMPLED, NEAREST, STORED];

impl Words {
    async fn upload(gpu: &Gpu, name: &str, words: &[u32], texels: bool) -> Result<Self> {
        Ok(match texels {
            true => Self::Texels(Texels::from_words(gpu, name, words).await?),
            false => Self::Buffer(Buffer::from_slice(gpu, name, words).await?),
        })
    }

    /// Bytes of the device that they take.
    pub fn size(&self) -> u64 {
        match self {
            Self::Buffer(buffer) => buffer.size(),
            Self::Texels(texels) => texels.size(),
        }
    }

    /// Reads `len` of them from word `at` on.
    ///
    /// # Errors
    /// As [`Buffer::read`].
    pub async fn read(&self, at: usize, len: usize) -> Result<Vec<u32>> {
        match self {
            Self::Buffer(buffer) => buffer.read(at, len).await,
            Self::Texels(texels) => texels.read(at, len).await,
        }
    }

    /// The buffer that kernels can write.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] where the words are in a texture.
    pub fn buffer(&self) -> Result<&Buffer> {
        match self {
            Self::Buffer(buffer) => Ok(buffer),
            Self::Texels(_) => {
                let allowed = "a matrix in buffers (Matrix::zeros, or a placement without texels)";
                let value = "a matrix in textures, which kernels cannot write".into();
                Err(Error::InvalidOption { name: "destination", value, allowed })
            }
        }
    }

    /// A variant of a kernel that reads them, at binding `weights`.
    pub(super) fn read_by(&self, variant: Variant) -> Variant {
        match self {
            Self::Buffer(_) => variant.with(&[IN_BUFFER]),
            Self::Texels(texels) => {
                variant.with_texels(IN_TEXELS, texels.fetch(), ("weights", Texel::Uint))
            }
        }
    }
}

impl Bind for Words {
    fn bound(&self) -> Bound {
        match self {
            Self::Buffer(buffer) => buffer.bound(),
            Self::Texels(texels) => texels.bound(),
        }
    }
}

/// How a matrix is placed on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// Rows interleaved with each other: at least 1.
    pub tile: usize,
    /// Bytes that a shard may take at most.
    pub shard_bytes: u64,
    /// Whether what is uploaded goes into textures.
    pub texels: bool,
}

impl Placement {
    /// The default of this device: on a CPU, lanes walk rows of their own, and the eight rows of a
    /// lane are interleaved, so that each lane reads one stretch of memory (64 rows in one stretch
    /// for the whole workgroup are slower by half once they come from memory and not from a cache);
    /// GPUs put their lanes along a row instead. A CPU's drivers load a texel in a few vector
    /// instructions, and a word of a buffer in a loop over lanes that asks of each whether it may.
    pub fn of(gpu: &Gpu) -> Self {
        let (tile, texels) = match gpu.caps().class {
            Class::Software => (8, true),
            Class::Gpu => (1, false),
        };
        let limits = gpu.limits();
        let shard_bytes = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
        Self { tile, shard_bytes, texels }.within(gpu)
    }

    /// The same with shards that a texture of this device holds, if they go into one.
    fn within(self, gpu: &Gpu) -> Self {
        let most = if self.texels { Texels::most_bytes(gpu) } else { u64::MAX };
        Self { shard_bytes: self.shard_bytes.min(most), ..self }
    }
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
        shape: (usize, usize),
        bytes: &[u8],
    ) -> Result<Self> {
        Self::upload_placed(gpu, name, format, shape, bytes, Placement::of(gpu)).await
    }

    /// The same with a placement of one's own choice.
    ///
    /// # Errors
    /// As [`upload`](Self::upload), and [`Error::Limit`] where no tile of rows fits a shard.
    pub async fn upload_placed(
        gpu: &Gpu,
        name: &str,
        format: FormatRef,
        (rows, cols): (usize, usize),
        bytes: &[u8],
        placement: Placement,
    ) -> Result<Self> {
        let row_bytes = row_bytes(name, format, cols)?;
        if rows.checked_mul(row_bytes) != Some(bytes.len()) || rows == 0 {
            let expected = format!("{name}: {rows} rows of {row_bytes} bytes");
            let got = format!("{} bytes", bytes.len());
            return Err(Error::Shape { op: "upload", expected, got });
        }
        let placement = placement.within(gpu);
        let tile = placement.tile.max(1);
        let mut shards = Vec::new();
        for range in cut(format, (rows, cols), tile, placement.shard_bytes)? {
            let layout = Layout::new(format, range.len(), cols, tile)?;
            let words =
                layout.repack(format, &bytes[range.start * row_bytes..range.end * row_bytes])?;
            let words = Words::upload(gpu, name, &words, placement.texels).await?;
            shards.push(Shard { layout, first_row: range.start, words });
        }
        Ok(Self { format, rows, cols, tile, shards })
    }

    /// A matrix whose words are all zero, to be written on the device: in buffers.
    ///
    /// # Errors
    /// As [`upload_placed`](Self::upload_placed).
    pub async fn zeros(
        gpu: &Gpu,
        name: &str,
        format: FormatRef,
        (rows, cols): (usize, usize),
        placement: Placement,
    ) -> Result<Self> {
        row_bytes(name, format, cols)?;
        let tile = placement.tile.max(1);
        let mut shards = Vec::new();
        for range in cut(format, (rows, cols), tile, placement.shard_bytes)? {
            let layout = Layout::new(format, range.len(), cols, tile)?;
            let buffer = Buffer::new(gpu, name, layout.words).await?;
            buffer.write(layout.table, format.table());
            let words = Words::Buffer(buffer);
            shards.push(Shard { layout, first_row: range.start, words });
        }
        Ok(Self { format, rows, cols, tile, shards })
    }

    /// Bytes of the device that it takes.
    pub fn bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.words.size()).sum()
    }

    /// The rows as a file has them: whole blocks back to back.
    ///
    /// # Errors
    /// What the device says.
    pub async fn download(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for Shard { layout, words, .. } in &self.shards {
            let words = words.read(0, layout.words).await?;
            let from = bytes.len();
            bytes.resize(from + layout.rows * layout.row_bytes, 0);
            layout.unpack(self.format, &words, &mut bytes[from..])?;
        }
        Ok(bytes)
    }
}

/// Bytes of a row of `cols` weights.
fn row_bytes(name: &str, format: FormatRef, cols: usize) -> Result<usize> {
    formats::row_bytes(format, cols).filter(|_| cols > 0).ok_or_else(|| {
        let expected = format!("{name}: a multiple of {} columns", format.block_len());
        Error::Shape { op: "matrix", expected, got: cols.to_string() }
    })
}

impl Shard {
    /// Some of its rows as a file has them: whole blocks back to back. `rows` begins at a multiple of
    /// the rows that are interleaved.
    ///
    /// # Errors
    /// [`Error::Shape`] where it does not, or ends behind the last; what the device says.
    pub async fn download_rows(
        &self,
        format: FormatRef,
        cols: usize,
        rows: Range<usize>,
    ) -> Result<Vec<u8>> {
        let whole = &self.layout;
        if !rows.start.is_multiple_of(whole.tile) || rows.end > whole.rows || rows.is_empty() {
            let expected = format!("rows from a multiple of {} up to {}", whole.tile, whole.rows);
            return Err(Error::Shape { op: "download", expected, got: format!("{rows:?}") });
        }
        let part = Layout::new(format, rows.len(), cols, whole.tile)?;
        let mut words = vec![0u32; part.words];
        // Rows of a tile lie together in each plane, tile after tile.
        let tiled = rows.len().next_multiple_of(whole.tile);
        let planes = format.planes().iter().map(|plane| plane.row_words(whole.chunks));
        let scales =
            (format.row_scale() != RowScale::None).then_some((whole.scales, part.scales, 1));
        let planes = planes.zip(whole.bases.iter().zip(&part.bases));
        for (from, to, row_words) in planes.map(|(n, (f, t))| (*f, *t, n)).chain(scales) {
            let read = self.words.read(from + rows.start * row_words, tiled * row_words).await?;
            words[to..to + read.len()].copy_from_slice(&read);
        }
        let mut bytes = vec![0; rows.len() * part.row_bytes];
        part.unpack(format, &words, &mut bytes)?;
        Ok(bytes)
    }

    /// Where a kernel finds the words, as a packed operation's params begin.
    pub(crate) fn addresses(&self) -> [u32; 5] {
        let base = |p: usize| self.layout.bases.get(p).copied().unwrap_or(0);
        let Layout { chunks, scales, table, .. } = self.layout;
        [chunks, base(1), base(2), scales, table].map(|word| word as u32)
    }
}

/// Ranges of rows that fit a binding each.
fn cut(
    format: FormatRef,
    (rows, cols): (usize, usize),
    tile: usize,
    available: u64,
) -> Result<Vec<Range<usize>>> {
    let table_bytes = format.table().len() as u64 * 4;
    let tile_bytes = Layout::new(format, tile, cols, tile)?.words as u64 * 4 - table_bytes;
    // The table is there once; planes and scales are padded to 16 bytes, once each.
    let slack = table_bytes + 16 * (format.planes().len() as u64 + 2);
    let step = (available.saturating_sub(slack) / tile_bytes.max(1)) as usize * tile;
    // Gates stay with their ups.
    let step = if step > 1 { step & !1 } else { step };
    if step == 0 {
        let what = format!("{tile} rows of {cols} weights in {}", format.name());
        let limit = "max_storage_buffer_binding_size";
        return Err(Error::Limit { what, needed: tile_bytes, limit, available });
    }
    Ok((0..rows).step_by(step).map(|r| r..rows.min(r + step)).collect())
}

/// The f64 values of rows of whole blocks of `k` weights, as every kernel's reference needs them.
///
/// # Errors
/// [`Error::Shape`] where the bytes are not so many rows.
pub fn decode_f64(format: FormatRef, bytes: &[u8], (rows, k): (usize, usize)) -> Result<Vec<f64>> {
    let mut decoded = vec![0.0; rows * k];
    formats::decode_rows(format, k, bytes, &mut decoded)?;
    Ok(decoded.into_iter().map(f64::from).collect())
}

/// Whether the last chunk of rows of this many columns reaches past their vec4s.
pub(super) fn has_tail(cols: usize) -> bool {
    !cols.is_multiple_of(CHUNK)
}
