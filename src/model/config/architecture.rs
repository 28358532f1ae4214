//! Architectures as tables of options over one decoder graph.

use crate::error::{Error, Result};
use crate::ops::glu::Activation;

/// Which elements of a head are rotated together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RopeKind {
    /// Neighbours: (0, 1), (2, 3), …
    Normal,
    /// Halves: (0, d/2), (1, d/2 + 1), …
    Neox,
}

/// Whether a file has a kind of tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// The architecture has no place for it.
    Never,
    /// Some models have it.
    Optional,
    /// Every model has it.
    Always,
}

/// What distinguishes one architecture from another.
#[derive(Debug, PartialEq, Eq)]
pub struct Architecture {
    /// The name in `general.architecture`, which is also the prefix of its keys.
    pub name: &'static str,
    /// Which pairs are rotated.
    pub rope: RopeKind,
    /// Whether fewer than all of a head's elements may be rotated.
    pub partial_rope: bool,
    /// The gate's activation.
    pub activation: Activation,
    /// RMSNorm on each head of queries and keys (`attn_q_norm`, `attn_k_norm`).
    pub qk_norm: Presence,
    /// Bias of queries, keys and values.
    pub qkv_bias: Presence,
    /// Bias of the attention's output.
    pub attn_output_bias: Presence,
    /// Bias of the feed-forward network's matrices.
    pub ffn_bias: Presence,
}

/// The architectures that this build runs. To add one, add its options here.
pub static ARCHITECTURES: &[Architecture] = &[Architecture {
    // SmolLM, Llama, Mistral, TinyLlama. Files with `llama` hold q and k permuted so that
    // neighbours are pairs (convert_hf_to_gguf.py, `LlamaModel.permute`).
    name: "llama",
    rope: RopeKind::Normal,
    partial_rope: false,
    activation: Activation::Silu,
    qk_norm: Presence::Never,
    qkv_bias: Presence::Optional,
    attn_output_bias: Presence::Optional,
    ffn_bias: Presence::Optional,
}];

/// The architecture of this name.
///
/// # Errors
/// [`Error::Config`] with the names there are.
pub fn architecture(name: &str) -> Result<&'static Architecture> {
    ARCHITECTURES.iter().find(|a| a.name == name).ok_or_else(|| {
        let known = ARCHITECTURES.iter().map(|a| a.name).collect::<Vec<_>>().join(", ");
        let problem = format!("{name:?} is not supported; this build runs {known}");
        Error::config(super::ARCHITECTURE, problem)
    })
}
