//! Which tensor of a file plays which part in the decoder.

use std::collections::HashSet;

use super::{ModelConfig, Presence, wrong_shape};
use crate::error::{Error, Result};
use crate::model::checkpoint::{Checkpoint, TensorInfo};

/// A matrix, of shape `[inputs, outputs]`, and its bias of shape `[outputs]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linear<'a> {
    /// The matrix; a row of it per output.
    pub weight: &'a TensorInfo,
    /// The bias, where the model has one.
    pub bias: Option<&'a TensorInfo>,
}

/// The tensors of one decoder layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerTensors<'a> {
    /// RMSNorm before attention: `[width]`.
    pub attn_norm: &'a TensorInfo,
    /// Queries: `[width, heads · head_size]`.
    pub attn_q: Linear<'a>,
    /// Keys: `[width, kv_heads · head_size]`.
    pub attn_k: Linear<'a>,
    /// Values: `[width, kv_heads · head_size]`.
    pub attn_v: Linear<'a>,
    /// RMSNorm on each head of queries: `[head_size]`.
    pub attn_q_norm: Option<&'a TensorInfo>,
    /// RMSNorm on each head of keys: `[head_size]`.
    pub attn_k_norm: Option<&'a TensorInfo>,
    /// The attention's output: `[heads · head_size, width]`.
    pub attn_output: Linear<'a>,
    /// RMSNorm before the feed-forward network: `[width]`.
    pub ffn_norm: &'a TensorInfo,
    /// The gate, which the activation is applied to: `[width, ffn_width]`.
    pub ffn_gate: Linear<'a>,
    /// What the gate is multiplied with: `[width, ffn_width]`.
    pub ffn_up: Linear<'a>,
    /// Back to the residual stream: `[ffn_width, width]`.
    pub ffn_down: Linear<'a>,
}

/// The tensors of a decoder, their shapes checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecoderTensors<'a> {
    /// The embedding: `[width, vocabulary]`.
    pub token_embd: &'a TensorInfo,
    /// The last RMSNorm: `[width]`.
    pub output_norm: &'a TensorInfo,
    /// The output matrix, `[width, vocabulary]`: the embedding where the head is tied.
    pub output: &'a TensorInfo,
    /// Divisors of the rotary frequencies, `[rope dims / 2]` (Llama 3).
    pub rope_freqs: Option<&'a TensorInfo>,
    /// The layers, from the first.
    pub layers: Vec<LayerTensors<'a>>,
}

impl<'a> DecoderTensors<'a> {
    pub(super) fn resolve(config: &ModelConfig, checkpoint: &'a Checkpoint) -> Result<Self> {
        let mut take = Taker { checkpoint, taken: HashSet::new() };
        let (width, vocabulary) = (config.width, config.vocabulary);
        let token_embd = take.required("token_embd.weight", &[width, vocabulary])?;
        let output = take.optional("output.weight", &[width, vocabulary])?;
        let tensors = Self {
            token_embd,
            output_norm: take.required("output_norm.weight", &[width])?,
            output: output.unwrap_or(token_embd),
            rope_freqs: take.optional(super::rope::FACTORS, &[config.rope.dims / 2])?,
            layers: (0..config.layers)
                .map(|i| layer(config, &mut take, i))
                .collect::<Result<_>>()?,
        };
        take.refuse_rest(config)?;
        Ok(tensors)
    }

    /// Every tensor that is uploaded, the embedding once even where the head is tied.
    pub fn iter(&self) -> impl Iterator<Item = &'a TensorInfo> + '_ {
        let head = (self.output != self.token_embd).then_some(self.output);
        let outer = [self.token_embd, self.output_norm].into_iter().chain(head);
        outer.chain(self.rope_freqs).chain(self.layers.iter().flat_map(LayerTensors::iter))
    }
}

