//! Model configurations: read from a right file, and refused where metadata and tensors disagree.

use mantissa::Error;
use mantissa::model::Checkpoint;
use mantissa::model::config::{ModelConfig, RopeKind, RopeScaling};
use mantissa::model::gguf::{Value, Writer};
use mantissa::ops::glu::Activation;

use super::{TINY_LLAMA, checkpoint, read};

const F32: u32 = 0;

/// What a file is made of, so that a case can change one thing.
#[derive(Clone)]
struct Parts {
    values: Vec<(String, Value)>,
    tensors: Vec<(String, Vec<u64>)>,
}

impl Parts {
    /// The golden file's, all tensors as F32.
    fn right() -> Self {
        let gguf = read(TINY_LLAMA).unwrap();
        let values = gguf.metadata.iter().filter(|(key, _)| *key != "general.alignment");
        Self {
            values: values.map(|(key, value)| (key.into(), value.clone())).collect(),
            tensors: gguf.tensors.iter().map(|t| (t.name.clone(), t.shape.clone())).collect(),
        }
    }

    fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.values.retain(|(k, _)| k != key);
        self.values.push((key.into(), value.into()));
        self
    }

    fn unset(mut self, key: &str) -> Self {
        self.values.retain(|(k, _)| k != key);
        self
    }

    fn shape(mut self, name: &str, shape: &[u64]) -> Self {
        self.tensors.retain(|(n, _)| n != name);
        self.tensors.push((name.into(), shape.into()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.tensors.retain(|(n, _)| n != name);
        self
    }

    fn build(&self) -> Checkpoint {
        let mut writer = Writer::new("test.gguf");
        for (key, value) in &self.values {
            writer.set(key, value.clone()).unwrap();
        }
        for (name, shape) in &self.tensors {
            writer.tensor(name, shape, F32).unwrap();
        }
        let data: Vec<Vec<u8>> = self.tensors.iter().map(|(_, s)| vec![0; bytes(s)]).collect();
        let data: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
        checkpoint(&writer.write(Vec::new(), &data).unwrap()).unwrap()
    }

    fn config(&self) -> ModelConfig {
        ModelConfig::from_checkpoint(&self.build()).unwrap()
    }
}

fn bytes(shape: &[u64]) -> usize {
    shape.iter().product::<u64>() as usize * 4
}

#[test]
fn the_golden_file_is_described() {
    let gguf = checkpoint(TINY_LLAMA).unwrap();
    let config = ModelConfig::from_checkpoint(&gguf).unwrap();
    assert_eq!(config.architecture.name, "llama");
    assert_eq!(config.architecture.activation, Activation::Silu);
    assert_eq!(config.name.as_deref(), Some("tiny random llama"));
    assert_eq!((config.layers, config.width, config.ffn_width), (2, 64, 96));
    assert_eq!((config.heads, config.kv_heads, config.head_size), (4, 2, 16));
    assert_eq!((config.q_width(), config.kv_width()), (64, 32));
    assert_eq!((config.vocabulary, config.context), (101, 128));
    assert_eq!((config.rms_eps, config.attention_scale), (2f32.powi(-16), 0.25));
    assert_eq!((config.rope.kind, config.rope.base), (RopeKind::Normal, 500_000.0));
    assert_eq!((config.rope.dims, config.rope.scaling), (16, RopeScaling::None));
    assert!(config.tied_head);
}

#[test]
fn each_tensor_finds_its_part() {
    let gguf = checkpoint(TINY_LLAMA).unwrap();
    let tensors = ModelConfig::from_checkpoint(&gguf).unwrap().tensors(&gguf).unwrap();
    assert_eq!(tensors.output.name, "token_embd.weight");
    assert_eq!(tensors.rope_freqs.unwrap().name, "rope_freqs.weight");
    assert_eq!(tensors.layers.len(), 2);
    let layer = &tensors.layers[1];
    assert_eq!(layer.attn_q.weight.name, "blk.1.attn_q.weight");
    assert_eq!(layer.attn_q.bias.unwrap().name, "blk.1.attn_q.bias");
    assert_eq!(layer.attn_k.weight.name, "blk.1.attn_k.weight");
    assert_eq!((layer.attn_k.bias, layer.attn_q_norm), (None, None));
    assert_eq!(layer.ffn_down.weight.name, "blk.1.ffn_down.weight");
    let mut listed: Vec<_> = tensors.iter().map(|t| &t.name).collect();
    let mut all: Vec<_> = gguf.tensors.iter().map(|t| &t.name).collect();
    listed.sort();
    all.sort();
    assert_eq!(listed, all);
}

#[test]
fn an_untied_head_is_found() {
    let gguf = Parts::right().shape("output.weight", &[64, 101]).build();
    let config = ModelConfig::from_checkpoint(&gguf).unwrap();
    let tensors = config.tensors(&gguf).unwrap();
    assert!(!config.tied_head);
    assert_eq!(tensors.output.name, "output.weight");
    assert_eq!(tensors.iter().count(), gguf.tensors.len());
}

#[test]
fn defaults_are_llama_cpps() {
    let parts = Parts::right()
        .unset("llama.rope.dimension_count")
        .unset("llama.rope.freq_base")
        .unset("llama.attention.head_count_kv")
        .unset("tokenizer.ggml.tokens");
    let parts = (0..2).fold(parts, |parts, i| {
        let parts = parts.shape(&format!("blk.{i}.attn_k.weight"), &[64, 64]);
        parts.shape(&format!("blk.{i}.attn_v.weight"), &[64, 64])
    });
    let config = parts.config();
    assert_eq!((config.kv_heads, config.rope.dims, config.rope.base), (4, 16, 10_000.0));
}

#[test]
fn head_size_may_differ_from_width_over_heads() {
    let parts = (0..2).fold(Parts::right(), |parts, i| {
        let name = |part: &str| format!("blk.{i}.{part}");
        let parts = parts.shape(&name("attn_q.weight"), &[64, 96]);
        let parts = parts.shape(&name("attn_q.bias"), &[96]);
        let parts = parts.shape(&name("attn_k.weight"), &[64, 48]);
        let parts = parts.shape(&name("attn_v.weight"), &[64, 48]);
        parts.shape(&name("attn_output.weight"), &[96, 64])
    });
    let parts = parts
        .set("llama.attention.key_length", 24u32)
        .set("llama.attention.value_length", 24u32)
        .set("llama.rope.dimension_count", 24u32)
        .shape("rope_freqs.weight", &[12]);
    assert_eq!((parts.config().head_size, parts.config().q_width()), (24, 96));
}

#[test]
fn a_list_of_equal_sizes_is_a_size() {
    let parts = Parts::right().set("llama.attention.head_count_kv", vec![2i32, 2]);
    assert_eq!(parts.config().kv_heads, 2);
}

#[test]
fn rope_scaling_is_read_as_llama_cpp_does() {
    let linear = RopeScaling::Linear { factor: 4.0 };
    let factor = |parts: Parts| parts.set("llama.rope.scaling.factor", 4f32);
    let kind = |kind: &str| Parts::right().set("llama.rope.scaling.type", kind);
    assert_eq!(factor(kind("linear")).config().rope.scaling, linear);
    assert_eq!(factor(Parts::right()).config().rope.scaling, linear);
    assert_eq!(factor(kind("none")).config().rope.scaling, RopeScaling::None);
    assert_eq!(kind("linear").config().rope.scaling, RopeScaling::None);
    let old = Parts::right().set("llama.rope.scale_linear", 4f32);
    assert_eq!(old.config().rope.scaling, linear);
    let frequencies = factor(Parts::right()).config().rope_frequencies(None).unwrap();
    assert_eq!((frequencies.len(), frequencies[0]), (8, 0.25));
}

#[test]
fn a_window_as_long_as_the_context_is_none() {
    let parts = Parts::right().set("llama.attention.sliding_window", 128u32);
    assert_eq!(parts.config().sliding_window, None);
}

/// Key or tensor, and what the message must say about it.
type Case = (Parts, &'static str, &'static str);

fn refused(cases: Vec<Case>) {
    for (parts, key, problem) in cases {
        let error = ModelConfig::from_checkpoint(&parts.build()).unwrap_err();
        let text = error.to_string();
        let Error::Config { key: named, .. } = error else { panic!("{error:?}") };
        assert_eq!(named, key, "{text}");
        assert!(text.contains(problem), "{text:?} does not say {problem:?}");
    }
}

#[test]
fn other_models_are_refused_by_name() {
    let right = Parts::right;
    refused(vec![
        (
            right().set("general.architecture", "mamba"),
            "general.architecture",
            "\"mamba\" is not supported; this build runs llama",
        ),
        (right().unset("general.architecture"), "general.architecture", "is missing"),
        (
            right().set("general.architecture", 7u32),
            "general.architecture",
            "is 7 (u32), expected a string",
        ),
        (right().set("general.type", "adapter"), "general.type", "\"adapter\""),
        (right().set("split.count", 3u16), "split.count", "3 parts"),
        (right().set("llama.expert_count", 8u32), "llama.expert_count", "experts (8)"),
        (right().set("llama.attention.causal", false), "llama.attention.causal", "embedding"),
        (
            right().set("llama.attention.sliding_window", 64u32),
            "llama.attention.sliding_window",
            "64",
        ),
        (right().set("llama.rope.scaling.type", "yarn"), "llama.rope.scaling.type", "\"yarn\""),
        (
            right().set("llama.rope.scaling.type", "longrope"),
            "llama.rope.scaling.type",
            "\"longrope\"",
        ),
        (
            right().set("llama.rope.scaling.attn_factor", 1.5f32),
            "llama.rope.scaling.attn_factor",
            "1.5",
        ),
    ]);
}

#[test]
fn missing_and_absurd_values_are_refused() {
    let right = Parts::right;
    let mut cases: Vec<Case> = vec![];
    for key in [
        "llama.block_count",
        "llama.context_length",
        "llama.embedding_length",
        "llama.feed_forward_length",
        "llama.attention.head_count",
        "llama.attention.layer_norm_rms_epsilon",
    ] {
        cases.push((right().unset(key), key, "is missing"));
        cases.push((right().set(key, "many"), key, "is \"many\" (string)"));
        if !key.ends_with("epsilon") {
            cases.push((right().set(key, 0u32), key, "is 0"));
            cases.push((right().set(key, -1i32), key, "is -1 (i32)"));
        }
    }
    let eps = "llama.attention.layer_norm_rms_epsilon";
    cases.extend([
        (right().set(eps, f32::NAN), eps, "is NaN"),
        (right().set(eps, -0.5f32), eps, "is -0.5"),
        (right().set(eps, 1e-300f64), eps, "is 0.000"),
        (right().set("llama.rope.freq_base", 0f32), "llama.rope.freq_base", "is 0"),
        (right().set("llama.rope.freq_base", f32::INFINITY), "llama.rope.freq_base", "is inf"),
        (right().set("llama.rope.scaling.factor", 0f32), "llama.rope.scaling.factor", "is 0"),
        (
            right().set("llama.rope.dimension_count", 8u32),
            "llama.rope.dimension_count",
            "heads of 16",
        ),
        (
            right().set("llama.attention.head_count_kv", 3u32),
            "llama.attention.head_count_kv",
            "does not divide 4 heads",
        ),
        (
            right().set("llama.attention.head_count_kv", 0u32),
            "llama.attention.head_count_kv",
            "is 0",
        ),
        (
            right().set("llama.attention.head_count_kv", vec![2, 4]),
            "llama.attention.head_count_kv",
            "differs between layers",
        ),
        (
            right().set("llama.attention.head_count", u32::MAX),
            "llama.attention.head_count",
            "cannot be",
        ),
        (
            right()
                .set("llama.attention.key_length", 15u32)
                .set("llama.attention.value_length", 15u32),
            "llama.rope.dimension_count",
            "is 16",
        ),
        (
            right().set("llama.attention.value_length", 8u32),
            "llama.attention.value_length",
            "is 8, but keys have 16",
        ),
    ]);
    refused(cases);
}

#[test]
fn an_odd_head_cannot_be_rotated() {
    let odd = Parts::right()
        .set("llama.attention.key_length", 15u32)
        .set("llama.attention.value_length", 15u32)
        .set("llama.rope.dimension_count", 15u32);
    refused(vec![(odd, "llama.rope.dimension_count", "is 15")]);
}

#[test]
fn tensors_that_disagree_are_refused() {
    let right = Parts::right;
    refused(vec![
        (right().without("token_embd.weight"), "token_embd.weight", "no such tensor"),
        (right().without("output_norm.weight"), "output_norm.weight", "no such tensor"),
        (right().without("blk.1.ffn_up.weight"), "blk.1.ffn_up.weight", "no such tensor"),
        (right().set("llama.block_count", u32::MAX), "blk.2.attn_norm.weight", "no such tensor"),
        (
            right().set("llama.block_count", 1u32),
            "blk.1.attn_norm.weight",
            "no place in a llama model of 1 layers",
        ),
        (right().shape("blk.0.attn_q_norm.weight", &[16]), "blk.0.attn_q_norm.weight", "no place"),
        (
            right().shape("blk.0.attn_q.weight", &[64, 32]),
            "blk.0.attn_q.weight",
            "has shape [64, 32], expected [64, 64]",
        ),
        (
            right().shape("blk.0.attn_q.bias", &[32]),
            "blk.0.attn_q.bias",
            "has shape [32], expected [64]",
        ),
        (
            right().shape("blk.0.attn_norm.weight", &[64, 1]),
            "blk.0.attn_norm.weight",
            "has shape [64, 1]",
        ),
        (
            right().shape("output.weight", &[64, 100]),
            "output.weight",
            "has shape [64, 100], expected [64, 101]",
        ),
        (
            right().shape("rope_freqs.weight", &[16]),
            "rope_freqs.weight",
            "has shape [16], expected [8]",
        ),
        (
            right().shape("token_embd.weight", &[32, 101]),
            "token_embd.weight",
            "has shape [32, 101], expected [64, vocabulary]",
        ),
        (
            right().shape("token_embd.weight", &[64, 100]),
            "tokenizer.ggml.tokens",
            "has 101 tokens, but token_embd.weight has 100 rows",
        ),
        (
            right().set("tokenizer.ggml.tokens", 1u8),
            "tokenizer.ggml.tokens",
            "expected an array of strings",
        ),
    ]);
}
