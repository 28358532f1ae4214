//! Which format a tensor gets, by its name and shape.

use std::str::FromStr;

use crate::error::{Error, Result};
use crate::formats::{self, FormatRef};
use crate::platform::Regex;

/// A format for all matrices, and exceptions by name.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// What a matrix gets that no rule names.
    pub format: FormatRef,
    /// Exceptions; of those that match a name, **the first** decides.
    pub rules: Vec<Rule>,
}

/// An exception: matrices whose name the pattern matches anywhere (anchor it with `^` and `$`) get
/// this format. Parsed from `REGEX=FORMAT`.
#[derive(Debug, Clone)]
pub struct Rule {
    /// What the name must match.
    pub pattern: Regex,
    /// The format.
    pub format: FormatRef,
}

impl FromStr for Rule {
    type Err = Error;

    /// # Errors
    /// [`Error::Rule`] where there is no `=` or the pattern is no regular expression,
    /// [`Error::UnknownFormat`].
    fn from_str(rule: &str) -> Result<Self> {
        let wrong = |problem: String| Error::Rule { rule: rule.into(), problem };
        let parts = rule.rsplit_once('=').filter(|(pattern, _)| !pattern.is_empty());
        let (pattern, format) =
            parts.ok_or_else(|| wrong("it must be REGEX=FORMAT, such as attn_v=q8_0".into()))?;
        let format = formats::by_name(format)?;
        let pattern = Regex::new(pattern).map_err(|e| wrong(e.to_string()))?;
        Ok(Self { pattern, format })
    }
}

/// Why a tensor gets its format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// It is a vector (a norm, a bias, a table of rotary factors): these stay f32, since they are
    /// small and much depends on them.
    Vector,
    /// No rule names it.
    Default,
    /// The rule of this index names it.
    Rule(usize),
}

/// What a recipe chooses for a tensor.
#[derive(Debug, Clone, Copy)]
pub struct Choice {
    /// The format that the tensor gets.
    pub format: FormatRef,
    /// The format that was asked for; another one where the rows are no multiple of its block.
    pub wanted: FormatRef,
    /// Why.
    pub because: Because,
}

impl Choice {
    /// Whether the rows do not fit the format that was asked for.
    pub fn is_fallback(&self) -> bool {
        self.format.name() != self.wanted.name()
    }
}

impl Recipe {
    /// All matrices in one format.
    pub fn new(format: FormatRef) -> Self {
        Self { format, rules: Vec::new() }
    }

