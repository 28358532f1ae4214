//! How a text is cut into words before byte-pair merges, by the name in `tokenizer.ggml.pre`.
//!
//! The names and rules are llama.cpp's (`llama-vocab.cpp`, `llm_tokenizer_bpe`; names in
//! `llama_vocab::impl::load`). A rule is one or more patterns: each cuts every piece that the one
//! before it left into its matches and the gaps between them.
//!
//! Most patterns end in `\s+(?!\S)|\s+`: white space, but for the last character before a word.
//! Here that look-ahead is arithmetic instead ([`Tail`]), so that the linear-time `regex` crate
//! does the rest, and no text can make it backtrack.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::platform::{Regex, Text};

/// What follows a pattern's alternatives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    /// Nothing.
    None,
    /// `|\s+(?!\S)|\s+`
    Space,
    /// `|\s*[\r\n]+|\s+(?!\S)|\s+`
    Lines,
    /// `|\s*[\r\n]|\s+(?!\S)|\s+`
    Line,
}

impl Tail {
    fn pattern(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Space => r"|\s+",
            Self::Lines => r"|\s*[\r\n]+|\s+",
            Self::Line => r"|\s*[\r\n]|\s+",
        }
    }

    /// Where a match ends once the look-ahead is heeded: white space leaves its last character to a
    /// word that follows it, unless the match is a line break's.
    fn end(self, text: &str, found: Range<usize>) -> usize {
        let matched = &text[found.clone()];
        let is_space = self != Self::None && matched.chars().all(char::is_whitespace);
        let Some(last) = matched.chars().next_back() else { return found.end };
        let is_line = self != Self::Space && matches!(last, '\r' | '\n');
        if !is_space || is_line || found.end == text.len() || matched.len() == last.len_utf8() {
            return found.end;
        }
        found.end - last.len_utf8()
    }
}

/// A pattern and its tail.
type Pattern = (&'static str, Tail);

/// A rule with the names that choose it, and what else those names imply.
struct Rule {
    names: &'static [&'static str],
    patterns: &'static [Pattern],
    /// A word that is a token is taken whole, without merging.
    ignore_merges: bool,
    /// Where the file does not say: begin with the BOS token.
    add_bos: bool,
}

const fn rule(names: &'static [&'static str], patterns: &'static [Pattern]) -> Rule {
    Rule { names, patterns, ignore_merges: false, add_bos: false }
}

const GPT2: Pattern =
    (r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+", Tail::Space);
const DIGIT: Pattern = (r"\p{N}", Tail::None);
const THREE_DIGITS: Pattern = ("[0-9][0-9][0-9]", Tail::None);
const LLAMA3: Pattern = (
    r"'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*",
    Tail::Lines,
);
const QWEN2: Pattern = (
    r"'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*",
    Tail::Lines,
);
const QWEN35: Pattern = (
    r"'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*",
    Tail::Lines,
);
const SEED_CODER: Pattern = (
    r"'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+",
    Tail::Lines,
);
const BAILING: Pattern = (
    r"'[sSdDmMtT]|'[lL][lL]|'[vV][eE]|'[rR][eE]|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*",
    Tail::Line,
);
const TEKKEN: Pattern = (
    r"[^\r\n\p{L}\p{N}]?[\p{L}&&[^a-z]]*[\p{L}&&[^A-Z]]+|[^\r\n\p{L}\p{N}]?[\p{L}&&[^a-z]]+[\p{L}&&[^A-Z]]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*",
    Tail::Lines,
);
const GPT4O: Pattern = (
    r"[^\r\n\p{L}\p{N}]?[\p{L}&&[^a-z]]*[\p{L}&&[^A-Z]]+(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|[^\r\n\p{L}\p{N}]?[\p{L}&&[^a-z]]+[\p{L}&&[^A-Z]]*(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*",
    Tail::Lines,
);
const DEEPSEEK3: Pattern = (
    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"##,
    Tail::Lines,
);
// llama.cpp takes the white space out of these ranges (U+3000 and others).
const CJK: Pattern = (r"[[一-龥ࠀ-一가-퟿]--\s]+", Tail::None);
const BLOOM: Pattern = (" ?[^(\\s|.,!?…。，、।۔،)]+", Tail::None);

static RULES: &[Rule] = &[
    rule(
        &[
            "gpt-2",
            "phi-2",
            "jina-es",
            "jina-de",
            "jina-v2-es",
            "jina-v2-de",
            "gigachat",
            "a.x-4.0",
            "mellum",
            "mpt",
            "olmo",
            "jais",
            "trillion",
            "exaone4",
            "granite-docling",
        ],
        &[GPT2],
    ),
    rule(
        &[
            "smollm",
            "starcoder",
            "refact",
            "command-r",
            "codeshell",
            "exaone",
            "minerva-7b",
            "mellum2",
        ],
        &[DIGIT, GPT2],
    ),
    Rule {
        names: &[
            "llama-bpe",
            "llama3",
            "llama-v3",
            "falcon3",
            "falcon-h1",
            "pixtral",
            "midm-2.0",
            "lfm2",
        ],
        patterns: &[LLAMA3],
        ignore_merges: true,
        add_bos: true,
    },
    rule(&["dbrx", "smaug-bpe", "glm4", "chatglm-bpe"], &[LLAMA3]),
    rule(
        &[
            "qwen2",
            "deepseek-r1-qwen",
            "kormo",
            "f2llmv2",
            "megrez",
            "stablelm2",
            "hunyuan",
            "solar-open",
            "grok-2",
        ],
        &[QWEN2],
    ),
    rule(&["qwen35"], &[QWEN35]),
    rule(&["seed-coder"], &[SEED_CODER]),
    rule(&["bailingmoe", "bailingmoe2", "llada-moe"], &[BAILING]),
    Rule { names: &["tekken"], patterns: &[TEKKEN], ignore_merges: true, add_bos: true },
    rule(&["gpt-4o", "llama4", "kanana2", "minimax-m2"], &[GPT4O]),
    rule(
        &["deepseek-v3", "hunyuan-dense", "joyai-llm"],
        &[(r"\p{N}{1,3}", Tail::None), ("[一-龥぀-ゟ゠-ヿ]+", Tail::None), DEEPSEEK3],
    ),
    rule(
        &["deepseek-coder"],
        &[
            (r"[\r\n]", Tail::None),
            (r"\s?\p{L}+", Tail::None),
            (r"\s?\p{P}+", Tail::None),
            CJK,
            DIGIT,
        ],
    ),
    rule(&["falcon"], &[(r"[\p{P}$+<=>\^~|`]+", Tail::None), GPT2, THREE_DIGITS]),
    rule(&["bloom", "poro-chat", "gpt3-finnish"], &[BLOOM]),
    rule(&["viking"], &[BLOOM, DIGIT]),
    rule(
        &["default"],
        &[(r"[\p{P}$+<=>\^~|]+", Tail::None), GPT2, (r"\p{N}+", Tail::None), THREE_DIGITS],
    ),
];

/// All the names that [`PreTokenizer::by_name`] knows.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    RULES.iter().flat_map(|rule| rule.names.iter().copied())
}

