//! Files and folders in memory.

use std::sync::Arc;

use ::mantissa::Result;
use ::mantissa::model::source::{ByteSource, Bytes};
use ::mantissa::model::{Checkpoint, ModelFiles};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value as Json, json};

/// A file from a header and so many bytes of data.
pub fn raw(header: &str, data: usize) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.resize(file.len() + data, 0);
    file
}

pub fn source(name: &str, bytes: impl Into<Vec<u8>>) -> Arc<dyn ByteSource> {
    Arc::new(Bytes::new(name, bytes))
}

/// A model in one file.
pub fn open(file: &[u8]) -> Result<Checkpoint> {
    pollster::block_on(Checkpoint::open(source("test.safetensors", file)))
}

pub const WIDTH: usize = 8;
pub const VOCABULARY: usize = 259;

/// A Hugging Face model: what its files hold, so that a test can change one thing.
#[derive(Clone)]
pub struct Folder {
    pub config: Json,
    pub tokenizer: Json,
    pub tensors: Vec<(String, Vec<usize>)>,
    pub others: Vec<(String, Vec<u8>)>,
}

impl Folder {
    /// One layer, two heads of 4, one for keys and values; bytes as tokens.
    pub fn right() -> Self {
        let tensors = [
            ("model.embed_tokens.weight", vec![VOCABULARY, WIDTH]),
            ("model.layers.0.input_layernorm.weight", vec![WIDTH]),
            ("model.layers.0.mlp.down_proj.weight", vec![WIDTH, 12]),
            ("model.layers.0.mlp.gate_proj.weight", vec![12, WIDTH]),
            ("model.layers.0.mlp.up_proj.weight", vec![12, WIDTH]),
            ("model.layers.0.post_attention_layernorm.weight", vec![WIDTH]),
            ("model.layers.0.self_attn.k_proj.weight", vec![4, WIDTH]),
            ("model.layers.0.self_attn.o_proj.weight", vec![WIDTH, WIDTH]),
            ("model.layers.0.self_attn.q_proj.weight", vec![WIDTH, WIDTH]),
            ("model.layers.0.self_attn.v_proj.weight", vec![4, WIDTH]),
            ("model.norm.weight", vec![WIDTH]),
        ];
        let config = json!({
            "model_type": "llama", "hidden_size": WIDTH, "num_hidden_layers": 1,
            "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 12,
            "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "rope_scaling": null,
            "max_position_embeddings": 64, "vocab_size": VOCABULARY, "hidden_act": "silu",
            "tie_word_embeddings": true, "attention_bias": false, "bos_token_id": 256,
            "eos_token_id": [257, 258],
        });
        let tensors = tensors.into_iter().map(|(name, shape)| (name.to_owned(), shape)).collect();
        Self { config, tokenizer: tokenizer(), tensors, others: vec![] }
    }

    pub fn set(mut self, key: &str, value: Json) -> Self {
        self.config[key] = value;
        self
    }

    pub fn unset(mut self, key: &str) -> Self {
        self.config.as_object_mut().unwrap().remove(key);
        self
    }

    pub fn tensor(mut self, name: &str, shape: &[usize]) -> Self {
        self.tensors.retain(|(n, _)| n != name);
        self.tensors.push((name.into(), shape.into()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.tensors.retain(|(n, _)| n != name);
        self
    }

    pub fn file(mut self, name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.others.push((name.into(), bytes.into()));
        self
    }

    /// The files, all tensors in one of them.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let tensors = file(&self.tensors);
        let own = [
            ("config.json".to_owned(), self.config.to_string().into_bytes()),
            ("tokenizer.json".to_owned(), self.tokenizer.to_string().into_bytes()),
            ("model.safetensors".to_owned(), tensors),
        ];
        // What a test adds goes before what would be there.
        let replaced = |name: &String| self.others.iter().any(|(other, _)| other == name);
        let own = own.into_iter().filter(|(name, _)| !replaced(name));
        own.chain(self.others.clone()).filter(|(_, bytes)| bytes != b"(none)").collect()
    }

    pub fn open(&self) -> Result<Checkpoint> {
        open_files(self.files())
    }
}

pub fn open_files(files: Vec<(String, Vec<u8>)>) -> Result<Checkpoint> {
    let files = files.into_iter().map(|(name, bytes)| (name.clone(), source(&name, bytes)));
    pollster::block_on(Checkpoint::open(ModelFiles::folder("models/tiny", files)))
}

/// A tensor's data: each element its own number, so that a mix-up shows.
pub fn values(name: &str, shape: &[usize]) -> Vec<f32> {
    let seed = name.len() as f32;
    (0..shape.iter().product()).map(|i| seed + i as f32).collect()
}

/// A file of F32 tensors as the safetensors crate writes it.
pub fn file(tensors: &[(String, Vec<usize>)]) -> Vec<u8> {
    let data: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(name, shape)| values(name, shape).iter().flat_map(|v| v.to_le_bytes()).collect())
        .collect();
    let views = tensors.iter().zip(&data).map(|((name, shape), data)| {
        (name.clone(), TensorView::new(Dtype::F32, shape.clone(), data).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

/// Byte-level BPE without merges, as SmolLM cuts words; ids 0 to 255 are bytes.
fn tokenizer() -> Json {
    let printable: Vec<u32> = (33..=126).chain(161..=172).chain(174..=255).collect();
    let mut others = 256..;
    let vocabulary: serde_json::Map<String, Json> = (0..=255u32)
        .map(|byte| {
            let code = if printable.contains(&byte) { byte } else { others.next().unwrap() };
            (char::from_u32(code).unwrap().to_string(), json!(byte))
        })
        .collect();
    let special = |id: u32, text: &str| {
        json!({ "id": id, "content": text, "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true })
    };
    json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": [special(256, "<|begin|>"), special(257, "<|end|>"), special(258, "<|stop|>")],
        "pre_tokenizer": { "type": "Sequence", "pretokenizers": [
            { "type": "Digits", "individual_digits": true },
            { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
        ] },
        "post_processor": null,
        "decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
        "model": { "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": false, "vocab": vocabulary, "merges": [] },
    })
}
