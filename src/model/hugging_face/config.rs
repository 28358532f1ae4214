//! `config.json` in GGUF's keys, as convert_hf_to_gguf.py's `LlamaModel` writes them.

use std::collections::HashSet;
use std::f64::consts::TAU;
use std::sync::Arc;

use serde_json::Value as Json;

use super::shards::Shard;
use super::{CONFIG, Object, Source, names, set};
use crate::error::{Error, Result};
use crate::formats;
use crate::model::gguf::Metadata;
use crate::model::safetensors;
use crate::model::source::{Bytes, Joined};
use crate::model::tensor::{TensorInfo, TensorKind};

/// Architectures that compute what llama does.
const MODEL_TYPES: [&str; 2] = ["llama", "mistral"];

/// Far beyond any model's: a table of this length is made before the tensors are looked at.
const MAX_HEAD: u32 = 1 << 16;

/// A `config.json` that asks for nothing that this build does not do.
pub(super) struct Config {
    json: Object,
    sizes: Sizes,
    factors: Option<Vec<f32>>,
}

struct Sizes {
    width: u32,
    heads: u32,
    head: u32,
    vocabulary: u32,
    rope_base: f64,
}

/// How the angles are stretched.
enum Scaling {
    None,
    Linear(f64),
    /// Llama 3's: a divisor for each angle.
    Factors(Vec<f32>),
}

impl Config {
    pub(super) fn new(json: Object) -> Result<Self> {
        let json = Self::flat(json)?;
        refuse(&json)?;
        let size = |key: &str| size(&json, key)?.ok_or_else(|| error(key, "is missing"));
        let (width, heads) = (size("hidden_size")?, size("num_attention_heads")?);
        let head = match self::size(&json, "head_dim")? {
            Some(head) => head,
            None if width.is_multiple_of(heads) => width / heads,
            None => {
                return Err(error("num_attention_heads", format!("{heads} do not divide {width}")));
            }
        };
        if head > MAX_HEAD {
            return Err(error("head_dim", format!("is {head}, more than {MAX_HEAD}")));
        }
        let rope_base = number(&json, "rope_theta")?.unwrap_or(10_000.0);
        let vocabulary = size("vocab_size")?;
        let sizes = Sizes { width, heads, head, vocabulary, rope_base };
        let factors = match scaling(&json, &sizes)? {
            Scaling::Factors(factors) => Some(factors),
            _ => None,
        };
        Ok(Self { json, sizes, factors })
    }

    /// Newer files keep everything about rotation in one object.
    fn flat(mut json: Object) -> Result<Object> {
        let Some(rope) = json.remove("rope_parameters").filter(|rope| !rope.is_null()) else {
            return Ok(json);
        };
        let Json::Object(mut rope) = rope else {
            return Err(error("rope_parameters", "is not an object"));
        };
        for key in ["rope_theta", "partial_rotary_factor"] {
            if let Some(value) = rope.remove(key) {
                json.insert(key.into(), value);
            }
        }
        json.insert("rope_scaling".into(), Json::Object(rope));
        Ok(json)
    }

    pub(super) fn json(&self) -> &Object {
        &self.json
    }

    /// Rows of the embedding.
    pub(super) fn vocabulary(&self) -> u32 {
        self.sizes.vocabulary
    }

    /// The file has the bytes of so many rows, before any list is made so long.
    fn check_vocabulary(&self, tensors: &[TensorInfo]) -> Result<()> {
        let embedding = tensors.iter().find(|t| t.name == EMBEDDING);
        let embedding = embedding.ok_or_else(|| Error::config(EMBEDDING, "no such tensor"))?;
        let (rows, said) = (embedding.rows(), self.sizes.vocabulary);
        if rows == u64::from(said) {
            return Ok(());
        }
        Err(error("vocab_size", format!("is {said}, but {EMBEDDING} has {rows} rows")))
    }

    /// The configuration in GGUF's keys.
    pub(super) fn metadata(&self, name: &str) -> Result<Metadata> {
        let (json, sizes) = (&self.json, &self.sizes);
        let required = |key: &str| size(json, key)?.ok_or_else(|| error(key, "is missing"));
        let mut metadata = Metadata::default();
        let to = &mut metadata;
        set(to, "general.architecture", "llama");
        set(to, "general.name", base_name(name));
        set(to, "llama.block_count", required("num_hidden_layers")?);
        set(to, "llama.context_length", required("max_position_embeddings")?);
        set(to, "llama.embedding_length", sizes.width);
        set(to, "llama.feed_forward_length", required("intermediate_size")?);
        set(to, "llama.attention.head_count", sizes.heads);
        let kv_heads = size(json, "num_key_value_heads")?.unwrap_or(sizes.heads);
        set(to, "llama.attention.head_count_kv", kv_heads);
        set(to, "llama.attention.key_length", sizes.head);
        set(to, "llama.attention.value_length", sizes.head);
        let eps = number(json, "rms_norm_eps")?.ok_or_else(|| error("rms_norm_eps", "is missing"));
        set(to, "llama.attention.layer_norm_rms_epsilon", eps? as f32);
        set(to, "llama.rope.dimension_count", sizes.head);
        set(to, "llama.rope.freq_base", sizes.rope_base as f32);
        set(to, "llama.vocab_size", sizes.vocabulary);
        if let Scaling::Linear(factor) = scaling(json, sizes)? {
            set(to, "llama.rope.scaling.type", "linear");
            set(to, "llama.rope.scaling.factor", factor as f32);
        }
        if let Some(window) = size(json, "sliding_window")? {
            set(to, "llama.attention.sliding_window", window);
        }
        Ok(metadata)
    }

