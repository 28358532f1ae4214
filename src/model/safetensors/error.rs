//! What can be wrong with a safetensors file, in values. Offsets are bytes from the start of the
//! data section, which is where the file's header counts them from.

/// What is wrong with a safetensors file.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SafetensorsError {
    /// The file does not even have a header's length.
    #[error("not a safetensors file: it has {len} bytes, and the length of its header takes 8")]
    TooShort {
        /// The file's length.
        len: u64,
    },
    /// The header is larger than safetensors allows.
    #[error("not a safetensors file: a header of {header} bytes, and at most {limit} are allowed")]
    HeaderTooLarge {
        /// Its length, as the file's first 8 bytes have it.
        header: u64,
        /// The largest that is read.
        limit: u64,
    },
    /// The header ends behind the file's end.
    #[error("truncated: a header of {header} bytes, but the file has {len}; fetch it again")]
    HeaderLength {
        /// Its length, as the file's first 8 bytes have it.
        header: u64,
        /// The file's length.
        len: u64,
    },
    /// The header is not UTF-8.
    #[error("the header is not UTF-8 at byte {at}")]
    NotUtf8 {
        /// The first byte of the header that cannot be text.
        at: u64,
    },
    /// The header is no JSON, or not the JSON of safetensors.
    #[error("the header is not what safetensors has: {problem}")]
    Json {
        /// The parser's complaint, with line and column.
        problem: String,
    },
    /// A tensor's name has no characters.
    #[error("a tensor has no name")]
    EmptyName,
    /// A name occurs twice.
    #[error("{name:?} occurs twice")]
    Duplicate {
        /// The tensor's name or the key.
        name: String,
    },
    /// A tensor has more dimensions than this build works with.
    #[error("tensor {tensor:?} has {found} dimensions; at most 4 are supported")]
    Dimensions {
        /// The tensor's name.
        tensor: String,
        /// How many it claims.
        found: usize,
    },
    /// A tensor has no elements.
    #[error("tensor {tensor:?} has a dimension of 0: {shape:?}")]
    Empty {
        /// The tensor's name.
        tensor: String,
        /// Its shape, contiguous dimension last.
        shape: Vec<u64>,
    },
    /// A tensor's size does not fit 63 bits.
    #[error("tensor {tensor:?} of shape {shape:?} is larger than any file")]
    ShapeOverflow {
        /// The tensor's name.
        tensor: String,
        /// Its shape, contiguous dimension last.
        shape: Vec<u64>,
    },
    /// A tensor's rows are not whole blocks, or whole bytes, of its type.
    #[error("tensor {tensor:?}: rows of {row} are not whole {format} blocks of {block}")]
    PartialBlock {
        /// The tensor's name.
        tensor: String,
        /// Its type.
        format: String,
        /// Elements in a row.
        row: u64,
        /// Elements in a block.
        block: u64,
    },
    /// A tensor ends before it begins.
    #[error("tensor {tensor:?} has data from {begin} to {end}")]
    Offsets {
        /// The tensor's name.
        tensor: String,
        /// Where it begins.
        begin: u64,
        /// Where it ends.
        end: u64,
    },
    /// A tensor's size is not that of its shape and type.
    #[error(
        "tensor {tensor:?}: {type_name} of shape {shape:?} takes {expected} bytes, not {found}"
    )]
    Size {
        /// The tensor's name.
        tensor: String,
        /// Its type.
        type_name: String,
        /// Its shape, contiguous dimension last.
        shape: Vec<u64>,
        /// The size by shape and type.
        expected: u64,
        /// The size by its offsets.
        found: u64,
    },
    /// A tensor begins inside another.
    #[error("tensor {tensor:?} at {begin} overlaps {other:?}, which ends at {expected}")]
    Overlap {
        /// The tensor's name.
        tensor: String,
        /// The tensor that it begins in.
        other: String,
        /// Where it begins.
        begin: u64,
        /// Where it should begin.
        expected: u64,
    },
    /// There are bytes between two tensors, which safetensors does not allow.
    #[error("tensor {tensor:?} is at {begin}, but {before} before it ends at {expected}")]
    Hole {
        /// The tensor's name.
        tensor: String,
        /// What lies before it.
        before: String,
        /// Where it begins.
        begin: u64,
        /// Where it should begin.
        expected: u64,
    },
    /// A tensor ends behind the file's end.
    #[error(
        "truncated: tensor {tensor:?} ends at {end}, but the file has {len} bytes of data; fetch it again"
    )]
    PastEnd {
        /// The tensor's name.
        tensor: String,
        /// Where it ends.
        end: u64,
        /// The size of the data section.
        len: u64,
    },
    /// There are bytes behind the last tensor.
    #[error("the last tensor ends at {end}, but the file has {len} bytes of data")]
    Trailing {
        /// Where the last tensor ends.
        end: u64,
        /// The size of the data section.
        len: u64,
    },
    /// A Mantissa file of a version that this build does not read.
    #[error("{key} is {found:?}; this build reads \"1\"")]
    Version {
        /// The key in `__metadata__`.
        key: &'static str,
        /// What it says.
        found: String,
    },
    /// A value of `__metadata__` that Mantissa wrote is not what it should be.
    #[error("{key}: {problem}")]
    Metadata {
        /// The key in `__metadata__`, or the key of a value in `mantissa.metadata`.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Data of the wrong size were given for a tensor that is being written.
    #[error("tensor {tensor:?}: {expected} bytes were announced, {found} given")]
    TensorData {
        /// The tensor's name.
        tensor: String,
        /// Its size by shape and format.
        expected: u64,
        /// How many bytes there are.
        found: u64,
    },
}