/// A rule, ready to cut.
#[derive(Debug, Clone)]
pub(super) struct PreTokenizer {
    patterns: Vec<(Regex, Tail)>,
    pub(super) ignore_merges: bool,
    pub(super) add_bos: bool,
}

impl PreTokenizer {
    /// The rule of this name. Errors: an unknown name, with the known ones.
    pub(super) fn by_name(name: &str) -> Result<Self> {
        let Some(rule) = RULES.iter().find(|rule| rule.names.contains(&name)) else {
            let known: Vec<_> = names().collect();
            let problem =
                format!("no pre-tokenizer is called {name:?}; known: {}", known.join(", "));
            return Err(Error::config("tokenizer.ggml.pre", problem));
        };
        let compile = |&(pattern, tail): &Pattern| {
            let regex = Regex::new(&(of_unicode_15_1(pattern) + tail.pattern()));
            regex.map(|r| (r, tail)).map_err(|e| Error::Tokenizer(e.to_string()))
        };
        let patterns = rule.patterns.iter().map(compile).collect::<Result<_>>()?;
        Ok(Self { patterns, ignore_merges: rule.ignore_merges, add_bos: rule.add_bos })
    }

    /// The words of `text` in order; together they are the whole text.
    pub(super) fn split<'t>(&self, text: &'t str) -> Vec<&'t str> {
        let mut pieces = if text.is_empty() { vec![] } else { vec![text] };
        for (regex, tail) in &self.patterns {
            let mut next = Vec::with_capacity(pieces.len());
            for piece in pieces {
                cut(regex, *tail, piece, &mut next);
            }
            pieces = next;
        }
        pieces
    }
}

/// llama.cpp's tables of letters, digits and so on are Unicode 15.1's, and so the vocabularies were
/// learned; a character that is newer is neither.
fn of_unicode_15_1(pattern: &str) -> String {
    let mut pattern = pattern.to_owned();
    for class in [r"\p{L}", r"\p{M}", r"\p{N}", r"\p{P}", r"\p{S}"] {
        pattern = pattern.replace(class, &format!(r"[{class}&&\p{{Age=15.1}}]"));
    }
    pattern
}

fn cut<'t>(regex: &Regex, tail: Tail, text: &'t str, pieces: &mut Vec<&'t str>) {
    let mut start = 0;
    let searched = Text::new(text);
    while let Some(found) = regex.find_at(&searched, start) {
        if found.start() > start {
            pieces.push(&text[start..found.start()]);
        }
        // No pattern matches the empty string and a tail leaves at least one character: this ends.
        start = tail.end(text, found.range());
        pieces.push(&text[found.start()..start]);
    }
    if start < text.len() {
        pieces.push(&text[start..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_compiles_and_names_are_unique() {
        let mut seen = std::collections::HashSet::new();
        for name in names() {
            assert!(seen.insert(name), "{name} twice");
            let pre = PreTokenizer::by_name(name).unwrap();
            let text = "a  b\n\n c's 12345 \t\r\n\u{3000}é…!? ";
            assert_eq!(pre.split(text).concat(), text, "{name}");
            assert!(pre.split(text).iter().all(|piece| !piece.is_empty()), "{name}");
        }
    }

    #[test]
    fn an_unknown_rule_is_named() {
        let error = PreTokenizer::by_name("klingon").unwrap_err().to_string();
        assert!(error.contains("klingon") && error.contains("smollm"), "{error}");
    }
}
