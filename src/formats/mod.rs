//! Number formats: how blocks of weights are stored, and what they are worth.
//!
//! A format is one Rust file here, one WGSL file of the same name in `shaders/formats/`, and one
//! word in [`FORMATS`]. Everything else (loader, matmul, get-rows, command line, tests) iterates
//! over that table.
//!
//! # On the GPU
//! Weights are addressed by row and by **chunk**: 32 consecutive weights of a row. Blocks are
//! repacked at upload into *planes* of whole `u32` words (quants in one, scales in another), so
//! that a shader never reads an unaligned or a partial word. [`Layout`] places the planes.

mod layout;

pub use layout::{CHUNK, Layout, Plane};

mod bits;
mod round;

mod bf16;
mod f16;
mod f32;
mod q4_0;
mod q4_1;
mod q5_0;
mod q5_1;
mod q8_0;

use crate::error::{Error, Result};

/// One number format. See the module's documentation for what the pieces are for.
pub trait Format: Sync + Send + std::fmt::Debug {
    /// The name on the command line and of the WGSL part: lower case, such as `q4_1`.
    fn name(&self) -> &str;

    /// The type's number in a GGUF file, where GGUF has the type.
    fn gguf_type(&self) -> Option<u32>;

    /// Weights in a block.
    fn block_len(&self) -> usize;

    /// Bytes that a block takes in a file.
    fn block_bytes(&self) -> usize;

    /// Decodes one block of [`block_bytes`](Self::block_bytes) bytes into
    /// [`block_len`](Self::block_len) weights, exactly as the format's specification says.
    fn decode(&self, block: &[u8], out: &mut [f32]);

    /// Encodes [`block_len`](Self::block_len) weights, rounding as the format's reference
    /// quantizer does.
    fn encode(&self, weights: &[f32], block: &mut [u8]);

    /// The planes of the GPU layout, in the order in which the WGSL part numbers them.
    fn planes(&self) -> &[Plane];

    /// Permutes the bits of one row of blocks into its words, a slice per plane, each zeroed
    /// beforehand and [`Plane::row_words`] long.
    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]);

    /// The inverse of [`repack`](Self::repack).
    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]);

    /// The text of `shaders/formats/<name>.wgsl`.
    fn shader(&self) -> &'static str;

    /// Values of the WGSL part's `override` constants, for parametrised formats.
    fn overrides(&self) -> &[(&'static str, f64)] {
        &[]
    }
}

/// A format, as it is passed around.
pub type FormatRef = &'static dyn Format;

/// THE table: every number format there is. To add one, add its word here.
pub static FORMATS: &[FormatRef] = &[
    &f32::F32,
    &f16::F16,
    &bf16::BF16,
    &q4_0::Q4_0,
    &q4_1::Q4_1,
    &q5_0::Q5_0,
    &q5_1::Q5_1,
    &q8_0::Q8_0,
];

/// The format of this name (any case).
///
/// # Errors
/// [`Error::UnknownFormat`] with the names there are.
pub fn by_name(name: &str) -> Result<FormatRef> {
    FORMATS
        .iter()
        .copied()
        .find(|f| f.name().eq_ignore_ascii_case(name))
        .ok_or_else(|| Error::UnknownFormat { name: name.into(), known: names() })
}

/// The format with this GGUF type number, if there is one.
pub fn by_gguf_type(id: u32) -> Option<FormatRef> {
    FORMATS.iter().copied().find(|f| f.gguf_type() == Some(id))
}

/// All names, for messages.
pub fn names() -> String {
    FORMATS.iter().map(|f| f.name()).collect::<Vec<_>>().join(", ")
}

/// Bytes of a row of `k` weights, or `None` where `k` is no multiple of the block (or absurd).
pub fn row_bytes(format: FormatRef, k: usize) -> Option<usize> {
    let blocks = k.is_multiple_of(format.block_len()).then(|| k / format.block_len())?;
    blocks.checked_mul(format.block_bytes())
}

/// Decodes a row of whole blocks.
///
/// # Errors
/// [`Error::Shape`] where `row` is no whole number of blocks, or not that of `out`.
pub fn decode_row(format: FormatRef, row: &[u8], out: &mut [f32]) -> Result<()> {
    check_row(format, "decode_row", row.len(), out.len())?;
    let blocks = row.chunks_exact(format.block_bytes());
    for (block, out) in blocks.zip(out.chunks_exact_mut(format.block_len())) {
        format.decode(block, out);
    }
    Ok(())
}

/// Encodes a row of whole blocks.
///
/// # Errors
/// [`Error::Shape`] where `weights` is no whole number of blocks, or not that of `row`.
pub fn encode_row(format: FormatRef, weights: &[f32], row: &mut [u8]) -> Result<()> {
    check_row(format, "encode_row", row.len(), weights.len())?;
    let blocks = row.chunks_exact_mut(format.block_bytes());
    for (block, weights) in blocks.zip(weights.chunks_exact(format.block_len())) {
        format.encode(weights, block);
    }
    Ok(())
}

fn check_row(format: FormatRef, op: &'static str, bytes: usize, k: usize) -> Result<()> {
    if row_bytes(format, k) == Some(bytes) {
        return Ok(());
    }
    let (name, len, size) = (format.name(), format.block_len(), format.block_bytes());
    let expected = format!("whole {name} blocks of {len} weights in {size} bytes each");
    Err(Error::Shape { op, expected, got: format!("{k} weights and {bytes} bytes") })
}
