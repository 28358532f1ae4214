//! From a file to tokens.

pub mod gguf;
