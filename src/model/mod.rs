//! From a file to tokens.

pub mod batch;
mod cancel;
pub mod chat;
pub mod checkpoint;
pub mod config;
pub mod decoder;
pub mod generate;
pub mod gguf;
pub mod hugging_face;
mod join;
pub mod kv_cache;
mod profile;
pub mod safetensors;
pub mod sampler;
pub mod session;
pub mod source;
mod tensor;
pub mod tokenizer;
mod tuning;
pub mod weights;

use std::sync::{Arc, OnceLock};

pub use batch::Batch;
pub use cancel::Cancel;
pub use chat::{ChatTemplate, Message};
pub use checkpoint::{Checkpoint, TensorInfo, TensorKind};
pub use config::ModelConfig;
pub use generate::{Finish, GenerateOptions, Generation, LogProbs, Stats};
pub use profile::{OpTime, StepProfile};
pub use sampler::SamplerOptions;
pub use session::{Activations, Session, SessionMemory, SessionOptions};
pub use source::{ByteSource, Bytes, ModelFiles};
pub use tokenizer::Tokenizer;

use crate::error::Result;
use crate::gpu::Gpu;
use crate::quantize::Recipe;
use weights::Weights;

/// A model on a device. Cheap to clone; clones share the weights.
#[derive(Debug, Clone)]
pub struct Model(Arc<Inner>);

struct Inner {
    gpu: Gpu,
    files: ModelFiles,
    recipe: Option<Recipe>,
    checkpoint: Checkpoint,
    config: Arc<ModelConfig>,
    weights: Arc<Weights>,
    tokenizer: OnceLock<Tokenizer>,
    chat_template: OnceLock<ChatTemplate>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("files", &self.files.name()).finish_non_exhaustive()
    }
}

/// What a model is busy with before the first token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Weights go to the device; counted in bytes.
    Upload,
    /// Kernels are compiled; counted in dispatches.
    Compile,
    /// Layouts of work are measured; counted in shapes.
    Tune,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The stage.
    pub stage: Stage,
    /// Done so far.
    pub done: u64,
    /// Of this many.
    pub total: u64,
}

/// What a load may be told.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoadOptions<'a> {
    /// Formats that matrices are put into on the way to the device, a tensor at a time.
    pub recipe: Option<&'a Recipe>,
    /// Looked at before each tensor.
    pub cancel: Option<&'a Cancel>,
}

impl Model {
    /// Reads a model's files (a source by itself, or those of a [folder](ModelFiles)), checks all
    /// of their headers, and uploads the weights.
    ///
    /// # Errors
    /// [`Error::Malformed`](crate::Error::Malformed), [`Error::Config`](crate::Error::Config) and
    /// [`Error::UnsupportedType`](crate::Error::UnsupportedType) before anything is uploaded; what
    /// the source and the device say.
    pub async fn load(
        gpu: &Gpu,
        files: impl Into<ModelFiles>,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Self> {
        Self::load_as(gpu, files, None, progress).await
    }

    /// The same, with matrices put into a recipe's formats on the way to the device, a tensor at a
    /// time.
    ///
    /// # Errors
    /// As [`load`](Self::load), and [`Error::WeightNotFinite`](crate::Error::WeightNotFinite).
    pub async fn load_as(
        gpu: &Gpu,
        files: impl Into<ModelFiles>,
        recipe: Option<&Recipe>,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Self> {
        Self::load_with(gpu, files, LoadOptions { recipe, cancel: None }, progress).await
    }

    /// The same with all options.
    ///
    /// # Errors
    /// As [`load_as`](Self::load_as), and [`Error::Cancelled`](crate::Error::Cancelled); what was
    /// uploaded until then is freed.
    pub async fn load_with(
        gpu: &Gpu,
        files: impl Into<ModelFiles>,
        options: LoadOptions<'_>,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Self> {
        let files = files.into();
        let checkpoint = Checkpoint::open(files.clone()).await?;
        checkpoint.check_supported()?;
        let config = Arc::new(ModelConfig::from_checkpoint(&checkpoint)?);
        let weights = Weights::load(gpu, &checkpoint, &config, options, progress).await?;
        Ok(Self(Arc::new(Inner {
            gpu: gpu.clone(),
            files,
            recipe: options.recipe.cloned(),
            checkpoint,
            config,
            weights: Arc::new(weights),
            tokenizer: OnceLock::new(),
            chat_template: OnceLock::new(),
        })))
    }

    /// The device that it is on.
    pub fn gpu(&self) -> &Gpu {
        &self.0.gpu
    }

    /// Bytes of the device that its weights take.
    pub fn bytes(&self) -> u64 {
        self.0.weights.bytes()
    }

    /// What its files say: metadata and tensors.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.0.checkpoint
    }

    /// Its sizes and options.
    pub fn config(&self) -> &ModelConfig {
        &self.0.config
    }

    /// The file's tokenizer, built when first asked for: a model can be run on token ids without.
    ///
    /// # Errors
    /// [`Error::Tokenizer`](crate::Error::Tokenizer) where the file has none that works.
    pub fn tokenizer(&self) -> Result<&Tokenizer> {
        let made = match self.0.tokenizer.get() {
            Some(made) => return Ok(made),
            None => Tokenizer::from_checkpoint(&self.0.checkpoint)?,
        };
        Ok(self.0.tokenizer.get_or_init(|| made))
    }

    /// The file's chat template, compiled when first asked for.
    ///
    /// # Errors
    /// [`Error::Template`](crate::Error::Template) where the file has none that works.
    pub fn chat_template(&self) -> Result<&ChatTemplate> {
        let made = match self.0.chat_template.get() {
            Some(made) => return Ok(made),
            None => ChatTemplate::from_gguf(&self.0.checkpoint.metadata)?,
        };
        Ok(self.0.chat_template.get_or_init(|| made))
    }

    /// Room for so many conversations that are answered together.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for none, or more than
    /// [`MAX_SEQUENCES`](crate::ops::MAX_SEQUENCES); [`Error::OutOfMemory`](crate::Error::OutOfMemory)
    /// and others of the device's.
    pub async fn batch(&self, options: &SessionOptions, sequences: usize) -> Result<Batch> {
        Batch::new(self, options, sequences).await
    }

    /// An empty conversation.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory) and others of the device's.
    pub async fn session(&self, options: &SessionOptions) -> Result<Session> {
        Session::new(self, options).await
    }
}
