//! What a file says about its tokenizer, before any of it is believed.

use std::collections::HashSet;

use crate::error::{Error, Result};
use crate::model::gguf::Metadata;

pub(super) const TOKENS: &str = "tokenizer.ggml.tokens";
pub(super) const TYPES: &str = "tokenizer.ggml.token_type";
pub(super) const SCORES: &str = "tokenizer.ggml.scores";
pub(super) const MERGES: &str = "tokenizer.ggml.merges";
pub(super) const MODEL: &str = "tokenizer.ggml.model";
pub(super) const BOS: &str = "tokenizer.ggml.bos_token_id";
pub(super) const EOS: &str = "tokenizer.ggml.eos_token_id";
const HUGGING_FACE: &str = "tokenizer.huggingface.json";
const EOT: &str = "tokenizer.ggml.eot_token_id";
const EOM: &str = "tokenizer.ggml.eom_token_id";

/// The keys of fill-in-the-middle tokens: prefix, suffix, middle, padding, repository, file.
pub const FIM_KEYS: [&str; 6] = [
    "tokenizer.ggml.fim_pre_token_id",
    "tokenizer.ggml.fim_suf_token_id",
    "tokenizer.ggml.fim_mid_token_id",
    "tokenizer.ggml.fim_pad_token_id",
    "tokenizer.ggml.fim_rep_token_id",
    "tokenizer.ggml.fim_sep_token_id",
];

/// The tokenizer's metadata as a file has it; `None` for a key that is not there.
#[derive(Debug, Clone, Default)]
pub struct TokenizerData {
    /// `tokenizer.ggml.model`: `gpt2` (byte-level BPE) or `llama` (SentencePiece).
    pub model: String,
    /// `tokenizer.ggml.pre`: how BPE cuts a text into words.
    pub pre: Option<String>,
    /// `general.name`: Phi-3's special tokens swallow the white space after them, and only its name
    /// tells.
    pub name: Option<String>,
    /// `tokenizer.ggml.tokens`: the text of every token.
    pub tokens: Vec<String>,
    /// `tokenizer.ggml.token_type`, as long as `tokens`.
    pub token_types: Option<Vec<i32>>,
    /// `tokenizer.ggml.scores`, as long as `tokens`; SentencePiece needs it.
    pub scores: Option<Vec<f32>>,
    /// `tokenizer.ggml.merges`: two tokens with a space between, best first; BPE needs it.
    pub merges: Option<Vec<String>>,
    /// `tokenizer.ggml.bos_token_id`: begins a sequence.
    pub bos: Option<u32>,
    /// `tokenizer.ggml.eos_token_id`: ends a sequence.
    pub eos: Option<u32>,
    /// `tokenizer.ggml.eot_token_id`: ends a turn.
    pub eot: Option<u32>,
    /// `tokenizer.ggml.eom_token_id`: ends a message.
    pub eom: Option<u32>,
    /// Tokens of fill-in-the-middle models, in the order of [`FIM_KEYS`].
    pub fim: [Option<u32>; 6],
    /// `tokenizer.ggml.add_bos_token`: whether [`encode`](super::Tokenizer::encode) begins with it.
    pub add_bos: Option<bool>,
    /// `tokenizer.ggml.add_eos_token`: whether it ends with it.
    pub add_eos: Option<bool>,
    /// `tokenizer.ggml.add_space_prefix`: whether SentencePiece puts a space before a text.
    pub add_space_prefix: Option<bool>,
    /// `tokenizer.huggingface.json`: a whole `tokenizer.json`, which then goes before the model; of
    /// the other keys only the tokens, their types and the special ids count.
    pub huggingface: Option<String>,
}

/// What a token is for (`llama_token_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// Text.
    Normal,
    /// Stands for what has no token.
    Unknown,
    /// Steers the model and is never shown.
    Control,
    /// Text that is always one token.
    UserDefined,
    /// One byte, written `<0x0A>`.
    Byte,
    /// Never used; it has no text.
    Unused,
}

impl TokenKind {
    fn from_number(number: i32) -> Self {
        match number {
            1 => Self::Normal,
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::UserDefined,
            6 => Self::Byte,
            _ => Self::Unused,
        }
    }

    /// Whether it is recognised in a text before anything else is.
    pub(super) fn is_special(self) -> bool {
        matches!(self, Self::Control | Self::UserDefined | Self::Unknown)
    }

    /// Whether its text is left out of what is shown.
    pub(super) fn is_hidden(self) -> bool {
        matches!(self, Self::Control | Self::Unknown)
    }
}

/// A token: its text, kind and score.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) kind: TokenKind,
    pub(super) score: f32,
}