    /// All tensors by GGUF's names, in one source, with those that `config.json` implies; and the
    /// names of the files.
    pub(super) fn finish(
        &self,
        name: &str,
        shards: Vec<Shard>,
    ) -> Result<(Vec<TensorInfo>, Source, Vec<String>)> {
        let (mut tensors, mut sources, mut files) = (Vec::new(), Vec::new(), Vec::new());
        let mut at = 0u64;
        let too_large = || Error::config(name, "all files together are too large");
        for Shard { name, header, source } in shards {
            tensors.extend(safetensors::tensors(header, at));
            at = at.checked_add(source.len()).ok_or_else(too_large)?;
            sources.push(source);
            files.push(name);
        }
        if let Some(factors) = &self.factors {
            let (tensor, bytes) = rope_freqs(factors, at)?;
            tensors.push(tensor);
            sources.push(Arc::new(Bytes::new("rope_freqs.weight", bytes)));
        }
        let tied = boolean(&self.json, "tie_word_embeddings")?;
        // Tied means that a head in the file is not looked at.
        let is_unused = |name: &str| tied == Some(true) && name == HEAD;
        tensors.retain(|t| !(names::is_left_out(&t.name) || is_unused(&t.name)));
        check_optional(&self.json, &tensors, tied)?;
        self.check_vocabulary(&tensors)?;
        let mut seen = HashSet::new();
        for tensor in &mut tensors {
            // A tensor that no llama model has keeps its name, by which it is refused later.
            if let Some(name) = names::to_gguf(&tensor.name) {
                tensor.name = name;
            }
            if !seen.insert(tensor.name.clone()) {
                return Err(Error::config(&tensor.name, "occurs twice"));
            }
        }
        let source: Source = match <[Source; 1]>::try_from(sources) {
            Ok([single]) => single,
            Err(sources) => Arc::new(Joined::new(name, sources).ok_or_else(too_large)?),
        };
        Ok((tensors, source, files))
    }
}

const HEAD: &str = "lm_head.weight";
const EMBEDDING: &str = "model.embed_tokens.weight";

/// Tensors that may be missing are there if, and only if, `config.json` says so: Hugging Face would
/// leave them out or make random ones.
fn check_optional(json: &Object, tensors: &[TensorInfo], tied: Option<bool>) -> Result<()> {
    if tied == Some(false) && !tensors.iter().any(|t| t.name == HEAD) {
        return Err(error("tie_word_embeddings", format!("is false, but there is no {HEAD}")));
    }
    for (key, part) in [("attention_bias", ".self_attn."), ("mlp_bias", ".mlp.")] {
        let wanted = boolean(json, key)?.unwrap_or(false);
        let mut biases = tensors.iter().filter(|t| t.name.ends_with(".bias"));
        let found = biases.find(|t| t.name.contains(part)).map(|t| t.name.as_str());
        match found {
            Some(name) if !wanted => {
                return Err(error(key, format!("is false, but there is {name}")));
            }
            None if wanted => {
                return Err(error(key, format!("is true, but no {part}*.bias is there")));
            }
            _ => {}
        }
    }
    Ok(())
}

fn rope_freqs(factors: &[f32], offset: u64) -> Result<(TensorInfo, Vec<u8>)> {
    let bytes: Vec<u8> = factors.iter().flat_map(|f| f.to_le_bytes()).collect();
    let tensor = TensorInfo {
        name: "rope_freqs.weight".into(),
        shape: vec![factors.len() as u64],
        kind: TensorKind::Format(formats::by_name("f32")?),
        type_id: None,
        offset,
        bytes: bytes.len() as u64,
    };
    Ok((tensor, bytes))
}

