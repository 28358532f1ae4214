//! What a model is made of, read from its file's metadata and checked against its tensors.
//!
//! Keys are llama.cpp's (docs/gguf.md in the ggml repository, `LLM_KV_NAMES` in llama-arch.cpp).

mod architecture;
mod rope;
mod tensors;

pub use architecture::{ARCHITECTURES, Architecture, Presence, RopeKind, architecture};
pub use rope::{RopeConfig, RopeScaling};
pub use tensors::{DecoderTensors, LayerTensors, Linear};

use crate::error::{Error, Result};
use crate::model::checkpoint::{Checkpoint, TensorInfo};
use crate::model::gguf::{Metadata, Value};

/// The sizes and options of a decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// The architecture's table of options: bias, norms, activation.
    pub architecture: &'static Architecture,
    /// `general.name`.
    pub name: Option<String>,
    /// Decoder layers.
    pub layers: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides [`heads`](Self::heads).
    pub kv_heads: usize,
    /// Width of a head, the same for queries, keys and values.
    pub head_size: usize,
    /// Width inside the feed-forward network.
    pub ffn_width: usize,
    /// Tokens: rows of the embedding.
    pub vocabulary: usize,
    /// The longest context that the model was trained for, in tokens.
    pub context: usize,
    /// The ε of RMSNorm.
    pub rms_eps: f32,
    /// What q·k is multiplied with before softmax: 1/√head_size.
    pub attention_scale: f32,
    /// Rotary position embedding.
    pub rope: RopeConfig,
    /// Whether the embedding serves as output matrix too.
    pub tied_head: bool,
    /// cap·tanh(x/cap) on attention scores, where a model has it.
    pub attention_soft_cap: Option<f32>,
    /// cap·tanh(x/cap) on logits, where a model has it.
    pub logit_soft_cap: Option<f32>,
    /// Tokens that a position attends to, where fewer than the context.
    pub sliding_window: Option<usize>,
}

impl ModelConfig {
    /// Reads a model's configuration and checks it against the tensors.
    ///
    /// # Errors
    /// [`Error::Config`] naming the key or tensor that is missing, contradicts another, or asks for
    /// what this build does not do.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self> {
        let metadata = &checkpoint.metadata;
        check_kind(metadata)?;
        let architecture = architecture(required(metadata.str(ARCHITECTURE)?, ARCHITECTURE)?)?;
        let keys = Keys { prefix: architecture.name, metadata };
        keys.refuse_unsupported()?;

        let width = keys.size("embedding_length")?;
        let heads = keys.size("attention.head_count")?;
        let kv_heads = keys.size_or("attention.head_count_kv", heads)?;
        let head_size = keys.head_size(width, heads)?;
        let context = keys.size("context_length")?;
        keys.check_heads(heads, kv_heads)?;
        keys.check_window(context)?;
        let is_permuted = checkpoint.rows_are_permuted();
        let kind = if is_permuted { architecture.rope } else { RopeKind::Neox };
        let config = Self {
            architecture,
            name: metadata.str("general.name")?.map(Into::into),
            layers: keys.size("block_count")?,
            width,
            heads,
            kv_heads,
            head_size,
            ffn_width: keys.size("feed_forward_length")?,
            vocabulary: vocabulary(checkpoint, width)?,
            context,
            rms_eps: keys.positive("attention.layer_norm_rms_epsilon", None)? as f32,
            attention_scale: (1.0 / (head_size as f64).sqrt()) as f32,
            rope: RopeConfig { kind, ..RopeConfig::read(&keys, architecture, head_size)? },
            tied_head: checkpoint.tensor("output.weight").is_none(),
            attention_soft_cap: None,
            logit_soft_cap: None,
            sliding_window: None,
        };
        config.tensors(checkpoint)?;
        Ok(config)
    }

    /// The tensors of each part of the decoder, their shapes checked.
    ///
    /// # Errors
    /// [`Error::Config`] naming the tensor that is missing, has another shape than the metadata
    /// say, or has no place in this architecture.
    pub fn tensors<'a>(&self, checkpoint: &'a Checkpoint) -> Result<DecoderTensors<'a>> {
        DecoderTensors::resolve(self, checkpoint)
    }

    /// Width of all queries together: heads · head_size.
    pub fn q_width(&self) -> usize {
        self.heads * self.head_size // checked when read
    }

    /// Width of all keys, or all values, together: kv_heads · head_size.
    pub fn kv_width(&self) -> usize {
        self.kv_heads * self.head_size // at most q_width
    }

    /// The angle per position of each rotated pair; see [`RopeConfig::frequencies`].
    ///
    /// # Errors
    /// As [`RopeConfig::frequencies`].
    pub fn rope_frequencies(&self, factors: Option<&[f32]>) -> Result<Vec<f64>> {
        self.rope.frequencies(factors)
    }
}

const ARCHITECTURE: &str = "general.architecture";

/// GGUF also holds adapters, projectors and parts of models.
fn check_kind(metadata: &Metadata) -> Result<()> {
    match metadata.str("general.type")? {
        None | Some("model") => {}
        Some(other) => {
            return Err(Error::config("general.type", format!("is {other:?}, not a model")));
        }
    }
    match metadata.u64("split.count")? {
        Some(parts @ 2..) => Err(Error::config(
            "split.count",
            format!("one of {parts} parts of a model; join them with llama-gguf-split --merge"),
        )),
        _ => Ok(()),
    }
}

