//! Models as Hugging Face keeps them: a folder with `config.json`, `tokenizer.json` and
//! safetensors, in one file or in shards.
//!
//! Everything becomes what a GGUF file would say: `config.json` GGUF's keys, tensors GGUF's names.
//! Rows of queries and keys stay in Hugging Face's order, which another [`RopeKind`] makes right;
//! who writes a GGUF must [reorder](permute_rows) them.
//!
//! [`RopeKind`]: crate::model::config::RopeKind

mod config;
mod names;
mod permute;
mod shards;
mod tokenizer;

pub(super) use permute::heads_to_permute;
pub use permute::permute_rows;

use std::sync::Arc;

use serde_json::Value as Json;

use super::checkpoint::{Checkpoint, Container, FileProblem};
use super::gguf::{Metadata, Value};
use super::safetensors::json_error;
use super::source::{self, ByteSource, ModelFiles};
use crate::error::{Error, Result};

/// The largest text file that is read; the largest tokenizers take some 35 MB.
const MAX_TEXT: u64 = 256 << 20;

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const GENERATION_CONFIG: &str = "generation_config.json";
const CHAT_TEMPLATE: &str = "chat_template.jinja";

/// The names of the files that are read, besides `*.safetensors`.
pub const FILES: [&str; 6] =
    [CONFIG, TOKENIZER, TOKENIZER_CONFIG, GENERATION_CONFIG, CHAT_TEMPLATE, shards::INDEX];

/// Reads a model's description.
pub(super) async fn open(files: &ModelFiles) -> Result<Checkpoint> {
    let Some(config) = object(files, CONFIG).await? else {
        let problem = format!("no such file beside the tensors of {}", files.name());
        return Err(Error::config(CONFIG, problem));
    };
    let config = config::Config::new(config)?;
    let shards = shards::open(files).await?;
    let (tensors, source, shards) = config.finish(files.name(), shards)?;
    let mut metadata = config.metadata(files.name())?;
    let tokenizer_json = text(files, TOKENIZER).await?;
    let settings = Settings {
        config: config.json().clone(),
        tokenizer: object(files, TOKENIZER_CONFIG).await?.unwrap_or_default(),
        generation: object(files, GENERATION_CONFIG).await?.unwrap_or_default(),
    };
    if let Some(json) = &tokenizer_json {
        tokenizer::translate(json, &settings, config.vocabulary(), &mut metadata)?;
    }
    let template = text(files, CHAT_TEMPLATE).await?.or_else(|| settings.chat_template());
    if let Some(template) = template {
        set(&mut metadata, "tokenizer.chat_template", template);
    }
    let container = Container::HuggingFace { shards };
    let mut checkpoint = Checkpoint::new(container, metadata, tensors, source);
    checkpoint.tokenizer_json = tokenizer_json.map(Into::into);
    Ok(checkpoint)
}

type Object = serde_json::Map<String, Json>;

/// What the files besides `tokenizer.json` say about tokens.
struct Settings {
    config: Object,
    tokenizer: Object,
    generation: Object,
}

impl Settings {
    /// The template in `tokenizer_config.json`: a text, or a list of them by name.
    fn chat_template(&self) -> Option<String> {
        match self.tokenizer.get("chat_template")? {
            Json::String(text) => Some(text.clone()),
            Json::Array(list) => {
                let default = list.iter().find(|t| t["name"] == "default");
                default?["template"].as_str().map(str::to_owned)
            }
            _ => None,
        }
    }
}

/// The whole of a text file, where there is one.
async fn text(files: &ModelFiles, name: &str) -> Result<Option<String>> {
    let Some(file) = files.get(name) else { return Ok(None) };
    let bytes = file.len();
    if bytes > MAX_TEXT {
        let problem = FileProblem::TooLarge { bytes, limit: MAX_TEXT };
        return Err(Error::malformed(file.name(), problem));
    }
    let bytes = source::read(&**file, 0, bytes as usize).await?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Some(text.to_owned())),
        Err(e) => {
            let at = e.valid_up_to() as u64;
            Err(Error::malformed(file.name(), FileProblem::NotUtf8 { at }))
        }
    }
}

/// A file that holds one JSON object, where there is one.
async fn object(files: &ModelFiles, name: &str) -> Result<Option<Object>> {
    let Some(text) = text(files, name).await? else { return Ok(None) };
    let file = files.get(name).map_or(name, |file| file.name());
    match serde_json::from_str(&text) {
        Ok(Json::Object(object)) => Ok(Some(object)),
        Ok(_) => Err(Error::malformed(file, FileProblem::Json("expected an object".into()))),
        Err(e) => Err(Error::malformed(file, FileProblem::Json(json_error(&e)))),
    }
}

/// Sets a key that is not there yet.
fn set(metadata: &mut Metadata, key: &str, value: impl Into<Value>) {
    // Every key is set in one place only.
    let _ = metadata.insert(key.into(), value.into());
}

type Source = Arc<dyn ByteSource>;
