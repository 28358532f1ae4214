//! A `tokenizer.json`, run by the `tokenizers` crate: ids are Hugging Face's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use serde_json::Value as Json;

use super::data::Token;
use crate::error::{Error, Result};

/// How a token's text becomes bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decoding {
    /// Each character stands for a byte, as in GPT-2.
    ByteLevel,
    /// As SentencePiece: U+2581 for spaces, `<0x0A>` for bytes. With it, whether the first space of
    /// a text is taken away.
    Spm(bool),
}

#[derive(Debug, Clone)]
pub(super) struct HuggingFace {
    engine: tokenizers::Tokenizer,
    /// The same, taking special tokens for text; made when first asked for.
    plain: Arc<OnceLock<tokenizers::Tokenizer>>,
    pub(super) decoding: Decoding,
}

/// The crate panics on some files and texts; a file must not end the program.
fn caught<T>(f: impl FnOnce() -> tokenizers::Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => result.map_err(|e| Error::Tokenizer(e.to_string())),
        Err(_) => Err(Error::Tokenizer("the engine failed on tokenizer.json".into())),
    }
}

impl HuggingFace {
    pub(super) fn new(json: &str, tokens: &[Token]) -> Result<Self> {
        let problem = |e: &dyn std::fmt::Display| Error::Tokenizer(format!("tokenizer.json: {e}"));
        let file: Json = serde_json::from_str(json).map_err(|e| problem(&e))?;
        let decoding = decoding(&file["decoder"])?;
        let mut engine = caught(|| tokenizers::Tokenizer::from_bytes(json))?;
        engine.with_padding(None);
        engine.with_truncation(None).map_err(|e| problem(&e))?;
        for (id, added) in engine.get_added_tokens_decoder() {
            // Without a row in the embedding, a token is in no table of ours.
            let Some(token) = tokens.get(id as usize) else { continue };
            if token.text != added.content {
                let problem = format!("{:?} and {:?} both have id {id}", token.text, added.content);
                return Err(Error::Tokenizer(problem));
            }
        }
        Ok(Self { engine, plain: Arc::default(), decoding })
    }

    /// The ids of `text`, each below `vocabulary`.
    pub(super) fn encode(
        &self,
        text: &str,
        add_special: bool,
        parse_special: bool,
        vocabulary: usize,
    ) -> Result<Vec<u32>> {
        check_white_space(text)?;
        let engine =
            if parse_special { &self.engine } else { self.plain.get_or_init(|| self.plain()) };
        let encoding = caught(|| engine.encode_fast(text, add_special))?;
        match encoding.get_ids().iter().find(|id| **id as usize >= vocabulary) {
            Some(&id) => Err(Error::Token { id, vocabulary }),
            None => Ok(encoding.get_ids().to_vec()),
        }
    }

    fn plain(&self) -> tokenizers::Tokenizer {
        let mut plain = self.engine.clone();
        plain.set_encode_special_tokens(true);
        plain
    }
}

/// A tenth of the million steps back after which fancy-regex gives up, in silence: each alternative
/// of a pattern that ends in `\s*[\r\n]+|\s+(?!\S)|\s+` may go back over a run of white space.
const LONGEST_RUN: usize = 100_000;

fn check_white_space(text: &str) -> Result<()> {
    let runs = text.split(|c: char| !c.is_whitespace());
    match runs.map(str::len).max() {
        Some(run) if run > LONGEST_RUN => {
            let problem =
                format!("{run} bytes of white space in a row; at most {LONGEST_RUN} work");
            Err(Error::Tokenizer(problem))
        }
        _ => Ok(()),
    }
}

/// What the decoder of a file does, as far as we know it.
fn decoding(decoder: &Json) -> Result<Decoding> {
    let one = std::slice::from_ref(decoder);
    let steps = decoder["decoders"].as_array().map_or(one, Vec::as_slice);
    let find = |kind: &str| steps.iter().find(|step| step["type"] == kind);
    if find("ByteLevel").is_some() {
        return Ok(Decoding::ByteLevel);
    }
    let replaces = find("Replace").is_some_and(|step| step["pattern"]["String"] == "\u{2581}");
    let strips = find("Strip").is_some_and(|s| s["content"] == " " && s["start"] == 1);
    match find("Metaspace") {
        Some(step) => Ok(Decoding::Spm(step["prepend_scheme"] != "never")),
        None if replaces => Ok(Decoding::Spm(strips)),
        None => {
            let kinds: Vec<_> = steps.iter().map(|step| step["type"].to_string()).collect();
            let problem =
                format!("tokenizer.json: a decoder of {} is not supported", kinds.join(", "));
            Err(Error::Tokenizer(problem))
        }
    }
}