/// The embedding's rows, which the tokenizer must agree with.
fn vocabulary(checkpoint: &Checkpoint, width: usize) -> Result<usize> {
    const EMBEDDING: &str = "token_embd.weight";
    const TOKENS: &str = "tokenizer.ggml.tokens";
    let embedding = checkpoint.tensor(EMBEDDING);
    let embedding = embedding.ok_or_else(|| Error::config(EMBEDDING, "no such tensor"))?;
    let rows = match embedding.shape[..] {
        [k, rows] if k == width as u64 => usize::try_from(rows).ok(),
        _ => None,
    };
    let rows = rows.ok_or_else(|| wrong_shape(embedding, &format!("[{width}, vocabulary]")))?;
    match checkpoint.metadata.strings(TOKENS)? {
        Some(tokens) if tokens.len() != rows => {
            let tokens = tokens.len();
            let problem = format!("has {tokens} tokens, but {EMBEDDING} has {rows} rows");
            Err(Error::config(TOKENS, problem))
        }
        _ => Ok(rows),
    }
}

fn wrong_shape(tensor: &TensorInfo, expected: &str) -> Error {
    Error::config(&tensor.name, format!("has shape {:?}, expected {expected}", tensor.shape))
}

fn required<T>(value: Option<T>, key: &str) -> Result<T> {
    value.ok_or_else(|| Error::config(key, "is missing"))
}

/// The metadata whose keys begin with the architecture's name.
struct Keys<'a> {
    prefix: &'static str,
    metadata: &'a Metadata,
}

impl Keys<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    fn error(&self, name: &str, problem: impl std::fmt::Display) -> Error {
        Error::config(self.key(name), problem)
    }

    /// A size of at least 1.
    fn size(&self, name: &str) -> Result<usize> {
        required(self.size_if_any(name)?, &self.key(name))
    }

    fn size_or(&self, name: &str, default: usize) -> Result<usize> {
        Ok(self.size_if_any(name)?.unwrap_or(default))
    }

    fn size_if_any(&self, name: &str) -> Result<Option<usize>> {
        let key = self.key(name);
        let size = match self.metadata.get(&key) {
            Some(Value::Array(_)) => Some(self.same_in_every_layer(name)?),
            _ => self.metadata.usize(&key)?,
        };
        if size == Some(0) { Err(Error::config(key, "is 0")) } else { Ok(size) }
    }

    /// Some files give a list, a size per layer.
    fn same_in_every_layer(&self, name: &str) -> Result<usize> {
        let list = self.metadata.i64s(&self.key(name))?.unwrap_or_default();
        let first = list.first().copied().unwrap_or(0);
        if list.iter().any(|&size| size != first) {
            return Err(self.error(name, "differs between layers, which is not supported"));
        }
        usize::try_from(first).map_err(|_| self.error(name, format!("is {first}")))
    }

    /// A finite number above 0.
    fn positive(&self, name: &str, default: Option<f64>) -> Result<f64> {
        let key = self.key(name);
        let value = required(self.metadata.f64(&key)?.or(default), &key)?;
        let usable = value > 0.0 && value.is_finite() && value as f32 > 0.0;
        if usable { Ok(value) } else { Err(self.error(name, format!("is {value}"))) }
    }

    fn head_size(&self, width: usize, heads: usize) -> Result<usize> {
        let default = width / heads;
        let head_size = self.size_or("attention.key_length", default)?;
        let value = self.size_or("attention.value_length", default)?;
        if value != head_size {
            let problem = format!("is {value}, but keys have {head_size}; only equal ones work");
            return Err(self.error("attention.value_length", problem));
        }
        if head_size == 0 || heads.checked_mul(head_size).is_none_or(|n| n > u32::MAX as usize) {
            let problem = format!("{heads} heads of {head_size} cannot be");
            return Err(self.error("attention.head_count", problem));
        }
        Ok(head_size)
    }

    fn check_heads(&self, heads: usize, kv_heads: usize) -> Result<()> {
        if heads.is_multiple_of(kv_heads) {
            return Ok(());
        }
        let problem = format!("is {kv_heads}, which does not divide {heads} heads");
        Err(self.error("attention.head_count_kv", problem))
    }

    fn check_window(&self, context: usize) -> Result<()> {
        match self.metadata.usize(&self.key("attention.sliding_window"))? {
            Some(window) if window != 0 && window < context => {
                let problem = format!("a window of {window} is not supported");
                Err(self.error("attention.sliding_window", problem))
            }
            _ => Ok(()),
        }
    }

    /// Options that change the computation and that no graph here has.
    fn refuse_unsupported(&self) -> Result<()> {
        if let Some(experts @ 1..) = self.metadata.u64(&self.key("expert_count"))? {
            let problem = format!("mixtures of experts ({experts}) are not supported");
            return Err(self.error("expert_count", problem));
        }
        if self.metadata.bool(&self.key("attention.causal"))? == Some(false) {
            let problem = "is false: an embedding model, which cannot generate text";
            return Err(self.error("attention.causal", problem));
        }
        Ok(())
    }
}
