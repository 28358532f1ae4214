//! Text to tokens and back, from what a model's files say about its tokenizer.
//!
//! Ids are llama.cpp's, byte for byte of the text: `gpt2` vocabularies are byte-level BPE by the
//! `tokenizers` crate, `llama` vocabularies SentencePiece by 100 lines of ours (their file says
//! why). With a Hugging Face `tokenizer.json`, ids are Hugging Face's. Decoding is lossless: llama.cpp's `clean_up_tokenization_spaces`, which drops spaces
//! before punctuation for some models, is left out.

mod bpe;
mod data;
#[cfg_attr(not(feature = "tokenizer-json"), path = "hugging_face_absent.rs")]
mod hugging_face;
mod pre;
mod special;
mod spm;
mod stream;

pub use data::{FIM_KEYS, TokenKind, TokenizerData};
pub use stream::DecodeStream;

use crate::error::{Error, Result};
use crate::model::checkpoint::Checkpoint;
use crate::model::gguf::Metadata;
use bpe::Bpe;
use data::{BOS, EOS, MODEL, SCORES, Token};
use hugging_face::{Decoding, HuggingFace};
use pre::PreTokenizer;
use special::{Part, Specials};
use spm::Spm;

/// A file's tokenizer.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    tokens: Vec<Token>,
    algorithm: Algorithm,
    specials: Specials,
    bos: Option<u32>,
    eos: Option<u32>,
    add_bos: bool,
    add_eos: bool,
    end_of_generation: Vec<u32>,
}

#[derive(Debug, Clone)]
enum Algorithm {
    Bpe(Box<Bpe>),
    Spm(Box<Spm>),
    HuggingFace(Box<HuggingFace>),
}

impl Tokenizer {
    /// The tokenizer of a file. Errors: as [`new`](Self::new).
    pub fn from_gguf(metadata: &Metadata) -> Result<Self> {
        Self::new(TokenizerData::from_gguf(metadata)?)
    }

    /// The tokenizer of a model: its `tokenizer.json` where it has one. Errors: as
    /// [`new`](Self::new).
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self> {
        let mut data = TokenizerData::from_gguf(&checkpoint.metadata)?;
        if let Some(json) = &checkpoint.tokenizer_json {
            data.huggingface = Some(json.to_string());
        }
        Self::new(data)
    }

    /// Builds a tokenizer. Errors: [`Error::Config`] with the key of what is missing, unknown or
    /// contradicts the rest.
    pub fn new(mut data: TokenizerData) -> Result<Self> {
        if let Some(json) = data.huggingface.take() {
            return Self::from_json(&json, data);
        }
        let has_scores = data.scores.is_some();
        let mut tokens = data.vocabulary()?;
        let is_bpe = match data.model.as_str() {
            "gpt2" => true,
            "llama" => false,
            "" => return Err(Error::config(MODEL, "missing")),
            other => {
                let problem = format!("{other:?} is not supported; known: gpt2, llama");
                return Err(Error::config(MODEL, problem));
            }
        };
        data.check_ids(tokens.len())?;
        default_ids(&mut data, is_bpe, tokens.len());
        let end_of_generation = special::end_of_generation(&mut tokens, &data);
        let (algorithm, add_bos) = if is_bpe {
            let pre = PreTokenizer::by_name(data.pre.as_deref().unwrap_or("default"))?;
            let add_bos = pre.add_bos;
            (Algorithm::Bpe(Box::new(Bpe::new(&tokens, data.merges.take(), pre)?)), add_bos)
        } else if has_scores {
            let add_space_prefix = data.add_space_prefix.unwrap_or(true);
            (Algorithm::Spm(Box::new(Spm::new(&tokens, add_space_prefix)?)), true)
        } else {
            return Err(Error::config(SCORES, "missing; the llama tokenizer needs it"));
        };
        let add_bos = data.add_bos.unwrap_or(add_bos);
        let add_eos = data.add_eos.unwrap_or(false);
        for (wanted, id, key) in [(add_bos, data.bos, BOS), (add_eos, data.eos, EOS)] {
            if wanted && id.is_none() {
                return Err(Error::config(key, "missing, but sequences are to have this token"));
            }
        }
        let specials = Specials::new(&tokens, data.name.as_deref());
        let TokenizerData { bos, eos, .. } = data;
        Ok(Self { tokens, algorithm, specials, bos, eos, add_bos, add_eos, end_of_generation })
    }

    /// A `tokenizer.json`, with the tokens and special ids of the metadata.
    fn from_json(json: &str, mut data: TokenizerData) -> Result<Self> {
        let mut tokens = data.vocabulary()?;
        data.check_ids(tokens.len())?;
        let end_of_generation = special::end_of_generation(&mut tokens, &data);
        let algorithm = Algorithm::HuggingFace(Box::new(HuggingFace::new(json, &tokens)?));
        let specials = Specials::new(&[], None);
        let TokenizerData { bos, eos, .. } = data;
        let (add_bos, add_eos) = (data.add_bos == Some(true), data.add_eos == Some(true));
        Ok(Self { tokens, algorithm, specials, bos, eos, add_bos, add_eos, end_of_generation })
    }

