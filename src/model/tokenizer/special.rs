//! Special tokens: found in a text before it is tokenized, and those that end a generation.
//!
//! The rules are llama.cpp's (`llama_vocab::impl::load` and `tokenizer_st_partition`).

use super::data::{Token, TokenKind, TokenizerData};

/// Texts that end a generation wherever a vocabulary has them.
const ENDS: &[&str] = &[
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
];

/// Texts of fill-in-the-middle tokens, in the order of [`FIM_KEYS`](super::data::FIM_KEYS): a key in
/// the file goes before a text, and of several texts the lowest id counts (llama.cpp: any).
const FIM: [&[&str]; 6] = [
    &[
        "<|fim_prefix|>",
        "<fim-prefix>",
        "<fim_prefix>",
        "<｜fim▁begin｜>",
        "<PRE>",
        "▁<PRE>",
        "<|code_prefix|>",
        "<|prefix|>",
    ],
    &[
        "<|fim_suffix|>",
        "<fim-suffix>",
        "<fim_suffix>",
        "<｜fim▁hole｜>",
        "<SUF>",
        "▁<SUF>",
        "<|code_suffix|>",
        "<|suffix|>",
    ],
    &[
        "<|fim_middle|>",
        "<fim-middle>",
        "<fim_middle>",
        "<｜fim▁end｜>",
        "<MID>",
        "▁<MID>",
        "<|code_middle|>",
        "<|middle|>",
    ],
    &["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"],
    &["<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"],
    &["<|file_sep|>"],
];
/// The first of them that ends a generation: padding, and where another file begins.
const FIRST_FIM_END: usize = 3;

/// gpt-oss writes its channels with these; they are shown.
const SHOWN: &[&str] = &["<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"];

/// Corrects the kinds of tokens that are known by their text, and returns the ids that end a
/// generation, in ascending order.
pub(super) fn end_of_generation(tokens: &mut [Token], data: &TokenizerData) -> Vec<u32> {
    let mut ends = Vec::new();
    for (role, (key, texts)) in data.fim.into_iter().zip(FIM).enumerate() {
        let by_text =
            || (0..).zip(tokens.iter()).find(|(_, t)| texts.contains(&&*t.text)).map(|t| t.0);
        let Some(id) = key.or_else(by_text) else { continue };
        if key.is_none() {
            tokens[id as usize].kind = TokenKind::Control;
        }
        if role >= FIRST_FIM_END {
            ends.push(id);
        }
    }
    for (id, token) in (0..).zip(tokens.iter_mut()) {
        if ENDS.contains(&&*token.text) {
            ends.push(id);
            token.kind = TokenKind::Control;
        }
        if SHOWN.contains(&&*token.text) {
            token.kind = TokenKind::UserDefined;
        }
    }
    ends.extend([data.eos, data.eot, data.eom].into_iter().flatten());
    // In gpt-oss and solar-open `<|end|>` only ends a part; in gemma 4 `</s>` means nothing.
    let has = |ends: &[u32], text: &str| ends.iter().any(|&id| tokens[id as usize].text == text);
    let has_call = has(&ends, "<|call|>") || has(&ends, "<|calls|>");
    if has_call && (has(&ends, "<|return|>") || has(&ends, "<|flush|>")) {
        remove(&mut ends, tokens, "<|end|>", TokenKind::UserDefined);
    }
    let has = |ends: &[u32], text: &str| ends.iter().any(|&id| tokens[id as usize].text == text);
    if has(&ends, "<|tool_response>") {
        remove(&mut ends, tokens, "</s>", TokenKind::Normal);
    }
    ends.sort_unstable();
    ends.dedup();
    ends
}

fn remove(ends: &mut Vec<u32>, tokens: &mut [Token], text: &str, kind: TokenKind) {
    ends.retain(|&id| {
        let token = &mut tokens[id as usize];
        let is_it = token.text == text;
        if is_it {
            token.kind = kind;
        }
        !is_it
    });
}

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'t> {
    /// To be tokenized.
    Text(&'t str),
    /// A special token.
    Token(u32),
}

#[derive(Debug, Clone)]
struct Special {
    id: u32,
    text: String,
    is_hidden: bool,
    /// Swallows the white space after it.
    strips_right: bool,
}

/// The special tokens of a vocabulary, the longest first.
#[derive(Debug, Clone)]
pub(super) struct Specials(Vec<Special>);

impl Specials {
    pub(super) fn new(tokens: &[Token], model_name: Option<&str>) -> Self {
        let name = model_name.unwrap_or_default().to_ascii_lowercase();
        let is_phi3 = name.contains("phi-3") || name.contains("phi3");
        let keeps = ["<unk>", "<s>", "<|endoftext|>"];
        let special = |(id, t): (u32, &Token)| Special {
            id,
            text: t.text.clone(),
            is_hidden: t.kind.is_hidden(),
            strips_right: is_phi3 && !keeps.contains(&&*t.text),
        };
        let all = (0..).zip(tokens).filter(|(_, t)| t.kind.is_special());
        let mut specials: Vec<_> = all.map(special).collect();
        specials.sort_by_key(|s| std::cmp::Reverse(s.text.len()));
        Self(specials)
    }

    /// Cuts `text` at its special tokens, the longest of them first. Those that are never shown are
    /// only recognised with `parse_special`; user-defined ones always are.
    pub(super) fn partition<'t>(&self, text: &'t str, parse_special: bool) -> Vec<Part<'t>> {
        let mut parts = if text.is_empty() { vec![] } else { vec![Part::Text(text)] };
        for special in self.0.iter().filter(|s| parse_special || !s.is_hidden) {
            if text.contains(&special.text) {
                parts = parts.into_iter().flat_map(|part| cut(part, special)).collect();
            }
        }
        parts
    }
}

fn cut<'t>(part: Part<'t>, special: &Special) -> Vec<Part<'t>> {
    let Part::Text(mut text) = part else { return vec![part] };
    let mut parts = Vec::new();
    while let Some((left, right)) = text.split_once(&special.text) {
        if !left.is_empty() {
            parts.push(Part::Text(left));
        }
        parts.push(Part::Token(special.id));
        // C's isspace: Rust's ASCII white space and the vertical tab.
        let is_space = |c: char| c.is_ascii_whitespace() || c == '\x0b';
        text = if special.strips_right { right.trim_start_matches(is_space) } else { right };
    }
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    parts
}
