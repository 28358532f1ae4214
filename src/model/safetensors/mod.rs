//! safetensors files, and how Mantissa keeps a whole model in one.
//!
//! A file is u64 n, n bytes of JSON (`{"name": {"dtype", "shape", "data_offsets"}, …,
//! "__metadata__": {text: text}}`), and the tensors' data without holes
//! (github.com/huggingface/safetensors, README). All of the header is checked before any of it is
//! believed: lengths against the file's, offsets for order, overlaps and holes, sizes against shape
//! and dtype, names for uniqueness.
//!
//! # Mantissa's own
//! What GGUF cannot hold is kept in one safetensors file. `__metadata__` has
//! - `format`: `mantissa`, and `mantissa.version`: `1`;
//! - `mantissa.metadata`: GGUF's metadata with their types, as JSON ([`metadata_to_json`]);
//! - `mantissa.tensor.NAME`: `{"format": "bfp:m4:n64", "shape": [rows, columns]}` for each tensor in
//!   a format that safetensors does not know. Such a tensor is stored as `U8` of shape
//!   `[rows, bytes of a row]`.
//!
//! Tensors have GGUF's names. F32, F16 and BF16 are safetensors' own dtypes. [`Writer`] writes such
//! files.

mod error;
mod header;
mod mantissa;
mod metadata;
mod write;

pub use error::SafetensorsError;
pub(super) use header::{Header, header, json_error, tensors};
pub(super) use mantissa::{checkpoint, is_mantissa};
pub use metadata::{metadata_from_json, metadata_to_json};
pub use write::{DataWriter, Writer};

/// The largest header that is read or written, as in safetensors itself.
const MAX_HEADER: u64 = 100_000_000;
/// Bytes before the header: its length.
const LENGTH: u64 = 8;

/// Keys of `__metadata__`.
const FORMAT: &str = "format";
const MANTISSA: &str = "mantissa";
const VERSION_KEY: &str = "mantissa.version";
const VERSION: &str = "1";
const METADATA: &str = "mantissa.metadata";
const TENSOR: &str = "mantissa.tensor.";
