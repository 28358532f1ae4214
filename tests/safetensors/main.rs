//! safetensors: files of our own and Hugging Face's folders. No GPU, no network, no model.
//!
//! - `mantissa`: what the writer writes is read back, by us and by the safetensors crate
//! - `folder`: Hugging Face models: configuration, names, shards, tokenizer
//! - `hostile`: files that break one rule each; the error must be that rule's and name the thing
//! - `settings`: `config.json`, indices and `tokenizer.json` that are wrong
//! - `tokenizers`: `tokenizer.json` against the `tokenizers` package
//! - `mutate`: random damage; no panic, no absurd allocation

mod folder;
mod hostile;
mod mantissa;
#[path = "../gguf/memory.rs"]
mod memory;
mod mutate;
mod settings;
mod support;
mod tokenizers;
