//! Hugging Face's folders, right ones.

use ::mantissa::model::checkpoint::Container;
use ::mantissa::model::config::{ModelConfig, RopeKind, RopeScaling};
use ::mantissa::model::tokenizer::TokenKind;
use ::mantissa::model::{ChatTemplate, Checkpoint, Message, ModelFiles, Tokenizer};
use serde_json::json;

use crate::support::{Folder, VOCABULARY, file, open_files, source, values};

fn f32s(model: &Checkpoint, name: &str) -> Vec<f32> {
    let tensor = model.tensor(name).unwrap_or_else(|| panic!("no {name}"));
    let read = model.source().read(tensor.offset, tensor.bytes as usize);
    let bytes = pollster::block_on(read).unwrap();
    bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

#[test]
fn the_configuration_is_ggufs() {
    let model = Folder::right().open().unwrap();
    model.check_supported().unwrap();
    let config = ModelConfig::from_checkpoint(&model).unwrap();
    assert_eq!(config.name.as_deref(), Some("tiny"));
    assert_eq!((config.layers, config.width, config.ffn_width), (1, 8, 12));
    assert_eq!((config.heads, config.kv_heads, config.head_size), (2, 1, 4));
    assert_eq!((config.vocabulary, config.context), (VOCABULARY, 64));
    assert_eq!((config.rms_eps, config.rope.base), (1e-5, 10_000.0));
    assert_eq!((config.rope.kind, config.rope.dims), (RopeKind::Neox, 4));
    assert!(config.tied_head);
    assert_eq!(config.tensors(&model).unwrap().iter().count(), 11);
}

#[test]
fn defaults_are_hugging_faces() {
    let folder =
        Folder::right().unset("rope_theta").unset("num_key_value_heads").unset("hidden_act");
    let folder = folder.unset("attention_bias").unset("tie_word_embeddings").unset("rope_scaling");
    let folder = folder.tensor("model.layers.0.self_attn.k_proj.weight", &[8, 8]);
    let model = folder.tensor("model.layers.0.self_attn.v_proj.weight", &[8, 8]).open().unwrap();
    let config = ModelConfig::from_checkpoint(&model).unwrap();
    assert_eq!((config.kv_heads, config.rope.base), (2, 10_000.0));
}

#[test]
fn a_head_size_of_its_own_and_biases() {
    let folder = Folder::right().set("head_dim", json!(6)).set("attention_bias", json!(true));
    let layer = "model.layers.0.self_attn";
    let folder =
        [("q", 12), ("k", 6), ("v", 6)].into_iter().fold(folder, |folder, (name, rows)| {
            let folder = folder.tensor(&format!("{layer}.{name}_proj.weight"), &[rows, 8]);
            folder.tensor(&format!("{layer}.{name}_proj.bias"), &[rows])
        });
    let folder = folder.tensor(&format!("{layer}.o_proj.weight"), &[8, 12]);
    let model = folder.tensor(&format!("{layer}.o_proj.bias"), &[8]).open().unwrap();
    let config = ModelConfig::from_checkpoint(&model).unwrap();
    assert_eq!((config.head_size, config.rope.dims), (6, 6));
    let heads = |name: &str| model.heads_to_permute(model.tensor(name).unwrap()).unwrap();
    assert_eq!((heads("blk.0.attn_q.weight"), heads("blk.0.attn_q.bias")), (Some(2), Some(2)));
    assert_eq!((heads("blk.0.attn_k.weight"), heads("blk.0.attn_k.bias")), (Some(1), Some(1)));
    assert_eq!((heads("blk.0.attn_v.weight"), heads("blk.0.attn_output.weight")), (None, None));
    assert!(!model.rows_are_permuted());
}

#[test]
fn tensors_hold_their_own_values() {
    let folder = Folder::right();
    let model = folder.open().unwrap();
    for (hf, gguf) in [
        ("model.embed_tokens.weight", "token_embd.weight"),
        ("model.layers.0.self_attn.q_proj.weight", "blk.0.attn_q.weight"),
        ("model.layers.0.mlp.down_proj.weight", "blk.0.ffn_down.weight"),
        ("model.norm.weight", "output_norm.weight"),
    ] {
        let (_, shape) = folder.tensors.iter().find(|(name, _)| name == hf).unwrap();
        assert_eq!(f32s(&model, gguf), values(hf, shape), "{hf}");
        let shape: Vec<u64> = shape.iter().rev().map(|&n| n as u64).collect();
        assert_eq!(model.tensor(gguf).unwrap().shape, shape);
    }
}

/// The folder in two files of tensors; `index` may change what the index says.
pub fn sharded(index: impl Fn(&mut serde_json::Value)) -> Vec<(String, Vec<u8>)> {
    let folder = Folder::right();
    let (a, b) = folder.tensors.split_at(5);
    let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let of = |list: &[(String, Vec<usize>)], file: &str| {
        list.iter().map(|(name, _)| (name.clone(), json!(file))).collect::<Vec<_>>()
    };
    let map: serde_json::Map<_, _> =
        [of(a, names[0]), of(b, names[1])].concat().into_iter().collect();
    let mut json = json!({ "metadata": { "total_size": 1 }, "weight_map": map });
    index(&mut json);
    let folder = folder.clone().file("model.safetensors", "(none)");
    let folder = folder.file(names[0], file(a)).file(names[1], file(b));
    folder.file("model.safetensors.index.json", json.to_string()).files()
}

#[test]
fn shards_are_one_model() {
    let whole = Folder::right().open().unwrap();
    let model = open_files(sharded(|_| {})).unwrap();
    let Container::HuggingFace { shards } = &model.container else { panic!("{model:?}") };
    assert_eq!(shards.len(), 2);
    assert_eq!(model.tensors.len(), whole.tensors.len());
    for tensor in &whole.tensors {
        assert_eq!(f32s(&model, &tensor.name), f32s(&whole, &tensor.name), "{}", tensor.name);
    }
    ModelConfig::from_checkpoint(&model).unwrap();
}

#[test]
fn a_file_finds_what_lies_beside_it() {
    let files = Folder::right().files();
    let main = &files.iter().find(|(name, _)| name == "model.safetensors").unwrap().1;
    let beside = files.iter().map(|(name, bytes)| (name.clone(), source(name, bytes.clone())));
    let files = ModelFiles::with_neighbours(source("a/model.safetensors", main.clone()), beside);
    let model = pollster::block_on(Checkpoint::open(files)).unwrap();
    ModelConfig::from_checkpoint(&model).unwrap();
}

#[test]
fn a_tied_head_in_the_file_is_left_out() {
    let folder = Folder::right().tensor("lm_head.weight", &[VOCABULARY, 8]);
    let model = folder.clone().open().unwrap();
    assert!(ModelConfig::from_checkpoint(&model).unwrap().tied_head);
    let model = folder.set("tie_word_embeddings", json!(false)).open().unwrap();
    assert!(!ModelConfig::from_checkpoint(&model).unwrap().tied_head);
}

#[test]
fn old_tables_are_left_out() {
    let folder = Folder::right().tensor("model.layers.0.self_attn.rotary_emb.inv_freq", &[2]);
    ModelConfig::from_checkpoint(&folder.open().unwrap()).unwrap();
}

/// Old and new names of the same scaling.
#[test]
fn rope_scaling_is_read() {
    let linear = json!({ "type": "linear", "factor": 4.0 });
    let new = json!({ "rope_type": "linear", "factor": 4.0, "rope_theta": 5e5 });
    for (key, value, base) in [("rope_scaling", linear, 1e4), ("rope_parameters", new, 5e5)] {
        let model = Folder::right().set(key, value).open().unwrap();
        let rope = ModelConfig::from_checkpoint(&model).unwrap().rope;
        assert_eq!((rope.scaling, rope.base), (RopeScaling::Linear { factor: 4.0 }, base));
    }
}

/// transformers' `_compute_llama3_parameters` for these numbers: angles 1 and 0.01, so waves of 2π
/// and 200π. With an original context of 64, waves below 16 stay and those above 64 are divided.
#[test]
fn llama3s_factors_become_a_tensor() {
    let scaling = |original: u32| {
        json!({ "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": original })
    };
    let factors = |original: u32| {
        let model = Folder::right().set("rope_scaling", scaling(original)).open().unwrap();
        ModelConfig::from_checkpoint(&model).unwrap();
        f32s(&model, "rope_freqs.weight")
    };
    assert_eq!(factors(64), [1.0, 8.0]);
    // 1256.637 / (200π) = 2, to 1e-7: a third of the way from 1 to 4, so 1 / (2/3 / 8 + 1/3) = 2.4.
    let [short, between] = factors(1257)[..] else { panic!() };
    assert_eq!(short, 1.0);
    assert!((between - 2.4).abs() < 2e-3, "{between}");
}

#[test]
fn the_tokenizer_is_the_folders() {
    let model = Folder::right().open().unwrap();
    let tokenizer = Tokenizer::from_checkpoint(&model).unwrap();
    assert_eq!((tokenizer.bos(), tokenizer.eos()), (Some(256), Some(257)));
    assert_eq!(tokenizer.end_of_generation(), [257, 258]);
    assert_eq!(tokenizer.token_kind(256).unwrap(), TokenKind::Control);
    assert_eq!(tokenizer.vocab_size(), VOCABULARY);
    let text = "é 1<|end|>";
    assert_eq!(tokenizer.encode(text, true, true).unwrap(), [0xc3, 0xa9, 0x20, 0x31, 257]);
    let plain: Vec<u32> = text.bytes().map(u32::from).collect();
    assert_eq!(tokenizer.encode(text, true, false).unwrap(), plain);
    assert_eq!(tokenizer.decode(&plain, false).unwrap(), text);
    assert_eq!(tokenizer.decode(&[0x41, 257], false).unwrap(), "A");
    assert_eq!(tokenizer.decode(&[0x41, 257], true).unwrap(), "A<|end|>");
    let mut stream = tokenizer.stream();
    assert_eq!(stream.push(0xc3).unwrap(), None);
    assert_eq!(stream.push(0xa9).unwrap().as_deref(), Some("é"));
}

/// The same, written as GGUF would have it: what `quantize` writes needs no `tokenizer.json`.
#[test]
fn a_tokenizer_that_gguf_has_a_name_for_is_translated() {
    let model = Folder::right().open().unwrap();
    let get = |key: &str| model.metadata.str(key).unwrap();
    assert_eq!(get("tokenizer.ggml.model"), Some("gpt2"));
    assert_eq!(get("tokenizer.ggml.pre"), Some("smollm"));
    assert_eq!(get("tokenizer.huggingface.json"), None);
    let gguf = Tokenizer::from_gguf(&model.metadata).unwrap();
    let theirs = Tokenizer::from_checkpoint(&model).unwrap();
    for text in ["", "é 1<|end|> x\n\n  y", "don't 2024"] {
        for special in [true, false] {
            let encode = |t: &Tokenizer| t.encode(text, true, special).unwrap();
            assert_eq!(encode(&gguf), encode(&theirs), "{text:?}");
        }
    }
}

#[test]
fn another_tokenizer_is_kept_whole() {
    let mut folder = Folder::right();
    folder.tokenizer["normalizer"] = json!({ "type": "Lowercase" });
    let model = folder.open().unwrap();
    let get = |key: &str| model.metadata.str(key).unwrap();
    assert_eq!(get("tokenizer.ggml.model"), None);
    assert_eq!(get("tokenizer.huggingface.json"), Some(&*folder.tokenizer.to_string()));
    // As it comes back from a file of ours.
    let tokenizer = Tokenizer::from_gguf(&model.metadata).unwrap();
    assert_eq!(tokenizer.encode("AB", true, true).unwrap(), [0x61, 0x62]);
}

#[test]
fn names_of_pre_tokenizers_are_llama_cpps() {
    let llama = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    let split = |pattern: &str| {
        json!({ "type": "Sequence", "pretokenizers": [
            { "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false },
            { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false },
        ] })
    };
    let gpt2 = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true });
    let nfc = json!({ "type": "NFC" });
    for (pre, normalizer, ignore_merges, name) in [
        (gpt2.clone(), json!(null), false, Some("gpt-2")),
        (gpt2.clone(), json!(null), true, None),
        (gpt2, nfc.clone(), false, None),
        (split(llama), json!(null), true, Some("llama-bpe")),
        (split(llama), json!(null), false, None),
        (split(&llama.replace("{1,3}", "")), nfc, false, Some("qwen2")),
        (split(&llama.replace("{1,3}", "{1,2}")), json!(null), false, None),
    ] {
        let mut folder = Folder::right();
        folder.tokenizer["pre_tokenizer"] = pre.clone();
        folder.tokenizer["normalizer"] = normalizer;
        folder.tokenizer["model"]["ignore_merges"] = json!(ignore_merges);
        let model = folder.open().unwrap();
        assert_eq!(model.metadata.str("tokenizer.ggml.pre").unwrap(), name, "{pre}");
        Tokenizer::from_checkpoint(&model).unwrap();
    }
}

