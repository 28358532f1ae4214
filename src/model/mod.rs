//! From a file to tokens.

pub mod gguf;
// TEMPORARY, not to be merged.
pub use crate::engine_stub::model::*;
