//! GGUF files and model configurations: no GPU, no network, no model.
//!
//! - `golden`: a file that the `gguf` package wrote (`tests/golden/tiny_llama.py`)
//! - `hostile`: files that break one rule each; the error must be that rule's and name the thing
//! - `mutate`: random damage; no panic, no absurd allocation
//! - `sources`: memory maps, buffers, and sources that fetch ranges
//! - `config`: model configurations, right and wrong

mod config;
mod golden;
mod hostile;
mod memory;
mod mutate;
mod raw;
mod sources;

use std::sync::Arc;

use mantissa::Result;
use mantissa::model::Checkpoint;
use mantissa::model::gguf::Gguf;
use mantissa::model::source::Bytes;

/// The file of `tests/golden/tiny_llama.py`.
const TINY_LLAMA: &[u8] = include_bytes!("../golden/tiny_llama.gguf");

fn checkpoint(file: &[u8]) -> Result<Checkpoint> {
    pollster::block_on(Checkpoint::open(Arc::new(Bytes::new("test.gguf", file))))
}

fn read(file: &[u8]) -> Result<Gguf> {
    pollster::block_on(Gguf::read(&Bytes::new("test.gguf", file)))
}
