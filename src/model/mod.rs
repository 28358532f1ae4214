//! From a file to tokens.

pub mod chat;
pub mod gguf;
pub mod sampler;
pub mod tokenizer;
