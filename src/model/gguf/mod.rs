//! GGUF files: metadata and tensors in one file, as llama.cpp writes them (versions 2 and 3,
//! little-endian).
//!
//! [`Gguf::read`] reads the header of any [`ByteSource`] and checks all of it: counts and lengths
//! against the file's length, strings for UTF-8, names for uniqueness, shapes for overflow, offsets
//! for alignment, order and bounds. Nothing is allocated that the file does not have the bytes for.
//! As llama.cpp does, it demands that tensors follow each other in order with nothing but padding
//! between, since a gap means that a size or an offset is wrong.
//!
//! A tensor of a type that we cannot decode is no error here, so that a file can be listed;
//! [`Gguf::check_supported`] is the step that refuses it before anything is uploaded.
//!
//! [`Writer`] writes such files.

mod cursor;
mod error;
mod read;
mod types;
mod value;
mod write;

use std::collections::HashMap;

pub use error::GgufError;
pub use types::{TENSOR_TYPES, TensorType, tensor_type, type_name};
pub(super) use value::TYPE_NAMES;
pub use value::{Array, Metadata, Value};
pub use write::{DataWriter, Writer};

use crate::error::Result;
use crate::model::source::ByteSource;
use crate::model::tensor;
pub use crate::model::tensor::{TensorInfo, TensorKind};

/// The first four bytes of a file.
pub(super) const MAGIC: [u8; 4] = *b"GGUF";
/// The alignment of tensors where the file names none.
const DEFAULT_ALIGNMENT: u32 = 32;
/// The largest alignment that is accepted: a large page of any machine.
const MAX_ALIGNMENT: u32 = 1 << 21;

/// The header of a GGUF file: metadata, and where each tensor lies.
#[derive(Debug, Clone)]
pub struct Gguf {
    /// The format's version, 2 or 3.
    pub version: u32,
    /// Tensors start at multiples of this many bytes.
    pub alignment: u32,
    /// What the file says about itself.
    pub metadata: Metadata,
    /// The tensors, in the file's order.
    pub tensors: Vec<TensorInfo>,
    /// Where the data section starts in the file.
    pub data_offset: u64,
    index: HashMap<String, usize>,
}

impl Gguf {
    /// Reads and checks a file's header. Of a source that fetches, little more than the header is
    /// fetched.
    ///
    /// # Errors
    /// [`Error::Malformed`](crate::Error::Malformed) where the file breaks GGUF's rules,
    /// [`Error::Io`](crate::Error::Io) where it cannot be read.
    pub async fn read(source: &dyn ByteSource) -> Result<Self> {
        let header = read::header(source).await?;
        let (data_offset, tensors) =
            read::place(&header, read::len(source)).map_err(|e| read::malformed(source, e))?;
        let index = tensor::index(&tensors);
        let read::Header { version, alignment, metadata, .. } = header;
        Ok(Self { version, alignment, metadata, tensors, data_offset, index })
    }

    /// The tensor of this name.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.index.get(name).and_then(|&i| self.tensors.get(i))
    }

    /// Makes sure that every tensor is in a format that this build decodes.
    ///
    /// # Errors
    /// [`Error::UnsupportedType`](crate::Error::UnsupportedType) with the first tensor that is not, its type, and the formats
    /// there are.
    pub fn check_supported(&self) -> Result<()> {
        tensor::check_supported(&self.tensors)
    }
}
