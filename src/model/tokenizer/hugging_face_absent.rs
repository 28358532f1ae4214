//! Stands in for `hugging_face.rs` in builds without the feature `tokenizer-json`, which is half of
//! what a page would have to download.

use std::convert::Infallible;

use super::data::Token;
use crate::error::{Error, Result};

/// As in `hugging_face.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decoding {
    ByteLevel,
    Spm(bool),
}

/// There is none.
#[derive(Debug, Clone)]
pub(super) struct HuggingFace {
    pub(super) decoding: Decoding,
    never: Infallible,
}

impl HuggingFace {
    pub(super) fn new(_json: &str, _tokens: &[Token]) -> Result<Self> {
        Err(Error::Tokenizer(
            "this build reads no tokenizer.json; use a GGUF file, or the feature tokenizer-json"
                .into(),
        ))
    }

    pub(super) fn encode(&self, _: &str, _: bool, _: bool, _: usize) -> Result<Vec<u32>> {
        match self.never {}
    }
}
