//! Text from tokens that come one by one.

use super::Tokenizer;
use crate::error::Result;

/// Turns generated tokens into text as they come. A token may end in the middle of a character;
/// what is incomplete waits for the next one. Control tokens print nothing.
#[derive(Debug, Clone)]
pub struct DecodeStream<'a> {
    tokenizer: &'a Tokenizer,
    pending: Vec<u8>,
}

impl<'a> DecodeStream<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer, pending: Vec::new() }
    }

    /// The text that is complete with this token, if any. Bytes that can never become a character
    /// give U+FFFD. Errors: an id outside the vocabulary.
    pub fn push(&mut self, id: u32) -> Result<Option<String>> {
        self.tokenizer.append(id, false, &mut self.pending)?;
        let text = take_complete(&mut self.pending);
        Ok(Some(text).filter(|t| !t.is_empty()))
    }

    /// The end: U+FFFD for a character that was never completed.
    pub fn finish(self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.pending).into_owned();
        Some(text).filter(|t| !t.is_empty())
    }
}

/// Takes all but an incomplete character at the end.
fn take_complete(bytes: &mut Vec<u8>) -> String {
    let mut text = String::new();
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        match std::str::from_utf8(rest) {
            Ok(valid) => {
                text.push_str(valid);
                rest = &[];
            }
            Err(error) => {
                let (valid, after) = rest.split_at(error.valid_up_to());
                text.push_str(&String::from_utf8_lossy(valid));
                rest = after;
                let Some(invalid) = error.error_len() else { break };
                text.push(char::REPLACEMENT_CHARACTER);
                rest = &rest[invalid..];
            }
        }
    }
    let kept = rest.len();
    bytes.drain(..bytes.len() - kept);
    text
}
