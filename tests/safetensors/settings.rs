//! Folders whose JSON is wrong: each is refused, and the file and key are named.

use ::mantissa::model::config::ModelConfig;
use ::mantissa::model::{Checkpoint, Tokenizer};
use ::mantissa::{Error, Result};
use serde_json::{Value as Json, json};

use crate::folder::sharded;
use crate::support::{Folder, VOCABULARY, open_files};

/// What a program does with a folder before it has a device.
fn load(model: Result<Checkpoint>) -> Result<Tokenizer> {
    let model = model?;
    model.check_supported()?;
    ModelConfig::from_checkpoint(&model)?;
    Tokenizer::from_checkpoint(&model)
}

#[track_caller]
fn refused(model: Result<Checkpoint>, parts: &[&str]) {
    let error = load(model).map(drop).unwrap_err();
    let right = matches!(
        error,
        Error::Config { .. }
            | Error::Malformed { .. }
            | Error::Tokenizer(_)
            | Error::UnsupportedType { .. }
    );
    let text = error.to_string();
    assert!(right && parts.iter().all(|part| text.contains(part)), "{text:?}: {parts:?}");
}

#[test]
fn the_folder_is_right() {
    load(Folder::right().open()).unwrap();
    load(open_files(sharded(|_| {}))).unwrap();
}

#[test]
fn missing_keys_are_named() {
    for key in [
        "model_type",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "rms_norm_eps",
        "max_position_embeddings",
        "vocab_size",
    ] {
        refused(Folder::right().unset(key).open(), &["config.json", key, "is missing"]);
        refused(Folder::right().set(key, json!(null)).open(), &["config.json", key, "is missing"]);
        refused(Folder::right().set(key, json!([1])).open(), &["config.json", key, "is [1]"]);
    }
}

