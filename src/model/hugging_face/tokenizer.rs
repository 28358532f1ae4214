//! `tokenizer.json` in GGUF's keys.
//!
//! The tokens, their kinds and the special ids always are. The algorithm is where it is byte-level
//! BPE that llama.cpp knows by name; else the whole file is kept under `tokenizer.huggingface.json`,
//! which [`Tokenizer`](crate::model::Tokenizer) reads, too.

use std::collections::HashMap;

use serde_json::{Value as Json, json};

use super::{Object, Settings, TOKENIZER, set};
use crate::error::{Error, Result};
use crate::model::checkpoint::FileProblem;
use crate::model::gguf::Metadata;
use crate::model::safetensors::json_error;

/// `llama_token_type`.
const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;
const BYTE: i32 = 6;

#[derive(serde::Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: Vec<Added>,
    #[serde(default)]
    normalizer: Json,
    #[serde(default)]
    pre_tokenizer: Json,
    #[serde(default)]
    post_processor: Json,
    #[serde(default)]
    decoder: Json,
    model: Model,
}

#[derive(serde::Deserialize)]
struct Added {
    id: u32,
    content: String,
    #[serde(default)]
    special: bool,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
}

#[derive(serde::Deserialize)]
struct Model {
    #[serde(default)]
    r#type: Option<String>,
    vocab: HashMap<String, u32>,
    merges: Vec<Merge>,
    #[serde(default)]
    unk_token: Option<String>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    #[serde(default)]
    dropout: Option<f64>,
    #[serde(default)]
    continuing_subword_prefix: Option<String>,
    #[serde(default)]
    end_of_word_suffix: Option<String>,
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Merge {
    Pair(String, String),
    Text(String),
}

/// Adds the tokenizer's keys to the metadata of a model with an embedding of so many rows.
pub(super) fn translate(
    text: &str,
    settings: &Settings,
    vocabulary: u32,
    metadata: &mut Metadata,
) -> Result<()> {
    let bad = |problem: String| Error::malformed(TOKENIZER, FileProblem::Json(problem));
    let file: Json = serde_json::from_str(text).map_err(|e| bad(json_error(&e)))?;
    let kind = file["model"]["type"].as_str().unwrap_or("BPE");
    if kind != "BPE" {
        let problem = format!("{kind:?} is not supported; this build knows BPE");
        return Err(Error::config(format!("{TOKENIZER}: model.type"), problem));
    }
    let file: File = serde_json::from_value(file).map_err(|e| bad(json_error(&e)))?;
    let ids = ids(&file);
    special_ids(&ids, settings, metadata);
    let (adds_bos, adds_eos) = added_ends(&file, &ids, metadata)?;
    let algorithm = algorithm(&file).filter(|_| ids.values().all(|id| *id < vocabulary));
    let (tokens, types) = table(&file, vocabulary);
    set(metadata, "tokenizer.ggml.tokens", tokens);
    set(metadata, "tokenizer.ggml.token_type", types);
    set(metadata, "tokenizer.ggml.add_bos_token", adds_bos);
    set(metadata, "tokenizer.ggml.add_eos_token", adds_eos);
    match algorithm {
        Some((pre, merges)) => {
            set(metadata, "tokenizer.ggml.model", "gpt2");
            set(metadata, "tokenizer.ggml.pre", pre);
            set(metadata, "tokenizer.ggml.merges", merges);
        }
        None => set(metadata, "tokenizer.huggingface.json", text),
    }
    Ok(())
}

/// Each token's id; an added token goes before one of the model's.
fn ids(file: &File) -> HashMap<&str, u32> {
    let model = file.model.vocab.iter().map(|(text, id)| (text.as_str(), *id));
    let added = file.added_tokens.iter().map(|t| (t.content.as_str(), t.id));
    model.chain(added).collect()
}

/// The tokens by id, and what they are for. A row of the embedding without a token is unused; a
/// token without a row, which some models have, cannot be used and is left out.
fn table(file: &File, vocabulary: u32) -> (Vec<String>, Vec<i32>) {
    let mut tokens: Vec<Option<&str>> = vec![None; vocabulary as usize];
    let mut types = vec![UNUSED; vocabulary as usize];
    let unknown = file.model.unk_token.as_deref();
    let model = file.model.vocab.iter().map(|(text, id)| {
        let kind = match text.as_str() {
            text if Some(text) == unknown => UNKNOWN,
            text if file.model.byte_fallback && is_byte(text) => BYTE,
            _ => NORMAL,
        };
        (text.as_str(), *id, kind)
    });
    let added = file.added_tokens.iter().map(|t| {
        let kind = match t.content.as_str() {
            text if Some(text) == unknown => UNKNOWN,
            _ if t.special => CONTROL,
            _ => USER_DEFINED,
        };
        (t.content.as_str(), t.id, kind)
    });
    for (text, id, kind) in model.chain(added) {
        let slots = (tokens.get_mut(id as usize), types.get_mut(id as usize));
        if let (Some(token), Some(slot)) = slots {
            *token = Some(text);
            *slot = kind;
        }
    }
    let text = |(id, token): (usize, Option<&str>)| {
        token.map_or_else(|| format!("[PAD{id}]"), str::to_owned)
    };
    (tokens.into_iter().enumerate().map(text).collect(), types)
}

fn is_byte(text: &str) -> bool {
    let digits = text.strip_prefix("<0x").and_then(|t| t.strip_suffix('>'));
    digits.is_some_and(|d| d.len() == 2 && d.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Ids that begin and end: the texts of `tokenizer_config.json` go before the numbers of the other
/// two files. More ids that end a generation go where GGUF has keys for them.
fn special_ids(ids: &HashMap<&str, u32>, settings: &Settings, metadata: &mut Metadata) {
    let by_text = |key: &str| {
        let token = settings.tokenizer.get(key)?;
        let text = token.as_str().or_else(|| token["content"].as_str())?;
        ids.get(text).copied()
    };
    let numbers = |key: &str| {
        let files = [&settings.config, &settings.generation];
        files.into_iter().flat_map(|f| listed(f, key)).collect::<Vec<_>>()
    };
    let bos = by_text("bos_token").or_else(|| numbers("bos_token_id").first().copied());
    if let Some(bos) = bos {
        set(metadata, "tokenizer.ggml.bos_token_id", bos);
    }
    let mut ends: Vec<u32> = by_text("eos_token").into_iter().collect();
    for id in numbers("eos_token_id") {
        if !ends.contains(&id) {
            ends.push(id);
        }
    }
    for (key, id) in ["eos", "eot", "eom"].into_iter().zip(ends) {
        set(metadata, &format!("tokenizer.ggml.{key}_token_id"), id);
    }
}

/// An id or a list of them.
fn listed(file: &Object, key: &str) -> Vec<u32> {
    let id = |json: &Json| json.as_u64().and_then(|id| u32::try_from(id).ok());
    match file.get(key) {
        Some(Json::Array(list)) => list.iter().filter_map(id).collect(),
        Some(one) => id(one).into_iter().collect(),
        None => vec![],
    }
}

/// Whether the post-processor begins with BOS and ends with EOS. Errors: it adds something else.
fn added_ends(file: &File, ids: &HashMap<&str, u32>, metadata: &Metadata) -> Result<(bool, bool)> {
    let Some(template) = template(&file.post_processor) else { return Ok((false, false)) };
    let id_of = |piece: &Json| ids.get(piece["SpecialToken"]["id"].as_str()?).copied();
    let bos = metadata.u32("tokenizer.ggml.bos_token_id")?;
    let eos = metadata.u32("tokenizer.ggml.eos_token_id")?;
    let is = |piece: Option<&Json>, id: Option<u32>| id.is_some() && piece.and_then(id_of) == id;
    let text = template.iter().position(|piece| !piece["Sequence"].is_null());
    let (before, after) = template.split_at(text.unwrap_or(template.len()));
    Ok((is(before.first(), bos), is(after.last(), eos)))
}

/// What a `TemplateProcessing` does with one text, also within a `Sequence`.
fn template(post_processor: &Json) -> Option<&Vec<Json>> {
    match post_processor["type"].as_str()? {
        "TemplateProcessing" => post_processor["single"].as_array(),
        "Sequence" => post_processor["processors"].as_array()?.iter().find_map(template),
        _ => None,
    }
}

/// llama.cpp's name of the algorithm, and the merges; `None` where it does something else.
fn algorithm(file: &File) -> Option<(&'static str, Vec<String>)> {
    let model = &file.model;
    let affixes = [&model.continuing_subword_prefix, &model.end_of_word_suffix];
    let has_affix = affixes.into_iter().flatten().any(|text| !text.is_empty());
    let is_plain = |t: &Added| !(t.single_word || t.lstrip || t.rstrip);
    let is_byte_level = file.decoder["type"] == "ByteLevel"
        && model.r#type.is_some()
        && !model.byte_fallback
        && model.dropout.is_none_or(|p| p == 0.0);
    if !is_byte_level || has_affix || !file.added_tokens.iter().all(is_plain) {
        return None;
    }
    let pre = pre_tokenizer(file)?;
    let merge = |merge: &Merge| match merge {
        Merge::Text(text) => Some(text.clone()),
        Merge::Pair(a, b) if !a.contains(' ') && !b.contains(' ') => Some(format!("{a} {b}")),
        Merge::Pair(..) => None,
    };
    Some((pre, model.merges.iter().map(merge).collect::<Option<_>>()?))
}

/// The pattern that Llama 3 splits by; Qwen 2's has single digits.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// llama.cpp's name of how words are cut (`llm_tokenizer_bpe`), where the file does just that.
fn pre_tokenizer(file: &File) -> Option<&'static str> {
    let split = |regex: &str| json!({ "type": "Split", "pattern": { "Regex": regex }, "behavior": "Isolated", "invert": false });
    let bytes = |use_regex: bool| json!({ "type": "ByteLevel", "add_prefix_space": false, "use_regex": use_regex });
    let digits = json!({ "type": "Digits", "individual_digits": true });
    let sequence = |steps: [Json; 2]| json!({ "type": "Sequence", "pretokenizers": steps });
    let pre = without_offsets(&file.pre_tokenizer);
    // Unicode's normal form is left out by llama.cpp's own converter, too.
    let is_nfc = file.normalizer["type"] == "NFC";
    let is_none = file.normalizer.is_null();
    let known = [
        ("gpt-2", bytes(true), is_none, false),
        ("smollm", sequence([digits, bytes(true)]), is_none, false),
        ("llama-bpe", sequence([split(LLAMA3), bytes(false)]), is_none, true),
        ("qwen2", sequence([split(QWEN2), bytes(false)]), is_none || is_nfc, false),
    ];
    let ignores = file.model.ignore_merges;
    let found = known
        .into_iter()
        .find(|(_, shape, is_normal, ignore)| *shape == pre && *is_normal && *ignore == ignores);
    found.map(|(name, ..)| name)
}

/// Without what only matters for offsets, and with the default that old files leave out.
fn without_offsets(pre: &Json) -> Json {
    match pre {
        Json::Object(object) => {
            let mut object: Object =
                object.iter().map(|(k, v)| (k.clone(), without_offsets(v))).collect();
            if object.get("type").is_some_and(|t| t == "ByteLevel") {
                object.remove("trim_offsets");
                object.entry("use_regex").or_insert(Json::Bool(true));
            }
            Json::Object(object)
        }
        Json::Array(list) => list.iter().map(without_offsets).collect(),
        other => other.clone(),
    }
}
