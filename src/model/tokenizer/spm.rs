//! SentencePiece's BPE as llama.cpp does it: of all neighbours that together are a token, join
//! those of the highest score, the leftmost of equals, until none are left.
//!
//! This is our own and not the `tokenizers` crate's, because there each pair has a rank of its own:
//! equal scores (most added tokens have them) cannot be told to go from left to right, and a token
//! whose single characters are not tokens cannot be reached.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use super::data::{TYPES, Token, TokenKind};
use crate::error::{Error, Result};

/// U+2581, which stands for a space.
const SPACE: &str = "\u{2581}";

#[derive(Debug, Clone)]
pub(super) struct Spm {
    ids: HashMap<String, u32>,
    scores: Vec<f32>,
    bytes: Vec<Option<u32>>,
    pub(super) add_space_prefix: bool,
}

/// A part of the text that is joined to its neighbours; empty once it is part of another.
#[derive(Clone, Copy)]
struct Symbol {
    start: usize,
    end: usize,
    previous: Option<usize>,
    next: Option<usize>,
}

/// Two neighbours that together are a token.
struct Pair {
    score: f32,
    left: usize,
    right: usize,
    /// Bytes of both: another number later means that one of them has been joined to a third.
    len: usize,
}

impl Ord for Pair {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.left.cmp(&self.left))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Pair {}

impl Spm {
    pub(super) fn new(tokens: &[Token], add_space_prefix: bool) -> Result<Self> {
        for (id, token) in tokens.iter().enumerate() {
            if token.kind == TokenKind::Byte && byte_of(&token.text).is_none() {
                let problem = format!("token {id} ({:?}) is not a byte like <0x0A>", token.text);
                return Err(Error::config(TYPES, problem));
            }
        }
        let ids: HashMap<_, _> = tokens.iter().map(|t| t.text.clone()).zip(0..).collect();
        let scores = tokens.iter().map(|t| t.score).collect();
        let by_text = |byte: u8| ids.get(&char::from(byte).to_string()).filter(|_| byte < 0x80);
        let bytes = (0..=255u8)
            .map(|byte| ids.get(&format!("<0x{byte:02X}>")).or_else(|| by_text(byte)).copied())
            .collect();
        Ok(Self { ids, scores, bytes, add_space_prefix })
    }

    /// Appends the ids of `text`; `is_start` says that it follows the beginning or a special token.
    pub(super) fn encode(&self, text: &str, is_start: bool, ids: &mut Vec<u32>) -> Result<()> {
        let prefix = if is_start && self.add_space_prefix { SPACE } else { "" };
        let text = format!("{prefix}{}", text.replace(' ', SPACE));
        let symbols = self.join(&text);
        let mut at = (!symbols.is_empty()).then_some(0);
        while let Some(symbol) = at.and_then(|i: usize| symbols.get(i)) {
            self.emit(&text[symbol.start..symbol.end], ids)?;
            at = symbol.next;
        }
        Ok(())
    }

    fn join(&self, text: &str) -> Vec<Symbol> {
        let mut symbols = characters(text);
        let mut queue = BinaryHeap::new();
        for right in 1..symbols.len() {
            self.propose(text, &symbols, Some(right - 1), Some(right), &mut queue);
        }
        while let Some(Pair { left, right, len, .. }) = queue.pop() {
            let (l, r) = (symbols[left], symbols[right]);
            if l.start == l.end
                || r.start == r.end
                || r.end - l.start != len
                || l.next != Some(right)
            {
                continue;
            }
            symbols[left].end = r.end;
            symbols[left].next = r.next;
            symbols[right].end = r.start;
            if let Some(next) = r.next {
                symbols[next].previous = Some(left);
            }
            self.propose(text, &symbols, l.previous, Some(left), &mut queue);
            self.propose(text, &symbols, Some(left), r.next, &mut queue);
        }
        symbols
    }

    fn propose(
        &self,
        text: &str,
        symbols: &[Symbol],
        left: Option<usize>,
        right: Option<usize>,
        queue: &mut BinaryHeap<Pair>,
    ) {
        let (Some(left), Some(right)) = (left, right) else { return };
        let joined = &text[symbols[left].start..symbols[right].end];
        let score = self.ids.get(joined).and_then(|id| self.scores.get(*id as usize));
        if let Some(&score) = score {
            queue.push(Pair { score, left, right, len: joined.len() });
        }
    }

    /// The token of a part, or those of its bytes.
    fn emit(&self, part: &str, ids: &mut Vec<u32>) -> Result<()> {
        if let Some(&id) = self.ids.get(part) {
            ids.push(id);
            return Ok(());
        }
        for byte in part.bytes() {
            let id = self.bytes.get(usize::from(byte)).copied().flatten();
            ids.push(id.ok_or_else(|| {
                Error::Tokenizer(format!("{part:?} has no token, nor has its byte 0x{byte:02X}"))
            })?);
        }
        Ok(())
    }
}

fn characters(text: &str) -> Vec<Symbol> {
    let mut symbols: Vec<Symbol> = Vec::with_capacity(text.len());
    for (start, char) in text.char_indices() {
        let index = symbols.len();
        let end = start + char.len_utf8();
        let next = (end < text.len()).then_some(index + 1);
        symbols.push(Symbol { start, end, previous: index.checked_sub(1), next });
    }
    symbols
}

/// The byte that a token like `<0x0A>` stands for.
fn byte_of(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    let is_hex = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)
}

/// The bytes of a token.
pub(super) fn decode(token: &Token, bytes: &mut Vec<u8>) {
    match token.kind {
        TokenKind::Byte => bytes.extend(byte_of(&token.text)),
        _ => bytes.extend_from_slice(token.text.replace(SPACE, " ").as_bytes()),
    }
}