#[test]
fn what_is_not_supported_is_named() {
    let llama3 = |key: &str, value: Json| {
        let mut rope = json!({ "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 64 });
        rope[key] = value;
        rope
    };
    for (key, value, parts) in [
        ("model_type", json!("gpt_neox"), &["gpt_neox", "llama, mistral"][..]),
        ("hidden_act", json!("gelu"), &["gelu"]),
        ("quantization_config", json!({ "quant_method": "gptq" }), &["gptq"]),
        ("partial_rotary_factor", json!(0.5), &["0.5"]),
        (
            "rope_scaling",
            json!({ "type": "dynamic", "factor": 2.0 }),
            &["dynamic", "linear, llama3"],
        ),
        ("rope_scaling", json!({ "rope_type": "yarn", "factor": 2.0 }), &["yarn"]),
        ("rope_scaling", json!({ "type": "linear" }), &["rope_scaling.factor", "is missing"]),
        (
            "rope_scaling",
            json!({ "type": "linear", "factor": 0 }),
            &["rope_scaling.factor", "is 0"],
        ),
        ("rope_scaling", json!(7), &["expected an object"]),
        ("rope_parameters", json!(7), &["is not an object"]),
        ("rope_scaling", llama3("low_freq_factor", json!(4.0)), &["high_freq_factor", "is 4"]),
        ("rope_scaling", llama3("factor", json!(null)), &["rope_scaling.factor", "is missing"]),
        ("rope_scaling", llama3("original_max_position_embeddings", json!(-64)), &["is -64"]),
        ("sliding_window", json!(16), &["sliding_window", "16"]),
        ("tie_word_embeddings", json!(false), &["tie_word_embeddings", "lm_head.weight"]),
        ("tie_word_embeddings", json!("yes"), &["tie_word_embeddings", "true or false"]),
        ("attention_bias", json!(true), &["attention_bias", "is true"]),
        ("mlp_bias", json!(true), &["mlp_bias", "is true"]),
        ("hidden_size", json!(9), &["num_attention_heads", "2 do not divide 9"]),
        ("hidden_size", json!(0), &["hidden_size", "is 0"]),
        ("hidden_size", json!(16), &["token_embd.weight", "[8, 259]"]),
        ("hidden_size", json!(1u64 << 33), &["hidden_size", "8589934592"]),
        ("head_dim", json!(4_000_000_000u32), &["head_dim", "4000000000"]),
        ("head_dim", json!(5), &["rope.dimension_count", "5"]),
        ("num_attention_heads", json!(-2), &["num_attention_heads", "-2"]),
        ("num_key_value_heads", json!(3), &["head_count_kv", "is 3"]),
        ("num_hidden_layers", json!(2), &["blk.1.attn_norm.weight", "no such tensor"]),
        ("num_hidden_layers", json!(4_000_000_000u32), &["blk.1.attn_norm.weight"]),
        ("intermediate_size", json!(13), &["blk.0.ffn_gate.weight", "[8, 13]"]),
        ("vocab_size", json!(4_000_000_000u32), &["vocab_size", "4000000000", "259 rows"]),
        ("rms_norm_eps", json!(-1.0), &["rms_epsilon", "is -1"]),
        ("rms_norm_eps", json!(1e-60), &["rms_epsilon"]),
        ("rope_theta", json!(1e300), &["rope.freq_base", "inf"]),
        ("bos_token_id", json!(VOCABULARY), &["bos_token_id", "259"]),
    ] {
        refused(Folder::right().set(key, value).open(), parts);
    }
}

#[test]
fn tensors_that_disagree_are_named() {
    let right = Folder::right;
    let embedding = "model.embed_tokens.weight";
    refused(right().without(embedding).open(), &[embedding, "no such tensor"]);
    refused(right().tensor(embedding, &[260, 8]).open(), &["vocab_size", "259", "260 rows"]);
    refused(right().tensor(embedding, &[VOCABULARY]).open(), &["vocab_size", "1 rows"]);
    let bias = "model.layers.0.self_attn.q_proj.bias";
    refused(right().tensor(bias, &[8]).open(), &["attention_bias", "is false", bias]);
    let bias = "model.layers.0.mlp.up_proj.bias";
    refused(right().tensor(bias, &[12]).open(), &["mlp_bias", "is false", bias]);
    let unknown = "model.layers.0.self_attn.q_norm.weight";
    refused(right().tensor(unknown, &[4]).open(), &[unknown, "no place"]);
    // Another name for a tensor that is there.
    let again = "blk.0.attn_q.weight";
    refused(right().tensor(again, &[8, 8]).open(), &[again, "twice"]);
}

#[test]
fn files_that_are_no_json_are_named() {
    let deep = "[".repeat(100_000);
    for bytes in
        [&b"{"[..], b"", b"[]", b"\xff", b"{\"a\": NaN}", deep.as_bytes(), b"{\"a\":1e999}"]
    {
        for name in
            ["config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"]
        {
            refused(Folder::right().file(name, bytes).open(), &[name]);
        }
    }
    for name in ["config.json", "model.safetensors"] {
        refused(Folder::right().file(name, "(none)").open(), &[name, "models/tiny"]);
    }
    refused(
        Folder::right().file("chat_template.jinja", b"\xff").open(),
        &["chat_template.jinja", "UTF-8"],
    );
}

#[test]
fn indices_that_lie_are_refused() {
    const INDEX: &str = "model.safetensors.index.json";
    let norm = "model.norm.weight";
    let with = |file: &str| open_files(sharded(|index| index["weight_map"][norm] = json!(file)));
    refused(with("missing.safetensors"), &[INDEX, "missing.safetensors"]);
    refused(with("../model-00002-of-00002.safetensors"), &[INDEX, "../model"]);
    refused(with("/etc/passwd"), &[INDEX, "/etc/passwd"]);
    refused(with("config.json"), &["config.json"]);
    refused(with("model-00001-of-00002.safetensors"), &[INDEX, "model-00002", norm]);
    refused(open_files(sharded(|index| index["weight_map"] = json!([]))), &[INDEX, "weight_map"]);
    refused(open_files(sharded(|index| index["weight_map"][norm] = json!(2))), &[INDEX, norm]);
    let more =
        |index: &mut Json| index["weight_map"]["x"] = json!("model-00001-of-00002.safetensors");
    refused(open_files(sharded(more)), &[INDEX, "\"x\"", "model-00001"]);
    let fewer = |index: &mut Json| {
        index["weight_map"].as_object_mut().unwrap().remove(norm);
    };
    refused(open_files(sharded(fewer)), &[INDEX, norm]);
    let other = sharded(|_| {}).into_iter().filter(|(name, _)| !name.contains("00002-of"));
    refused(open_files(other.collect()), &[INDEX, "model-00002-of-00002.safetensors"]);
}

#[test]
fn tokenizers_that_cannot_work_are_refused() {
    let with = |pointer: &str, value: Json| {
        let mut folder = Folder::right();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        folder.tokenizer.pointer_mut(parent).unwrap()[key] = value;
        folder.open()
    };
    for (pointer, value, parts) in [
        ("/model/type", json!("Unigram"), &["tokenizer.json", "Unigram", "BPE"][..]),
        ("/model/vocab", json!([["a", 1.0]]), &["tokenizer.json"]),
        ("/model/vocab/x", json!(-1), &["tokenizer.json"]),
        ("/model/merges", json!(["a"]), &["tokeniz"]),
        ("/model/merges", json!([["a", "b"]]), &["tokeniz"]),
        ("/added_tokens", json!(7), &["tokenizer.json"]),
        ("/decoder", json!(null), &["tokenizer.json", "decoder"]),
        (
            "/decoder",
            json!({ "type": "WordPiece", "prefix": "##", "cleanup": true }),
            &["WordPiece"],
        ),
        ("/pre_tokenizer", json!({ "type": "Klingon" }), &["tokeniz"]),
        ("/version", json!("9"), &["tokeniz"]),
        // The crate gives another id than the file has.
        ("/added_tokens/0/id", json!(258), &["<|begin|>", "id 256"]),
    ] {
        refused(with(pointer, value), parts);
    }
}

/// Ids far away take no memory, and their tokens cannot be used.
#[test]
fn absurd_ids_are_left_out() {
    let mut folder = Folder::right();
    for (text, id) in [("<|begin|>", 256), ("<|end|>", 257), ("<|stop|>", 258), ("far", u32::MAX)] {
        folder.tokenizer["model"]["vocab"][text] = json!(id);
    }
    let tokenizer = load(folder.open()).unwrap();
    assert_eq!(tokenizer.vocab_size(), VOCABULARY);
}
