//! What can be wrong with a GGUF file, in values. Offsets are bytes from the file's start.

use super::types::type_name;

/// What is wrong with a GGUF file.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GgufError {
    /// The file does not begin with `GGUF`.
    #[error("not a GGUF file: it begins with \"{}\", not \"GGUF\"", found.escape_ascii())]
    Magic {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// The file was written for big-endian machines.
    #[error("big-endian GGUF (version {version}); convert it with gguf-py's gguf_convert_endian")]
    BigEndian {
        /// The version, its bytes in the order that makes sense of them.
        version: u32,
    },
    /// The file's version is not one that this build reads.
    #[error("GGUF version {found} is not supported; this build reads 2 and 3: convert it anew")]
    Version {
        /// The version in the file.
        found: u32,
    },
    /// The file ends too early.
    #[error(
        "truncated: {what} needs {needed} bytes at offset {offset}, but the file ends at {len}; fetch it again"
    )]
    Truncated {
        /// What was to be read.
        what: String,
        /// Where it starts.
        offset: u64,
        /// How many bytes it needs.
        needed: u64,
        /// The file's length.
        len: u64,
    },
    /// The header is larger than any model's.
    #[error(
        "{what} at offset {offset} needs {needed} bytes, which makes the header larger than {limit} bytes"
    )]
    HeaderTooLarge {
        /// What was to be read.
        what: String,
        /// Where it starts.
        offset: u64,
        /// How many bytes it needs.
        needed: u64,
        /// The largest header that is read, in bytes.
        limit: u64,
    },
    /// More things are announced than the rest of the file could hold.
    #[error(
        "{count} {what} are announced, but the file has room for at most {room}: it is truncated or damaged"
    )]
    Count {
        /// `metadata values` or `tensors`.
        what: &'static str,
        /// How many are announced.
        count: u64,
        /// How many would fit.
        room: u64,
    },
    /// A string is not UTF-8.
    #[error("{what} at offset {offset} is not UTF-8")]
    NotUtf8 {
        /// The string.
        what: String,
        /// Where its bytes start.
        offset: u64,
    },
    /// A metadata value's type has no meaning.
    #[error("{what}: value type {found} at offset {offset} does not exist (0 to 12 do)")]
    ValueType {
        /// The value.
        what: String,
        /// Where the type stands.
        offset: u64,
        /// The type's number.
        found: u32,
    },
    /// A boolean is neither 0 nor 1.
    #[error("{what}: a boolean at offset {offset} is {found}, neither 0 nor 1")]
    Bool {
        /// The value.
        what: String,
        /// Where it stands.
        offset: u64,
        /// Its byte.
        found: u8,
    },
    /// Arrays lie in arrays in arrays.
    #[error("{what}: arrays nested deeper than {limit} at offset {offset}")]
    Nesting {
        /// The value.
        what: String,
        /// Where the innermost array starts.
        offset: u64,
        /// The depth that is allowed.
        limit: usize,
    },
    /// A key or a tensor's name has no characters: most likely padding read as a header.
    #[error("{what} at offset {offset} is empty")]
    EmptyName {
        /// The string.
        what: String,
        /// Where its length stands.
        offset: u64,
    },
    /// A metadata key occurs twice.
    #[error("metadata key {key:?} occurs twice, the second time at offset {offset}")]
    DuplicateKey {
        /// The key.
        key: String,
        /// Where it stands the second time.
        offset: u64,
    },
    /// `general.alignment` cannot be an alignment.
    #[error("general.alignment is {found}; expected a u32 power of two up to {limit}")]
    Alignment {
        /// The value, as text, since its type may be the problem.
        found: String,
        /// The largest that is allowed.
        limit: u32,
    },
    /// A tensor's name occurs twice.
    #[error("tensor {tensor:?} occurs twice, the second time at offset {offset}")]
    DuplicateTensor {
        /// The name.
        tensor: String,
        /// Where its description stands the second time.
        offset: u64,
    },
    /// A tensor has more dimensions than GGUF knows.
    #[error("tensor {tensor:?} has {found} dimensions; GGUF knows at most 4")]
    Dimensions {
        /// The tensor's name.
        tensor: String,
        /// How many it claims.
        found: u32,
    },
    /// A tensor has no elements.
    #[error("tensor {tensor:?} has a dimension of 0: {shape:?}")]
    Empty {
        /// The tensor's name.
        tensor: String,
        /// Its shape, contiguous dimension first.
        shape: Vec<u64>,
    },
    /// A tensor's size does not fit 63 bits.
    #[error("tensor {tensor:?} of shape {shape:?} is larger than any file")]
    ShapeOverflow {
        /// The tensor's name.
        tensor: String,
        /// Its shape, contiguous dimension first.
        shape: Vec<u64>,
    },
    /// A tensor's rows are not whole blocks of its type.
    #[error(
        "tensor {tensor:?}: rows of {row} are not whole {} blocks of {block}",
        type_name(*type_id)
    )]
    PartialBlock {
        /// The tensor's name.
        tensor: String,
        /// Its type's number.
        type_id: u32,
        /// Elements in a row.
        row: u64,
        /// Elements in a block.
        block: u64,
    },
    /// A tensor does not start on a multiple of the alignment.
    #[error(
        "tensor {tensor:?}: data offset {offset} is not a multiple of the alignment {alignment}"
    )]
    Misaligned {
        /// The tensor's name.
        tensor: String,
        /// Its offset from the start of the data section.
        offset: u64,
        /// The file's alignment.
        alignment: u32,
    },
    /// A tensor starts inside another.
    #[error("tensor {tensor:?} at data offset {offset} overlaps {other:?}; expected {expected}")]
    Overlap {
        /// The tensor's name.
        tensor: String,
        /// The tensor that it lies in.
        other: String,
        /// Its offset from the start of the data section.
        offset: u64,
        /// Where it should start: the aligned end of the tensor before.
        expected: u64,
    },
    /// A tensor leaves room behind the one before, so that sizes and offsets contradict each other.
    #[error(
        "tensor {tensor:?} is at data offset {offset}, but {before} before it ends at {expected}"
    )]
    Gap {
        /// The tensor's name.
        tensor: String,
        /// What lies before it, whose size may be the one that is wrong.
        before: String,
        /// Its offset from the start of the data section.
        offset: u64,
        /// Where it should start: the aligned end of the tensor before.
        expected: u64,
    },
    /// A tensor ends behind the file's end.
    #[error(
        "truncated: tensor {tensor:?} needs {bytes} bytes at offset {offset}, but the file ends at {len}; fetch it again"
    )]
    PastEnd {
        /// The tensor's name.
        tensor: String,
        /// Where its data start in the file.
        offset: u64,
        /// Its size in bytes.
        bytes: u64,
        /// The file's length.
        len: u64,
    },
    /// A type that has no known size cannot be written.
    #[error("tensor {tensor:?}: type {} cannot be written", type_name(*type_id))]
    UnknownType {
        /// The tensor's name.
        tensor: String,
        /// The type's number.
        type_id: u32,
    },
    /// Data of the wrong size were given for a tensor that is being written.
    #[error("tensor {tensor:?}: {expected} bytes were announced, {found} given")]
    TensorData {
        /// The tensor's name.
        tensor: String,
        /// Its size by shape and type.
        expected: u64,
        /// How many bytes there are.
        found: u64,
    },
}
