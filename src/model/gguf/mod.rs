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

use std::borrow::Cow;
use std::collections::HashMap;

pub use error::GgufError;
pub use types::{TENSOR_TYPES, TensorType, tensor_type, type_name};
pub use value::{Array, Metadata, Value};
pub use write::{DataWriter, Writer};

use crate::error::{Error, Result};
use crate::formats;
use crate::model::source::ByteSource;

/// The first four bytes of a file.
const MAGIC: [u8; 4] = *b"GGUF";
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

/// A tensor in a file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TensorInfo {
    /// Its name, unique in the file.
    pub name: String,
    /// Its shape, the contiguous dimension first (ggml's `ne`); at most four, none of them 0.
    pub shape: Vec<u64>,
    /// Its type's number; see [`tensor_type`] and [`formats::by_gguf_type`].
    pub type_id: u32,
    /// Where its data start, in bytes from the file's start.
    pub offset: u64,
    /// Its size in bytes. For a type of unknown size: up to the next tensor.
    pub bytes: u64,
}

impl TensorInfo {
    /// The type's name, such as `Q4_1`.
    pub fn type_name(&self) -> Cow<'static, str> {
        type_name(self.type_id)
    }

    /// The number of elements.
    pub fn elements(&self) -> u64 {
        self.shape.iter().product()
    }
}

impl Gguf {
    /// Reads and checks a file's header. Of a source that fetches, little more than the header is
    /// fetched.
    ///
    /// # Errors
    /// [`Error::Malformed`] where the file breaks GGUF's rules, [`Error::Io`] where it cannot be
    /// read.
    pub async fn read(source: &dyn ByteSource) -> Result<Self> {
        let header = read::header(source).await?;
        let (data_offset, tensors) =
            read::place(&header, read::len(source)).map_err(|e| read::malformed(source, e))?;
        let index = tensors.iter().enumerate().map(|(i, t)| (t.name.clone(), i)).collect();
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
    /// [`Error::UnsupportedType`] with the first tensor that is not, its type, and the formats
    /// there are.
    pub fn check_supported(&self) -> Result<()> {
        match self.tensors.iter().find(|t| formats::by_gguf_type(t.type_id).is_none()) {
            None => Ok(()),
            Some(tensor) => Err(Error::UnsupportedType {
                tensor: tensor.name.clone(),
                type_name: tensor.type_name().into_owned(),
                supported: supported_types(),
            }),
        }
    }
}

/// The names of the GGUF types that this build decodes.
fn supported_types() -> String {
    let ids = formats::FORMATS.iter().filter_map(|f| f.gguf_type());
    ids.map(type_name).collect::<Vec<_>>().join(", ")
}