impl TokenizerData {
    /// Copies what a file says. Errors: [`Error::Config`] for a key of the wrong type.
    pub fn from_gguf(metadata: &Metadata) -> Result<Self> {
        let text = |key: &str| Ok::<_, Error>(metadata.str(key)?.map(str::to_owned));
        let strings = |key: &str| Ok::<_, Error>(metadata.strings(key)?.map(<[_]>::to_vec));
        let mut fim = [None; 6];
        for (id, key) in fim.iter_mut().zip(FIM_KEYS) {
            *id = metadata.u32(key)?;
        }
        // An unknown kind is no kind, in llama.cpp too.
        let kinds =
            |kinds: Vec<i64>| kinds.into_iter().map(|k| k.try_into().unwrap_or(0)).collect();
        let model = text(MODEL)?.unwrap_or_default();
        // What llama.cpp would do with a file goes first.
        let huggingface = if model.is_empty() { text(HUGGING_FACE)? } else { None };
        Ok(Self {
            huggingface,
            model,
            pre: text("tokenizer.ggml.pre")?,
            name: text("general.name")?,
            tokens: strings(TOKENS)?.unwrap_or_default(),
            token_types: metadata.i64s(TYPES)?.map(kinds),
            scores: metadata.f32s(SCORES)?.map(<[_]>::to_vec),
            merges: strings(MERGES)?,
            bos: metadata.u32(BOS)?,
            eos: metadata.u32(EOS)?,
            eot: metadata.u32(EOT)?,
            eom: metadata.u32(EOM)?,
            fim,
            add_bos: metadata.bool("tokenizer.ggml.add_bos_token")?,
            add_eos: metadata.bool("tokenizer.ggml.add_eos_token")?,
            add_space_prefix: metadata.bool("tokenizer.ggml.add_space_prefix")?,
        })
    }

    /// The vocabulary with its three arrays joined. Errors: none or too many tokens, arrays of
    /// different lengths, a text twice, a score that is not a number.
    pub(super) fn vocabulary(&mut self) -> Result<Vec<Token>> {
        let texts = std::mem::take(&mut self.tokens);
        if texts.is_empty() {
            return Err(Error::config(TOKENS, "missing or empty"));
        }
        if i32::try_from(texts.len()).is_err() {
            return Err(Error::config(TOKENS, format!("{} are too many", texts.len())));
        }
        let n = texts.len();
        same_length(TYPES, self.token_types.as_ref().map(Vec::len), n)?;
        same_length(SCORES, self.scores.as_ref().map(Vec::len), n)?;
        let types = self.token_types.take().unwrap_or_else(|| vec![1; n]);
        let scores = self.scores.take().unwrap_or_else(|| vec![0.0; n]);
        let mut tokens = Vec::with_capacity(n);
        for (id, ((text, kind), score)) in texts.into_iter().zip(types).zip(scores).enumerate() {
            if score.is_nan() {
                return Err(Error::config(SCORES, format!("the score of token {id} is NaN")));
            }
            let text = if text.is_empty() { format!("[EMPTY_{id}]") } else { text };
            // -0.0 and 0.0 are one score.
            tokens.push(Token { text, kind: TokenKind::from_number(kind), score: score + 0.0 });
        }
        unique(&tokens)?;
        Ok(tokens)
    }

    /// The ids that `tokens` must contain. Errors: an id outside of it, with its key.
    pub(super) fn check_ids(&self, vocabulary: usize) -> Result<()> {
        let ids = [(BOS, self.bos), (EOS, self.eos), (EOT, self.eot), (EOM, self.eom)];
        for (key, id) in ids.into_iter().chain(FIM_KEYS.into_iter().zip(self.fim)) {
            if id.is_some_and(|id| id as usize >= vocabulary) {
                let problem =
                    format!("{} is outside the vocabulary of {vocabulary}", id.unwrap_or(0));
                return Err(Error::config(key, problem));
            }
        }
        Ok(())
    }
}

fn same_length(key: &str, len: Option<usize>, tokens: usize) -> Result<()> {
    match len {
        Some(len) if len != tokens => {
            Err(Error::config(key, format!("{len} entries for {tokens} tokens in {TOKENS}")))
        }
        _ => Ok(()),
    }
}

fn unique(tokens: &[Token]) -> Result<()> {
    let mut seen = HashSet::with_capacity(tokens.len());
    for (id, token) in tokens.iter().enumerate() {
        if !seen.insert(token.text.as_str()) {
            return Err(Error::config(
                TOKENS,
                format!("{:?} is there twice, again as {id}", token.text),
            ));
        }
    }
    Ok(())
}
