//! A model with one conversation.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use js_sys::Function;
use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::*;

use super::device::Device;
use super::error::Thrown;
use super::generate::Options;
use super::tuning::TuneOptions;
use super::{JsResult, from_json, to_json};
use crate::error::{Error, Result};
use crate::formats::{self, FormatRef};
use crate::gpu::{Gpu, GpuOptions};
use crate::model::{
    GenerateOptions, Message, Model, ModelConfig, Progress, SamplerOptions, Session,
    SessionOptions, Stage,
};
use crate::ops::kv;
use crate::platform::BlobSource;

/// A loaded model, its conversation, and the device that they are on.
#[wasm_bindgen(js_name = Model)]
pub struct Handle {
    /// What a new device is asked for, when this one is lost.
    pub(super) gpu_options: GpuOptions,
    pub(super) model: RefCell<Model>,
    /// Taken by whoever uses it.
    pub(super) session: RefCell<Option<Session>>,
    pub(super) stop: Cell<bool>,
    file_bytes: u64,
    /// What is known of layouts, if the load measured any.
    tuning: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct LoadOptions {
    context: Option<usize>,
    kv_cache: Option<String>,
    /// What answers will need, where the page says.
    sampling: Options,
    /// Whether that is compiled while loading; it is, where nothing is said.
    compile: Option<bool>,
    tune: Option<TuneOptions>,
}

impl LoadOptions {
    fn session(&self) -> JsResult<SessionOptions> {
        let kv_cache = formats::by_name(self.kv_cache.as_deref().unwrap_or("f32"))?;
        // Said before the weights are uploaded.
        if !kv::can_hold(kv_cache) {
            let problem =
                format!("{} cannot be appended to; take f32, f16 or q8_0", kv_cache.name());
            return Err(Thrown::invalid("kvCache", problem));
        }
        Ok(SessionOptions { context: self.context, kv_cache, ..Default::default() })
    }
}

/// Tells the page: a stage's name, what is done, of how much.
pub(super) fn teller(page: &Function) -> impl FnMut(Progress) {
    move |Progress { stage, done, total }| {
        let stage = match stage {
            Stage::Upload => "upload",
            Stage::Compile => "compile",
            Stage::Tune => "tune",
        };
        let (done, total) = (JsValue::from(done as f64), JsValue::from(total as f64));
        // The page's function posts a message, which does not fail.
        let _ = page.call3(&JsValue::NULL, &stage.into(), &done, &total);
    }
}

#[wasm_bindgen(js_class = Model)]
impl Handle {
    /// Loads what is in a file, and compiles what decoding needs, unless the option `compile` is false.
    /// `progress` is called with a stage, what is done, and of how much. The file may be anything that
    /// has a Blob's `size` and `slice`, whose result has `arrayBuffer`.
    pub async fn load(
        device: &Device,
        name: String,
        file: web_sys::Blob,
        options: String,
        progress: Function,
    ) -> JsResult<Handle> {
        let options: LoadOptions = from_json(&options)?;
        let (answers, tune, compile) =
            (options.sampling.plain()?, options.tune.as_ref(), options.compile.unwrap_or(true));
        let options = options.session()?;
        answers.sampler.validate()?;
        let file_bytes = file.size() as u64;
        let source = Arc::new(BlobSource::new(name, file));
        let mut tell = teller(&progress);
        let model = Model::load(&device.gpu, source, &mut tell).await?;
        let tuning = match tune {
            Some(tune) => tune.apply(&model, options.chunk, &mut tell).await?,
            None => None,
        };
        let mut session = model.session(&options).await?;
        if compile {
            session.warm_up(&answers, &mut tell).await?;
        }
        Ok(Self {
            gpu_options: device.options.clone(),
            model: RefCell::new(model),
            session: RefCell::new(Some(session)),
            stop: Cell::new(false),
            file_bytes,
            tuning,
        })
    }

    /// Text to be kept, and handed to the next load as `tune.known`, if something was measured.
    pub fn tuning(&self) -> Option<String> {
        self.tuning.clone()
    }

    /// Compiles what drawing a token needs, if the load did not; answers may be made meanwhile.
    #[wasm_bindgen(js_name = warmUpDrawing)]
    pub async fn warm_up_drawing(&self) -> JsResult<()> {
        let sampler = SamplerOptions::default();
        let options = GenerateOptions { sampler, ..Default::default() };
        // Where an answer has the session, what it needs is compiled for it.
        let work = self.session.borrow().as_ref().map(|s| s.warm_up_choice(&options));
        if let Some(work) = work {
            work?.await?;
        }
        Ok(())
    }

    /// What it is, as JSON.
    pub fn info(&self) -> JsResult<String> {
        let model = self.model.borrow();
        let of = |session: &Session| (session.context(), session.kv_cache());
        let session = self.session.borrow().as_ref().map_or((0, formats::F32), of);
        to_json(&Info::new(&model, session, self.file_bytes))
    }

    /// Ids of a text.
    pub fn tokenize(&self, text: &str, special: bool, parse_special: bool) -> JsResult<Vec<u32>> {
        Ok(self.model.borrow().tokenizer()?.encode(text, special, parse_special)?)
    }

    /// The text of ids.
    pub fn detokenize(&self, ids: &[u32], special: bool) -> JsResult<String> {
        Ok(self.model.borrow().tokenizer()?.decode(ids, special)?)
    }