impl<'a> LayerTensors<'a> {
    /// The layer's tensors, those that it has.
    pub fn iter(&self) -> impl Iterator<Item = &'a TensorInfo> + use<'a> {
        let linears = [self.attn_q, self.attn_k, self.attn_v, self.attn_output];
        let linears = linears.into_iter().chain([self.ffn_gate, self.ffn_up, self.ffn_down]);
        let norms = [self.attn_norm, self.ffn_norm].into_iter();
        norms
            .chain(self.attn_q_norm)
            .chain(self.attn_k_norm)
            .chain(linears.flat_map(|l| [Some(l.weight), l.bias]).flatten())
    }
}

fn layer<'a>(config: &ModelConfig, take: &mut Taker<'a>, i: usize) -> Result<LayerTensors<'a>> {
    let arch = config.architecture;
    let (width, ffn, head) = (config.width, config.ffn_width, config.head_size);
    let (q, kv) = (config.q_width(), config.kv_width());
    let name = |part: &str| format!("blk.{i}.{part}");
    Ok(LayerTensors {
        attn_norm: take.required(&name("attn_norm.weight"), &[width])?,
        attn_q: take.linear(&name("attn_q"), width, q, arch.qkv_bias)?,
        attn_k: take.linear(&name("attn_k"), width, kv, arch.qkv_bias)?,
        attn_v: take.linear(&name("attn_v"), width, kv, arch.qkv_bias)?,
        attn_q_norm: take.maybe(&name("attn_q_norm.weight"), &[head], arch.qk_norm)?,
        attn_k_norm: take.maybe(&name("attn_k_norm.weight"), &[head], arch.qk_norm)?,
        attn_output: take.linear(&name("attn_output"), q, width, arch.attn_output_bias)?,
        ffn_norm: take.required(&name("ffn_norm.weight"), &[width])?,
        ffn_gate: take.linear(&name("ffn_gate"), width, ffn, arch.ffn_bias)?,
        ffn_up: take.linear(&name("ffn_up"), width, ffn, arch.ffn_bias)?,
        ffn_down: take.linear(&name("ffn_down"), ffn, width, arch.ffn_bias)?,
    })
}

/// Takes tensors out of a file by name, checks their shapes, and remembers which are left.
struct Taker<'a> {
    checkpoint: &'a Checkpoint,
    taken: HashSet<&'a str>,
}

impl<'a> Taker<'a> {
    fn optional(&mut self, name: &str, shape: &[usize]) -> Result<Option<&'a TensorInfo>> {
        let Some(tensor) = self.checkpoint.tensor(name) else { return Ok(None) };
        let same = tensor.shape.iter().copied().eq(shape.iter().map(|&n| n as u64));
        if !same {
            return Err(wrong_shape(tensor, &format!("{shape:?} by the metadata")));
        }
        self.taken.insert(&tensor.name);
        Ok(Some(tensor))
    }

    fn required(&mut self, name: &str, shape: &[usize]) -> Result<&'a TensorInfo> {
        self.optional(name, shape)?.ok_or_else(|| Error::config(name, "no such tensor"))
    }

    fn maybe(
        &mut self,
        name: &str,
        shape: &[usize],
        presence: Presence,
    ) -> Result<Option<&'a TensorInfo>> {
        match presence {
            Presence::Never => Ok(None),
            Presence::Optional => self.optional(name, shape),
            Presence::Always => self.required(name, shape).map(Some),
        }
    }

    fn linear(&mut self, name: &str, k: usize, n: usize, bias: Presence) -> Result<Linear<'a>> {
        let weight = self.required(&format!("{name}.weight"), &[k, n])?;
        Ok(Linear { weight, bias: self.maybe(&format!("{name}.bias"), &[n], bias)? })
    }

    /// A tensor that nothing uses means a model that we would compute wrongly, in silence.
    fn refuse_rest(&self, config: &ModelConfig) -> Result<()> {
        let unused = |t: &&TensorInfo| {
            // Tables that old converters wrote and that llama.cpp skips too.
            !self.taken.contains(t.name.as_str()) && !t.name.ends_with(".attn_rot_embd.weight")
        };
        match self.checkpoint.tensors.iter().find(unused) {
            None => Ok(()),
            Some(tensor) => {
                let (arch, layers) = (config.architecture.name, config.layers);
                let problem = format!("has no place in a {arch} model of {layers} layers");
                Err(Error::config(&tensor.name, problem))
            }
        }
    }
}
