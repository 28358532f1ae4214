//! Where a repacked tensor's words lie on the GPU; `shaders/lib/layout.wgsl` is its twin.
//!
//! A plane with `chunks = n` holds `words` words for each n consecutive chunks of a row (n > 1 for
//! scales smaller than a word). Rows are interleaved in tiles of T, so that T lanes that each walk
//! a row of their own read consecutive addresses:
//!
//! ```text
//! slot(row, c, n) = (row / T · ⌈chunks / n⌉ + c / n) · T + row mod T
//! word of (row, c) in plane p = base(p) + slot(row, c, n) · words
//! ```
//!
//! T = 1 is plain row-major order. Rows are padded with zeros to a multiple of T, and planes start
//! on 16-byte boundaries. Behind a format's own planes come the rows' scales, a word per row, and the
//! format's constant table, each where there is one.

use super::{FormatRef, RowScale, row_bytes};
use crate::error::{Error, Result};

/// Consecutive weights of a row that a shader addresses at once.
pub const CHUNK: usize = 32;

/// One plane of a format's GPU layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plane {
    /// Words in a slot.
    pub words: usize,
    /// Chunks of a row that share a slot.
    pub chunks: usize,
}

impl Plane {
    /// Words that a row of `chunks` chunks takes in this plane.
    pub fn row_words(&self, chunks: usize) -> usize {
        chunks.div_ceil(self.chunks) * self.words
    }
}

/// The addresses of one tensor (or of one shard of its rows) of N rows of K weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Rows that hold data.
    pub rows: usize,
    /// Bytes of a row in the file.
    pub row_bytes: usize,
    /// Chunks in a row: ⌈K / 32⌉.
    pub chunks: usize,
    /// Rows interleaved with each other: T above.
    pub tile: usize,
    /// First word of each plane.
    pub bases: Vec<usize>,
    /// First word of the rows' scales, where they have any.
    pub scales: usize,
    /// First word of the format's constant table, where it has one.
    pub table: usize,
    /// Words in all.
    pub words: usize,
}

impl Layout {
    /// The layout of `rows` rows of `k` weights, `tile` of them interleaved.
    ///
    /// # Errors
    /// [`Error::Shape`] where `k` is no multiple of the format's block or `tile` is 0,
    /// [`Error::Limit`] where there are more words than 32 bits can address.
    pub fn new(format: FormatRef, rows: usize, k: usize, tile: usize) -> Result<Self> {
        let row_bytes = row_bytes(format, k).filter(|_| tile > 0).ok_or_else(|| Error::Shape {
            op: "layout",
            expected: format!("K a multiple of {}, tile at least 1", format.block_len()),
            got: format!("{} of K = {k}, tile = {tile}", format.name()),
        })?;
        let chunks = k.div_ceil(CHUNK);
        let tiled_rows = (rows as u64).div_ceil(tile as u64).saturating_mul(tile as u64);
        let scale_words = if format.row_scale() == RowScale::None { 0 } else { tiled_rows };
        let empty = tiled_rows == 0 || chunks == 0;
        let table_words = if empty { 0 } else { format.table().len() as u64 };
        let planes = format.planes().iter().map(|plane| plane.row_words(chunks) as u64);
        let sizes = planes.map(|words| words.saturating_mul(tiled_rows));
        let mut words = 0u64;
        let mut bases = Vec::new();
        for size in sizes.chain([scale_words, table_words]) {
            bases.push(words as usize);
            words = words.saturating_add(size).div_ceil(4).saturating_mul(4);
            if words > u64::from(u32::MAX) {
                return Err(too_large(format, rows, k, words));
            }
        }
        let table = bases.pop().unwrap_or(0);
        let scales = bases.pop().unwrap_or(0);
        let words = words as usize;
        Ok(Self { rows, row_bytes, chunks, tile, bases, scales, table, words })
    }

