//! Number formats: how blocks of weights are stored, and what they are worth.
//!
//! A format is one Rust file here, one WGSL file of the same name in `shaders/formats/`, and one
//! word in [`FORMATS`]; a family of formats that differ by numbers is one of each too, and its
//! word stands in [`FAMILIES`]. Everything else (loader, matmul, get-rows, command line, tests)
//! iterates over those tables.
//!
//! # In a file
//! A tensor is rows, a row is whole blocks. Where a format has a [`RowScale`], a row begins with a
//! little-endian f32 that all its blocks are multiplied with.
//!
//! # On the GPU
//! Weights are addressed by row and by **chunk**: 32 consecutive weights of a row. Blocks are
//! repacked at upload into *planes* of whole `u32` words (quants in one, scales in another), so
//! that a shader never reads an unaligned or a partial word. [`Layout`] places the planes.

mod integers;
mod layout;

mod rows;
mod stream;

pub use integers::{Integers, row_integers};
pub use layout::{CHUNK, Layout, Plane};
pub use rows::{
    decode_row, decode_rows, encode_row, encode_row_of, encode_rows, first_not_finite, peak,
    row_bytes,
};

pub(crate) use rows::offsets;

mod bits;
mod e2m1;
mod element;
mod fit;
mod grid;
mod grid_search;
mod grids;
mod iq4;
mod round;
mod super_block;

mod bf16;
mod bfp;
mod f16;
mod f32;
mod int8;
mod iq1_m;
mod iq1_s;
mod iq2_s;
mod iq2_xs;
mod iq2_xxs;
mod iq3_s;
mod iq3_xxs;
mod iq4_nl;
mod iq4_xs;
mod minifloat;
mod mx;
mod mxfp4;
mod mxint8;
mod nf4;
mod nvfp4;
mod q2_k;
mod q3_k;
mod q4_0;
mod q4_1;
mod q4_k;
mod q5_0;
mod q5_1;
mod q5_k;
mod q6_k;
mod q8_0;
mod tq1_0;
mod tq2_0;

use std::sync::LazyLock;

use crate::error::{Error, Result};
use crate::gpu::Part;

/// What a format is called, and the size of its blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The name on the command line: lower case, such as `q4_1`.
    pub name: &'static str,
    /// The type's number in a GGUF file, where GGUF has the type.
    pub gguf_type: Option<u32>,
    /// Weights in a block.
    pub block_len: usize,
    /// Bytes that a block takes in a file.
    pub block_bytes: usize,
}

impl Facts {
    /// A format of this name, with blocks of so many weights in so many bytes.
    pub const fn new(name: &'static str, (block_len, block_bytes): (usize, usize)) -> Self {
        Self { name, gguf_type: None, block_len, block_bytes }
    }

    /// The same for one that GGUF has under this number.
    pub const fn gguf(name: &'static str, number: u32, block: (usize, usize)) -> Self {
        Self { gguf_type: Some(number), ..Self::new(name, block) }
    }
}

/// One number format. See the module's documentation for what the pieces are for.
pub trait Format: Sync + Send + std::fmt::Debug {
    /// Its name, its block, and its number in GGUF.
    fn facts(&self) -> Facts;

    /// [`Facts::name`].
    fn name(&self) -> &'static str {
        self.facts().name
    }

    /// [`Facts::gguf_type`].
    fn gguf_type(&self) -> Option<u32> {
        self.facts().gguf_type
    }

    /// [`Facts::block_len`].
    fn block_len(&self) -> usize {
        self.facts().block_len
    }

    /// [`Facts::block_bytes`].
    fn block_bytes(&self) -> usize {
        self.facts().block_bytes
    }

    /// Decodes one block of [`block_bytes`](Self::block_bytes) bytes into
    /// [`block_len`](Self::block_len) weights, exactly as the format's specification says, but for
    /// the row's scale.
    fn decode(&self, block: &[u8], out: &mut [f32]);

    /// Encodes [`block_len`](Self::block_len) weights, which the row's scale has been taken out of,
    /// rounding as the format's reference quantizer does.
    fn encode(&self, weights: &[f32], block: &mut [u8]);

    /// Whether rows begin with a scale of their own, and what it comes from.
    fn row_scale(&self) -> RowScale {
        RowScale::None
    }

    /// The planes of the GPU layout, in the order in which the WGSL part numbers them.
    fn planes(&self) -> &[Plane];

    /// Permutes the bits of one row of blocks into its words, a slice per plane, each zeroed
    /// beforehand and [`Plane::row_words`] long.
    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]);

    /// The inverse of [`repack`](Self::repack).
    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]);

    /// Chunk `chunk` of a block as small integers, for multiplication with int8 activations, where the
    /// format is made of such; its WGSL part then declares `integers` too.
    fn integers(&self, _block: &[u8], _chunk: usize) -> Option<Integers> {
        None
    }

    /// Constant words that every tensor on the GPU ends with (a grid of code words, which would be
    /// slow as a constant of a shader).
    fn table(&self) -> &'static [u32] {
        &[]
    }

    /// Whether the WGSL part has codes beside the weights, a weight being scale·code + offset with a
    /// scale and an offset for each chunk: `codes8` and `scale_offset`.
    fn has_codes(&self) -> bool {
        false
    }

    /// The offset of a chunk of a block: 0 where there is none.
    fn offset(&self, _block: &[u8], _chunk: usize) -> f32 {
        0.0
    }

    /// The format's WGSL part, behind those parts of `shaders/lib/` that only it uses.
    fn shader(&self) -> &'static [Part];

    /// Values of the WGSL part's `override` constants, for parametrised formats.
    fn overrides(&self) -> &[(&'static str, f64)] {
        &[]
    }
}

