//! Byte-level BPE (GPT-2 and its heirs): the merges are the `tokenizers` crate's.

use std::collections::HashSet;

use tokenizers::Model as _;
use tokenizers::models::bpe::{BPE, Vocab};

use super::data::{MERGES, Token};
use super::pre::PreTokenizer;
use crate::error::{Error, Result};

/// GPT-2's alphabet (`bytes_to_unicode`): printable Latin-1 stands for itself, each other byte, in
/// order, for a character from U+0100 on.
static ALPHABET: [char; 256] = alphabet();

const fn alphabet() -> [char; 256] {
    let mut chars = ['\0'; 256];
    let (mut byte, mut next) = (0, 0);
    while byte < 256 {
        let is_itself = matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
        let code = if is_itself { byte } else { 256 + next };
        next += !is_itself as u32;
        chars[byte as usize] = match char::from_u32(code) {
            Some(char) => char,
            None => '\0',
        };
        byte += 1;
    }
    chars
}

/// The byte that a character of the alphabet stands for.
fn byte_of(char: char) -> Option<u8> {
    let code = u32::from(char);
    match code {
        // 68 bytes do not stand for themselves: 0x00..=0x20, 0x7f..=0xa0 and 0xad.
        0x100..=0x120 => Some((code - 0x100) as u8),
        0x121..=0x142 => Some((code - 0x121 + 0x7f) as u8),
        0x143 => Some(0xad),
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => Some(code as u8),
        _ => None,
    }
}

#[derive(Debug, Clone)]
pub(super) struct Bpe {
    pre: PreTokenizer,
    model: BPE,
    /// One past the vocabulary: what the model gives for a byte without a token. llama.cpp leaves
    /// such bytes out, and nothing merges over them; so do we.
    missing: u32,
}

impl Bpe {
    pub(super) fn new(
        tokens: &[Token],
        merges: Option<Vec<String>>,
        pre: PreTokenizer,
    ) -> Result<Self> {
        let merges = merges.ok_or_else(|| Error::config(MERGES, "missing; BPE needs it"))?;
        let mut vocabulary: Vocab = tokens.iter().map(|t| t.text.clone()).zip(0..).collect();
        let missing = tokens.len() as u32;
        let mut name = String::from(" ");
        while vocabulary.contains_key(&name) {
            name.push(' ');
        }
        vocabulary.insert(name.clone(), missing);
        let model = BPE::builder()
            .vocab_and_merges(vocabulary, parse_merges(&merges)?)
            .unk_token(name)
            .ignore_merges(pre.ignore_merges)
            .build()
            .map_err(|e| Error::config(MERGES, e))?;
        Ok(Self { pre, model, missing })
    }

    pub(super) fn encode(&self, text: &str, ids: &mut Vec<u32>) -> Result<()> {
        let mut word = String::new();
        for piece in self.pre.split(text) {
            word.clear();
            word.extend(piece.bytes().map(|b| ALPHABET[usize::from(b)]));
            let tokens = self.model.tokenize(&word).map_err(|e| Error::Tokenizer(e.to_string()))?;
            ids.extend(tokens.iter().map(|t| t.id).filter(|id| *id != self.missing));
        }
        Ok(())
    }
}

/// Pairs in order of rank; of equal ones the first counts.
fn parse_merges(merges: &[String]) -> Result<Vec<(String, String)>> {
    let mut seen = HashSet::with_capacity(merges.len());
    let mut pairs = Vec::with_capacity(merges.len());
    for (rank, merge) in merges.iter().enumerate() {
        // The left token may itself begin with a space, as llama.cpp reads it.
        let space = merge.char_indices().skip(1).find(|(_, c)| *c == ' ').map(|(at, _)| at);
        let Some((left, right)) = space.map(|at| (&merge[..at], &merge[at + 1..])) else {
            return Err(Error::config(
                MERGES,
                format!("entry {rank} ({merge:?}) is not two tokens"),
            ));
        };
        if seen.insert(merge.as_str()) {
            pairs.push((left.to_owned(), right.to_owned()));
        }
    }
    Ok(pairs)
}

/// The bytes of a token's text; a character outside the alphabet stands for itself.
pub(super) fn decode(text: &str, bytes: &mut Vec<u8>) {
    for char in text.chars() {
        match byte_of(char) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_is_a_bijection() {
        for byte in 0..=255u8 {
            assert_eq!(byte_of(ALPHABET[usize::from(byte)]), Some(byte));
        }
        assert_eq!(ALPHABET[usize::from(b' ')], 'Ġ');
        assert_eq!(ALPHABET[usize::from(b'\n')], 'Ċ');
    }
}
