//! From a file to tokens.

pub mod config;
pub mod gguf;
pub mod source;