#[test]
fn bos_is_added_where_the_post_processor_does() {
    let piece = |kind: &str, id: &str| json!({ kind: { "id": id, "type_id": 0 } });
    let mut folder = Folder::right();
    folder.tokenizer["post_processor"] = json!({
        "type": "TemplateProcessing",
        "single": [piece("SpecialToken", "<|begin|>"), piece("Sequence", "A")],
        "pair": [piece("Sequence", "A"), piece("Sequence", "B")],
        "special_tokens": { "<|begin|>": { "id": "<|begin|>", "ids": [256], "tokens": ["<|begin|>"] } },
    });
    let model = folder.open().unwrap();
    let theirs = Tokenizer::from_checkpoint(&model).unwrap();
    let gguf = Tokenizer::from_gguf(&model.metadata).unwrap();
    for tokenizer in [theirs, gguf] {
        assert_eq!(tokenizer.encode("A", true, true).unwrap(), [256, 0x41]);
        assert_eq!(tokenizer.encode("A", false, true).unwrap(), [0x41]);
        assert_eq!(tokenizer.encode_chat("A").unwrap(), [256, 0x41]);
        assert_eq!(tokenizer.encode_chat("<|begin|>A").unwrap(), [256, 0x41]);
    }
}

/// Rows of the embedding beyond the tokens are padding; a token beyond the rows cannot be used.
#[test]
fn the_embedding_may_be_longer_or_shorter() {
    let resize = |rows: usize| {
        let folder = Folder::right().set("vocab_size", json!(rows)).set("eos_token_id", json!(257));
        let model = folder.tensor("model.embed_tokens.weight", &[rows, 8]).open().unwrap();
        ModelConfig::from_checkpoint(&model).unwrap();
        Tokenizer::from_checkpoint(&model).unwrap()
    };
    let longer = resize(VOCABULARY + 5);
    assert_eq!(longer.token_kind(VOCABULARY as u32 + 4).unwrap(), TokenKind::Unused);
    let shorter = resize(VOCABULARY - 1);
    assert_eq!(shorter.encode("A<|end|>", true, true).unwrap(), [0x41, 257]);
    assert!(shorter.encode("A<|stop|>", true, true).is_err());
}

