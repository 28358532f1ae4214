//! From a file to tokens.

pub mod chat;
pub mod config;
pub mod gguf;
pub mod sampler;
pub mod source;
pub mod tokenizer;