fn refuse(json: &Object) -> Result<()> {
    let model_type =
        string(json, "model_type")?.ok_or_else(|| error("model_type", "is missing"))?;
    if !MODEL_TYPES.contains(&model_type) {
        let known = MODEL_TYPES.join(", ");
        let problem = format!("{model_type:?} is not supported; this build runs {known}");
        return Err(error("model_type", problem));
    }
    match string(json, "hidden_act")? {
        None | Some("silu" | "swish") => {}
        Some(other) => {
            let problem = format!("{other:?} is not supported; a llama model has silu");
            return Err(error("hidden_act", problem));
        }
    }
    if let Some(quantization) = json.get("quantization_config").filter(|q| !q.is_null()) {
        let method = quantization["quant_method"].as_str().unwrap_or("?");
        let problem =
            format!("{method:?} is not supported; take the model's F32, F16 or BF16 files");
        return Err(error("quantization_config", problem));
    }
    match number(json, "partial_rotary_factor")? {
        None => Ok(()),
        Some(1.0) => Ok(()),
        Some(other) => {
            Err(error("partial_rotary_factor", format!("is {other}; only 1 is supported")))
        }
    }
}

fn scaling(json: &Object, sizes: &Sizes) -> Result<Scaling> {
    const KEY: &str = "rope_scaling";
    let rope = match json.get(KEY) {
        None | Some(Json::Null) => return Ok(Scaling::None),
        Some(Json::Object(rope)) => rope,
        Some(other) => return Err(error(KEY, format!("is {other}, expected an object"))),
    };
    // The second is the name that early files used.
    let kind = string(rope, "rope_type")?.or(string(rope, "type")?);
    let get = |key: &str| {
        let value =
            number(rope, key)?.ok_or_else(|| error(&format!("{KEY}.{key}"), "is missing"))?;
        let usable = value > 0.0 && (value as f32).is_finite();
        if usable { Ok(value) } else { Err(error(&format!("{KEY}.{key}"), format!("is {value}"))) }
    };
    match kind {
        None | Some("default") => Ok(Scaling::None),
        Some("linear") => Ok(Scaling::Linear(get("factor")?)),
        Some("llama3") => {
            let original = get("original_max_position_embeddings")?;
            let (low, high) = (get("low_freq_factor")?, get("high_freq_factor")?);
            if high <= low {
                let problem = format!("is {high}, not more than low_freq_factor, {low}");
                return Err(error("rope_scaling.high_freq_factor", problem));
            }
            Ok(Scaling::Factors(llama3(sizes, get("factor")?, low, high, original)))
        }
        Some(other) => {
            let problem = format!("{other:?} is not supported; this build knows linear, llama3");
            Err(error(KEY, problem))
        }
    }
}

/// The divisor of each angle: 1 for short waves, `factor` for long ones, smooth between
/// (transformers, modeling_rope_utils.py, `_compute_llama3_parameters`).
fn llama3(sizes: &Sizes, factor: f64, low: f64, high: f64, original: f64) -> Vec<f32> {
    let divisor = |i: u32| {
        let wave = TAU * sizes.rope_base.powf(f64::from(2 * i) / f64::from(sizes.head));
        let smooth = (original / wave - low) / (high - low);
        match wave {
            _ if wave < original / high => 1.0,
            _ if wave > original / low => factor,
            _ => 1.0 / ((1.0 - smooth) / factor + smooth),
        }
    };
    (0..sizes.head / 2).map(|i| divisor(i) as f32).collect()
}

/// The last part of a path.
fn base_name(path: &str) -> &str {
    path.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or(path)
}

fn error(key: &str, problem: impl std::fmt::Display) -> Error {
    Error::config(format!("{CONFIG}: {key}"), problem)
}

/// A value, `None` where it is missing or null.
fn get<'a>(json: &'a Object, key: &str) -> Option<&'a Json> {
    json.get(key).filter(|value| !value.is_null())
}

fn typed<'a, T>(
    json: &'a Object,
    key: &str,
    expected: &str,
    convert: impl FnOnce(&'a Json) -> Option<T>,
) -> Result<Option<T>> {
    let Some(value) = get(json, key) else { return Ok(None) };
    let wrong = || {
        let found: String = value.to_string().chars().take(60).collect();
        error(key, format!("is {found}, expected {expected}"))
    };
    convert(value).map(Some).ok_or_else(wrong)
}

/// A size of at least 1.
fn size(json: &Object, key: &str) -> Result<Option<u32>> {
    typed(json, key, "a size of at least 1", |v| {
        v.as_u64()?.try_into().ok().filter(|n: &u32| *n > 0)
    })
}

fn number(json: &Object, key: &str) -> Result<Option<f64>> {
    typed(json, key, "a number", Json::as_f64)
}

fn string<'a>(json: &'a Object, key: &str) -> Result<Option<&'a str>> {
    typed(json, key, "a text", Json::as_str)
}

fn boolean(json: &Object, key: &str) -> Result<Option<bool>> {
    typed(json, key, "true or false", Json::as_bool)
}