/// A scale that the blocks of a row share, beside those in the blocks: an f32 in front of the row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RowScale {
    /// There is none.
    None,
    /// The largest magnitude of the row, divided by this.
    PerRow(f32),
    /// The largest magnitude of the tensor, divided by this. It stands in front of each row, so that
    /// rows can be cut apart and gathered.
    PerTensor(f32),
}

impl RowScale {
    /// Bytes that it takes in front of a row.
    pub fn bytes(self) -> usize {
        if self == Self::None { 0 } else { 4 }
    }
}

/// A format, as it is passed around.
pub type FormatRef = &'static dyn Format;

/// IEEE binary32, what everything else stands for.
pub const F32: FormatRef = &f32::F32;

/// THE table: every number format there is, but for those of [`FAMILIES`]. To add one, add its word
/// here.
pub static FORMATS: &[FormatRef] = &[
    &f32::F32,
    &f16::F16,
    &bf16::BF16,
    &q4_0::Q4_0,
    &q4_1::Q4_1,
    &q5_0::Q5_0,
    &q5_1::Q5_1,
    &q8_0::Q8_0,
    &q2_k::Q2K,
    &q3_k::Q3K,
    &q4_k::Q4K,
    &q5_k::Q5K,
    &q6_k::Q6K,
    &iq1_s::Iq1S,
    &iq1_m::Iq1M,
    &iq2_xxs::Iq2Xxs,
    &iq2_xs::Iq2Xs,
    &iq2_s::Iq2S,
    &iq3_xxs::Iq3Xxs,
    &iq3_s::Iq3S,
    &iq4_nl::Iq4Nl,
    &iq4_xs::Iq4Xs,
    &tq1_0::Tq1_0,
    &tq2_0::Tq2_0,
    &mxfp4::Mxfp4,
    &mxint8::MxInt8,
    &nvfp4::NVFP4,
    &nvfp4::NVFP4_SCALED,
    &nf4::Nf4,
    &int8::Int8,
];

/// Formats that differ by numbers in their names, and share their files.
#[derive(Debug)]
pub struct Family {
    /// The name of its Rust file and WGSL part.
    pub name: &'static str,
    /// How its members' names are made, for messages.
    pub grammar: &'static str,
    /// Other names, and the members that they stand for.
    pub aliases: &'static [(&'static str, &'static str)],
    /// Every member.
    pub members: &'static LazyLock<Vec<FormatRef>>,
    /// Names of members that between them take every branch of the WGSL part, for tests on devices.
    pub samples: &'static [&'static str],
}

/// THE table of families.
pub static FAMILIES: &[Family] = &[bfp::FAMILY, mx::FAMILY, minifloat::FAMILY];

/// Every format: the table's, then all members of the families.
pub fn all() -> impl Iterator<Item = FormatRef> {
    FORMATS.iter().copied().chain(FAMILIES.iter().flat_map(|f| f.members.iter().copied()))
}

/// The format of this name (any case).
///
/// # Errors
/// [`Error::UnknownFormat`] with the names there are.
pub fn by_name(name: &str) -> Result<FormatRef> {
    let aliases = FAMILIES.iter().flat_map(|f| f.aliases);
    let meant = aliases.into_iter().find(|(alias, _)| alias.eq_ignore_ascii_case(name));
    let meant = meant.map_or(name, |(_, member)| member);
    all()
        .find(|f| f.name().eq_ignore_ascii_case(meant))
        .ok_or_else(|| Error::UnknownFormat { name: name.into(), known: names() })
}

/// The format with this GGUF type number, if there is one.
pub fn by_gguf_type(id: u32) -> Option<FormatRef> {
    FORMATS.iter().copied().find(|f| f.gguf_type() == Some(id))
}

/// All names, for messages.
pub fn names() -> String {
    let fixed = FORMATS.iter().map(|f| f.name());
    let aliases = FAMILIES.iter().flat_map(|f| f.aliases.iter().map(|(alias, _)| *alias));
    let grammars = FAMILIES.iter().map(|f| f.grammar);
    fixed.chain(grammars).chain(aliases).collect::<Vec<_>>().join(", ")
}