    /// Ids of a conversation up to where the answer begins; `messages` are JSON.
    #[wasm_bindgen(js_name = chatTokens)]
    pub fn chat_tokens(&self, messages: &str) -> JsResult<Vec<u32>> {
        let messages: Vec<Message> = from_json(messages)?;
        let model = self.model.borrow();
        let text = model.chat_template()?.render(&messages, true)?;
        Ok(model.tokenizer()?.encode_chat(&text)?)
    }

    /// The embedding rows of ids, back to back.
    pub async fn embed(&self, ids: Vec<u32>) -> JsResult<Vec<f32>> {
        let model = self.model.borrow().clone();
        Ok(embed(&model, &ids).await?)
    }

    /// Its tensors, as JSON.
    pub fn tensors(&self) -> JsResult<String> {
        let model = self.model.borrow();
        let tensors = model.checkpoint().tensors.iter();
        let list: Vec<_> = tensors
            .map(|t| Tensor {
                name: &t.name,
                shape: &t.shape,
                format: t.type_name().to_lowercase(),
                bytes: t.bytes,
            })
            .collect();
        to_json(&list)
    }

    /// The first values of a tensor: whole rows, at least one.
    #[wasm_bindgen(js_name = readTensor)]
    pub async fn read_tensor(&self, name: String, max_values: usize) -> JsResult<Vec<f32>> {
        let model = self.model.borrow().clone();
        let tensor = model.checkpoint().tensor(&name);
        let tensor = tensor.ok_or_else(|| Thrown::invalid("name", format!("no tensor {name}")))?;
        let len = (tensor.row_len() as usize).max(1);
        let rows = (max_values / len).clamp(1, tensor.rows() as usize);
        Ok(read_rows(&model, &name, 0, rows).await?)
    }

    /// Ends the answer that is in the making, after its current step.
    pub fn stop(&self) {
        self.stop.set(true);
    }

    /// Bytes of live buffers of its device.
    #[wasm_bindgen(js_name = gpuBytes)]
    pub fn gpu_bytes(&self) -> f64 {
        self.model.borrow().gpu().allocated_bytes() as f64
    }

    /// Gives the device up: whatever still runs fails.
    pub fn destroy(&self) {
        self.model.borrow().gpu().destroy();
    }
}

impl Handle {
    /// A new device, when the old one is lost.
    pub(super) async fn new_gpu(&self) -> Result<Gpu> {
        Gpu::request(&self.gpu_options).await
    }
}

/// Rows of a tensor of the file, decoded.
async fn read_rows(model: &Model, name: &str, first: u64, rows: usize) -> Result<Vec<f32>> {
    let checkpoint = model.checkpoint();
    let tensor = checkpoint
        .tensor(name)
        .ok_or_else(|| Error::config(name, "the model has no such tensor"))?;
    let (format, len) = (tensor.format()?, tensor.row_len() as usize);
    let row_bytes = tensor.bytes / tensor.rows().max(1);
    let at = tensor.offset + first * row_bytes;
    let bytes = checkpoint.source().read(at, row_bytes as usize * rows).await?;
    let mut values = vec![0.0; rows * len];
    formats::decode_rows(format, len, &bytes, &mut values)?;
    Ok(values)
}

async fn embed(model: &Model, ids: &[u32]) -> Result<Vec<f32>> {
    let vocabulary = model.config().vocabulary;
    let mut values = Vec::with_capacity(ids.len() * model.config().width);
    for &id in ids {
        if id as usize >= vocabulary {
            return Err(Error::Token { id, vocabulary });
        }
        values.extend(read_rows(model, "token_embd.weight", id.into(), 1).await?);
    }
    Ok(values)
}

#[derive(Serialize)]
struct Tensor<'a> {
    name: &'a str,
    shape: &'a [u64],
    format: String,
    bytes: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Info<'a> {
    title: Option<&'a str>,
    architecture: &'a str,
    container: &'a str,
    layers: usize,
    width: usize,
    heads: usize,
    kv_heads: usize,
    vocabulary: usize,
    trained_context: usize,
    context: usize,
    kv_cache: &'a str,
    parameters: u64,
    file_bytes: u64,
    formats: Vec<FormatShare>,
    can_chat: bool,
    tuned: usize,
}

#[derive(Serialize)]
struct FormatShare {
    format: String,
    tensors: u64,
    bytes: u64,
}

impl<'a> Info<'a> {
    fn new(model: &'a Model, (context, kv_cache): (usize, FormatRef), file_bytes: u64) -> Self {
        let checkpoint = model.checkpoint();
        let ModelConfig { layers, width, heads, kv_heads, vocabulary, .. } = *model.config();
        let mut shares = BTreeMap::<String, (u64, u64)>::new();
        for tensor in &checkpoint.tensors {
            let share = shares.entry(tensor.type_name().to_lowercase()).or_default();
            *share = (share.0 + 1, share.1 + tensor.bytes);
        }
        let share = |(format, (tensors, bytes))| FormatShare { format, tensors, bytes };
        Self {
            title: model.config().name.as_deref(),
            architecture: model.config().architecture.name,
            container: checkpoint.container.name(),
            layers,
            width,
            heads,
            kv_heads,
            vocabulary,
            trained_context: model.config().context,
            context,
            kv_cache: kv_cache.name(),
            parameters: checkpoint.tensors.iter().map(|t| t.elements()).sum(),
            file_bytes,
            formats: shares.into_iter().map(share).collect(),
            can_chat: model.chat_template().is_ok() && model.tokenizer().is_ok(),
            tuned: model.tuned(),
        }
    }
}
