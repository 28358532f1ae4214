//! Hugging Face's tensor names in GGUF's terms (gguf-py, `tensor_mapping.py`).

/// Prefixes and middles: Hugging Face, GGUF.
const OUTER: [(&str, &str); 3] = [
    ("model.embed_tokens.weight", "token_embd.weight"),
    ("model.norm.weight", "output_norm.weight"),
    ("lm_head.weight", "output.weight"),
];
const PARTS: [(&str, &str); 9] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];

/// GGUF's name of a llama model's tensor; `None` for one that no llama model has.
pub(super) fn to_gguf(name: &str) -> Option<String> {
    if let Some((_, gguf)) = OUTER.iter().find(|(hf, _)| *hf == name) {
        return Some((*gguf).into());
    }
    let (layer, rest) = name.strip_prefix("model.layers.")?.split_once('.')?;
    // A number in another form, such as 01, would be a second name for the same layer.
    let layer = layer.parse::<u32>().ok().filter(|n| n.to_string() == layer)?;
    let (part, kind) = rest.rsplit_once('.')?;
    let part = PARTS.iter().find(|(hf, _)| *hf == part)?.1;
    matches!(kind, "weight" | "bias").then(|| format!("blk.{layer}.{part}.{kind}"))
}

/// Tables that old files hold and nobody needs; the converter skips them, too.
pub(super) fn is_left_out(name: &str) -> bool {
    [".rotary_emb.inv_freq", ".attention.masked_bias", ".attention.bias"]
        .iter()
        .any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_converters() {
        for (hf, gguf) in [
            ("model.layers.17.mlp.down_proj.weight", Some("blk.17.ffn_down.weight")),
            ("model.layers.0.self_attn.q_proj.bias", Some("blk.0.attn_q.bias")),
            ("lm_head.weight", Some("output.weight")),
            ("model.layers.01.mlp.down_proj.weight", None),
            ("model.layers.0.self_attn.q_norm.weight", None),
            ("model.layers.4294967296.mlp.up_proj.weight", None),
            ("transformer.h.0.attn.weight", None),
        ] {
            assert_eq!(to_gguf(hf).as_deref(), gguf, "{hf}");
        }
    }
}