    /// The same with one more rule, behind those that are there.
    pub fn with(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// What a tensor of this name and shape (contiguous dimension first) gets.
    ///
    /// # Errors
    /// [`Error::UnknownFormat`] where this build has no f32, which is never.
    pub fn choose(&self, name: &str, shape: &[u64]) -> Result<Choice> {
        if is_vector(name, shape) {
            let f32 = formats::by_name("f32")?;
            return Ok(Choice { format: f32, wanted: f32, because: Because::Vector });
        }
        let rule = self.rules.iter().position(|rule| rule.pattern.is_match(name));
        let (wanted, because) = match rule.and_then(|i| Some((i, self.rules.get(i)?))) {
            Some((i, rule)) => (rule.format, Because::Rule(i)),
            None => (self.format, Because::Default),
        };
        let k = shape.first().copied().unwrap_or(1);
        Ok(Choice { format: fitting(wanted, k)?, wanted, because })
    }
}

/// Norms, biases and rotary factors. Names are those of GGUF and of Hugging Face.
fn is_vector(name: &str, shape: &[u64]) -> bool {
    let rows: u64 = shape.iter().skip(1).product();
    let part = |word: &str| name.split('.').any(|part| part.ends_with(word));
    shape.len() < 2 || rows <= 1 || part("norm") || part("bias") || name.starts_with("rope_")
}

/// What takes the place of a format with large blocks where rows are no multiple of them:
/// llama.cpp's choices (`tensor_type_fallback` in src/llama-quant.cpp), but IQ4_NL for Q2_K and
/// Q3_K, as it once had, which has Q4_0's size and less error; and for the rest what has about the
/// same size.
const FALLBACKS: &[(&[&str], &str)] = &[
    (&["iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s", "iq4_xs"], "iq4_nl"),
    (&["q2_k", "q3_k"], "iq4_nl"),
    (&["tq1_0", "tq2_0"], "q4_0"),
    (&["q4_k"], "q5_0"),
    (&["q5_k"], "q5_1"),
    (&["q6_k"], "q8_0"),
    (&["nf4"], "iq4_nl"),
    (&["nvfp4"], "mxfp4"),
    (&["nvfp4_scaled"], "mxfp4_ocp"),
];

/// What is left for everything else; rows of any length fit the last.
const LAST: [&str; 2] = ["q8_0", "f16"];

/// Blocks that a parametrised format may have instead of a larger one, the largest first.
const SMALLER_BLOCKS: [usize; 3] = [64, 32, 16];

/// The format itself where rows of `k` weights are whole blocks of it, and otherwise the first of
/// its substitutes that they are. A name that this build does not have is passed over.
fn fitting(wanted: FormatRef, k: u64) -> Result<FormatRef> {
    let fits = |f: &FormatRef| k.is_multiple_of(f.block_len() as u64);
    if fits(&wanted) {
        return Ok(wanted);
    }
    let substitutes = substitutes(wanted.name());
    let known = substitutes.iter().filter_map(|name| formats::by_name(name).ok());
    match known.into_iter().find(fits) {
        Some(format) => Ok(format),
        None => formats::by_name("f32"),
    }
}

/// Names of formats to take instead, the first choice first.
fn substitutes(name: &str) -> Vec<String> {
    let mut names = Vec::new();
    // bfp:m4:n128 and e4m3:n128: the same with a smaller block.
    if let Some((member, n)) = name.rsplit_once(":n").and_then(|(m, n)| Some((m, n.parse().ok()?)))
    {
        let smaller = SMALLER_BLOCKS.iter().filter(|&&s: &&usize| s < n);
        names.extend(smaller.map(|s| format!("{member}:n{s}")));
    }
    let like = FALLBACKS.iter().filter(|(from, _)| from.contains(&name)).map(|(_, to)| *to);
    names.extend(like.chain(LAST).map(str::to_owned));
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::gguf::TENSOR_TYPES;

    fn choose(recipe: &Recipe, name: &str, shape: &[u64]) -> (String, Because) {
        let choice = recipe.choose(name, shape).unwrap();
        (choice.format.name().to_owned(), choice.because)
    }

    fn recipe(format: &str, rules: &[&str]) -> Recipe {
        let recipe = Recipe::new(formats::by_name(format).unwrap());
        rules.iter().fold(recipe, |recipe, rule| recipe.with(rule.parse().unwrap()))
    }

    #[test]
    fn vectors_stay_f32_whatever_a_rule_says() {
        let recipe = recipe("q4_0", &["norm=q8_0", "bias=q8_0", ".*=q8_0"]);
        let vectors: &[(&str, &[u64])] = &[
            ("blk.0.attn_norm.weight", &[64]),
            ("blk.0.attn_norm.weight", &[64, 2]),
            ("model.layers.0.input_layernorm.weight", &[64, 2]),
            ("blk.0.attn_q.bias", &[64]),
            ("rope_freqs.weight", &[32]),
            ("scalar", &[]),
            ("blk.0.one_row.weight", &[64, 1]),
        ];
        for (name, shape) in vectors {
            assert_eq!(choose(&recipe, name, shape), ("f32".into(), Because::Vector), "{name}");
        }
        let (format, because) = choose(&recipe, "blk.0.attn_q.weight", &[64, 2]);
        assert_eq!((format.as_str(), because), ("q8_0", Because::Rule(2)));
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let recipe = recipe("q4_0", &["^blk\\.1\\.=f16", "attn_v=q8_0", "attn_[qv]=q5_0"]);
        for (name, expected, because) in [
            ("blk.0.attn_v.weight", "q8_0", Because::Rule(1)),
            ("blk.0.attn_q.weight", "q5_0", Because::Rule(2)),
            ("blk.1.attn_v.weight", "f16", Because::Rule(0)),
            ("blk.11.attn_k.weight", "q4_0", Because::Default),
        ] {
            assert_eq!(choose(&recipe, name, &[64, 2]), (expected.into(), because), "{name}");
        }
    }

    #[test]
    fn a_rule_is_a_pattern_and_a_format() {
        let rule: Rule = "a=b=Q8_0".parse().unwrap();
        assert_eq!((rule.pattern.as_str(), rule.format.name()), ("a=b", "q8_0"));
        for (rule, says) in [
            ("attn_v", "REGEX=FORMAT"),
            ("=q8_0", "REGEX=FORMAT"),
            ("", "REGEX=FORMAT"),
            ("(=q8_0", "unclosed group"),
            ("a=", "no number format"),
            ("a=q9_9", "q9_9"),
            ("(a{99999}){99999}=q8_0", "size limit"),
        ] {
            let error = rule.parse::<Rule>().unwrap_err().to_string();
            assert!(error.contains(says), "{rule}: {error}");
        }
    }

    #[test]
    fn rows_that_are_no_whole_blocks_get_another_format() {
        let f = |name: &str| formats::by_name(name).unwrap();
        assert_eq!(fitting(f("q4_1"), 64).unwrap().name(), "q4_1");
        assert_eq!(fitting(f("q4_1"), 33).unwrap().name(), "f16");
        assert_eq!(fitting(f("f16"), 33).unwrap().name(), "f16");
        let choice = recipe("q4_0", &[]).choose("w", &[100, 2]).unwrap();
        assert!(choice.is_fallback() && choice.wanted.name() == "q4_0");
    }

    #[test]
    fn substitutes_are_those_of_the_table() {
        for (name, expected) in [
            ("q2_k", "iq4_nl q8_0 f16"),
            ("iq3_xxs", "iq4_nl q8_0 f16"),
            ("tq2_0", "q4_0 q8_0 f16"),
            ("q4_k", "q5_0 q8_0 f16"),
            ("q6_k", "q8_0 q8_0 f16"),
            ("nvfp4", "mxfp4 q8_0 f16"),
            ("int8", "q8_0 f16"),
            ("bfp:m4:n128", "bfp:m4:n64 bfp:m4:n32 bfp:m4:n16 q8_0 f16"),
            ("bfp:m4:n16", "q8_0 f16"),
            ("e4m3:ieee:n32", "e4m3:ieee:n16 q8_0 f16"),
            ("e4m3:row", "q8_0 f16"),
        ] {
            assert_eq!(substitutes(name).join(" "), expected, "{name}");
        }
    }

    /// A name may be of a format that is yet to be written, but not one that nobody has.
    #[test]
    fn every_name_of_the_table_is_a_format() {
        let of_ggml = |name: &str| TENSOR_TYPES.iter().any(|t| t.name.eq_ignore_ascii_case(name));
        for (from, to) in FALLBACKS {
            for name in from.iter().chain([to]).chain(&LAST) {
                assert!(of_ggml(name) || formats::by_name(name).is_ok(), "{name}");
            }
            let blocks = |name| formats::by_name(name).map(|f| f.block_len());
            for from in *from {
                if let (Ok(large), Ok(small)) = (blocks(from), blocks(to)) {
                    assert!(small < large, "{from} -> {to}");
                }
            }
        }
        // llama.cpp has a substitute for each format with blocks of 256, and so have we.
        for format in formats::all().filter(|f| f.block_len() == 256) {
            assert!(FALLBACKS.iter().any(|(from, _)| from.contains(&format.name())), "{format:?}");
        }
    }

    /// Every format of this build, at a K of the default model and at one that is nobody's multiple.
    #[test]
    fn every_format_finds_a_place() {
        for wanted in formats::all() {
            for k in [576, 1536, 96, 48, 100, 101] {
                let format = fitting(wanted, k).unwrap();
                assert!(k.is_multiple_of(format.block_len() as u64), "{format:?} at {k}");
            }
        }
    }
}
