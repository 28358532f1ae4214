//! GGUF files.

/// What is wrong with a GGUF file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GgufError {
    /// The file does not begin with `GGUF`.
    #[error("not a GGUF file: begins with {found:02x?}")]
    Magic {
        /// The first four bytes.
        found: [u8; 4],
    },
}
// TEMPORARY, not to be merged.
pub use crate::engine_stub::gguf::*;