    /// The ids of `text`. `add_special` adds the BOS and EOS tokens that the model wants;
    /// `parse_special` takes the texts of control tokens for the tokens (never for untrusted text).
    ///
    /// A byte for which a BPE vocabulary has no token is left out, as llama.cpp does. Errors:
    /// [`Error::Tokenizer`] where a SentencePiece vocabulary has neither a text nor its bytes.
    pub fn encode(&self, text: &str, add_special: bool, parse_special: bool) -> Result<Vec<u32>> {
        if let Algorithm::HuggingFace(engine) = &self.algorithm {
            return engine.encode(text, add_special, parse_special, self.tokens.len());
        }
        let mut ids = Vec::with_capacity(text.len() / 3 + 2);
        ids.extend(self.bos.filter(|_| add_special && self.add_bos));
        let mut is_start = true;
        for part in self.specials.partition(text, parse_special) {
            match (part, &self.algorithm) {
                (Part::Token(id), _) => ids.push(id),
                (Part::Text(text), Algorithm::Bpe(bpe)) => bpe.encode(text, &mut ids)?,
                (Part::Text(text), Algorithm::Spm(spm)) => spm.encode(text, is_start, &mut ids)?,
                (Part::Text(_), Algorithm::HuggingFace(_)) => {} // has returned above
            }
            is_start = matches!(part, Part::Token(_));
        }
        ids.extend(self.eos.filter(|_| add_special && self.add_eos));
        Ok(ids)
    }

    /// The ids of a prompt that a [chat template](super::chat::ChatTemplate) has rendered: special
    /// tokens are parsed, and BOS comes once even where the template writes it too. No EOS: the
    /// answer follows. Errors: as [`encode`](Self::encode).
    pub fn encode_chat(&self, prompt: &str) -> Result<Vec<u32>> {
        let mut ids = self.encode(prompt, false, true)?;
        if let Some(bos) = self.bos.filter(|bos| self.add_bos && ids.first() != Some(bos)) {
            ids.insert(0, bos);
        }
        Ok(ids)
    }

    /// The text of `ids`; control tokens only with `keep_special`. Bytes that are not UTF-8 become
    /// U+FFFD. The space that SentencePiece puts before a text is taken away again. Errors:
    /// [`Error::Token`].
    pub fn decode(&self, ids: &[u32], keep_special: bool) -> Result<String> {
        let mut bytes = Vec::new();
        for &id in ids {
            self.append(id, keep_special, &mut bytes)?;
        }
        let text = String::from_utf8_lossy(&bytes);
        let first = ids.iter().find(|&&id| Some(id) != self.bos || keep_special);
        let has_prefix = match &self.algorithm {
            Algorithm::Spm(spm) => {
                spm.add_space_prefix && first.is_some_and(|&id| !self.is_hidden(id))
            }
            Algorithm::Bpe(_) => false,
            Algorithm::HuggingFace(engine) => {
                engine.decoding == Decoding::Spm(true)
                    && first.is_some_and(|&id| !self.is_hidden(id))
            }
        };
        Ok(match text.strip_prefix(' ') {
            Some(rest) if has_prefix => rest.to_owned(),
            _ => text.into_owned(),
        })
    }

    /// Text of tokens that come one by one and continue a text (no space is taken away).
    pub fn stream(&self) -> DecodeStream<'_> {
        DecodeStream::new(self)
    }

    /// The bytes of a token, control tokens as their text, nothing for an unused one. Errors:
    /// [`Error::Token`].
    pub fn token_bytes(&self, id: u32) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.append(id, true, &mut bytes)?;
        Ok(bytes)
    }

    /// A token's text as the file has it. Errors: [`Error::Token`].
    pub fn token_text(&self, id: u32) -> Result<&str> {
        Ok(&self.token(id)?.text)
    }

    /// What a token is for. Errors: [`Error::Token`].
    pub fn token_kind(&self, id: u32) -> Result<TokenKind> {
        Ok(self.token(id)?.kind)
    }

    /// The number of tokens.
    pub fn vocab_size(&self) -> usize {
        self.tokens.len()
    }

    /// The token that begins a sequence.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// The token that ends a sequence.
    pub fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// Every token that ends a generation, in ascending order: the end of a sequence, turn or
    /// message, by the file's keys and by well-known texts such as `<|im_end|>`.
    pub fn end_of_generation(&self) -> &[u32] {
        &self.end_of_generation
    }

    fn token(&self, id: u32) -> Result<&Token> {
        let vocabulary = self.tokens.len();
        self.tokens.get(id as usize).ok_or(Error::Token { id, vocabulary })
    }

    fn is_byte_level(&self) -> bool {
        match &self.algorithm {
            Algorithm::Bpe(_) => true,
            Algorithm::Spm(_) => false,
            Algorithm::HuggingFace(engine) => engine.decoding == Decoding::ByteLevel,
        }
    }

    fn is_hidden(&self, id: u32) -> bool {
        self.tokens.get(id as usize).is_some_and(|t| t.kind.is_hidden())
    }

    fn append(&self, id: u32, keep_special: bool, bytes: &mut Vec<u8>) -> Result<()> {
        let token = self.token(id)?;
        match token.kind {
            TokenKind::Unused => {}
            TokenKind::Control | TokenKind::Unknown if !keep_special => {}
            kind if kind.is_special() => bytes.extend_from_slice(token.text.as_bytes()),
            _ if self.is_byte_level() => bpe::decode(&token.text, bytes),
            _ => spm::decode(token, bytes),
        }
        Ok(())
    }
}

/// llama.cpp's ids where the file names none and the vocabulary has them: 1 and 2 for
/// SentencePiece, 11 for BPE (GLM-4 has no BOS).
fn default_ids(data: &mut TokenizerData, is_bpe: bool, vocabulary: usize) {
    let has_no_bos = matches!(data.pre.as_deref(), Some("glm4" | "chatglm-bpe"));
    let (bos, eos) = if is_bpe { (11, 11) } else { (1, 2) };
    let known = |id: u32| Some(id).filter(|id| (*id as usize) < vocabulary);
    data.eos = data.eos.or(known(eos));
    data.bos = data.bos.or(known(bos).filter(|_| !has_no_bos));
}