fn template(folder: Folder) -> String {
    let model = folder.open().unwrap();
    let template = ChatTemplate::from_gguf(&model.metadata).unwrap();
    template.render(&[Message::user("Hi")], true).unwrap()
}

#[test]
fn chat_templates_are_found_where_they_may_be() {
    let settings = |template: serde_json::Value| {
        json!({ "bos_token": { "content": "<|end|>" }, "chat_template": template }).to_string()
    };
    let text = "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}";
    let folder = Folder::right().file("tokenizer_config.json", settings(json!(text)));
    assert_eq!(template(folder.clone()), "<|end|>Hi");
    let list =
        json!([{ "name": "tool", "template": "x" }, { "name": "default", "template": text }]);
    let listed = Folder::right().file("tokenizer_config.json", settings(list));
    assert_eq!(template(listed), "<|end|>Hi");
    assert_eq!(template(folder.file("chat_template.jinja", "{{ eos_token }}!")), "<|end|>!");
}

/// Ids that end a generation come from three files.
#[test]
fn ends_are_gathered() {
    let settings = json!({ "eos_token": "<|stop|>" }).to_string();
    let generation = json!({ "eos_token_id": [257, 65] }).to_string();
    let folder = Folder::right().set("eos_token_id", json!(257));
    let folder = folder.file("tokenizer_config.json", settings);
    let model = folder.file("generation_config.json", generation).open().unwrap();
    let tokenizer = Tokenizer::from_checkpoint(&model).unwrap();
    assert_eq!(tokenizer.eos(), Some(258));
    assert_eq!(tokenizer.end_of_generation(), [65, 257, 258]);
}