    /// Repacks `rows` rows of blocks, back to back in `bytes`, into words.
    ///
    /// # Errors
    /// [`Error::Shape`] where `bytes` is of another length.
    pub fn repack(&self, format: FormatRef, bytes: &[u8]) -> Result<Vec<u32>> {
        self.check("repack", bytes.len(), self.words)?;
        let mut words = vec![0; self.words];
        if let Some(to) = words.get_mut(self.table..self.table + format.table().len()) {
            to.copy_from_slice(format.table());
        }
        let mut scratch = RowScratch::new(format, self.chunks);
        for (row, bytes) in bytes.chunks_exact(self.row_bytes.max(1)).enumerate() {
            let (scale, blocks) = bytes.split_at(format.row_scale().bytes());
            if let Some(scale) = scale.first_chunk() {
                words[self.scales + row] = u32::from_le_bytes(*scale);
            }
            scratch.load(format, blocks);
            for (p, plane) in format.planes().iter().enumerate() {
                let slots = scratch.planes[p].chunks_exact(plane.words);
                for (s, slot) in slots.enumerate() {
                    let at = self.word(row, s, p, plane);
                    words[at..at + plane.words].copy_from_slice(slot);
                }
            }
        }
        Ok(words)
    }

    /// The inverse of [`repack`](Self::repack); `bytes` is `rows` rows long.
    ///
    /// # Errors
    /// [`Error::Shape`] where `words` or `bytes` is of another length.
    pub fn unpack(&self, format: FormatRef, words: &[u32], bytes: &mut [u8]) -> Result<()> {
        self.check("unpack", bytes.len(), words.len())?;
        let mut scratch = RowScratch::new(format, self.chunks);
        for (row, bytes) in bytes.chunks_exact_mut(self.row_bytes.max(1)).enumerate() {
            for (p, plane) in format.planes().iter().enumerate() {
                let slots = scratch.planes[p].chunks_exact_mut(plane.words);
                for (s, slot) in slots.enumerate() {
                    let at = self.word(row, s, p, plane);
                    slot.copy_from_slice(&words[at..at + plane.words]);
                }
            }
            let (scale, blocks) = bytes.split_at_mut(format.row_scale().bytes());
            if !scale.is_empty() {
                scale.copy_from_slice(&words[self.scales + row].to_le_bytes());
            }
            scratch.store(format, blocks);
        }
        Ok(())
    }

    fn check(&self, op: &'static str, bytes: usize, words: usize) -> Result<()> {
        if self.rows.checked_mul(self.row_bytes) == Some(bytes) && words == self.words {
            return Ok(());
        }
        let expected =
            format!("{} rows of {} bytes, {} words", self.rows, self.row_bytes, self.words);
        Err(Error::Shape { op, expected, got: format!("{bytes} bytes, {words} words") })
    }

    /// First word of slot `s` of `row` in plane `p`.
    fn word(&self, row: usize, s: usize, p: usize, plane: &Plane) -> usize {
        let slots = self.chunks.div_ceil(plane.chunks);
        let slot = (row / self.tile * slots + s) * self.tile + row % self.tile;
        self.bases[p] + slot * plane.words
    }
}

fn too_large(format: FormatRef, rows: usize, k: usize, words: u64) -> Error {
    Error::Limit {
        what: format!("a {} tensor of {rows} rows of {k}", format.name()),
        needed: words,
        limit: "words with a 32-bit address",
        available: u64::from(u32::MAX),
    }
}

/// One row's planes, and its bytes padded to whole chunks.
struct RowScratch {
    planes: Vec<Vec<u32>>,
    padded: Vec<u8>,
}

impl RowScratch {
    fn new(format: FormatRef, chunks: usize) -> Self {
        let planes = format.planes().iter().map(|p| vec![0; p.row_words(chunks)]).collect();
        let blocks = (chunks * CHUNK).div_ceil(format.block_len());
        Self { planes, padded: vec![0; blocks * format.block_bytes()] }
    }

    fn load(&mut self, format: FormatRef, row: &[u8]) {
        self.planes.iter_mut().for_each(|p| p.fill(0));
        self.padded[..row.len()].copy_from_slice(row);
        let mut planes: Vec<&mut [u32]> = self.planes.iter_mut().map(Vec::as_mut_slice).collect();
        format.repack(&self.padded, &mut planes);
    }

    fn store(&mut self, format: FormatRef, row: &mut [u8]) {
        let planes: Vec<&[u32]> = self.planes.iter().map(Vec::as_slice).collect();
        format.unpack(&planes, &mut self.padded);
        row.copy_from_slice(&self.padded[..row.len()]);
    }
}
