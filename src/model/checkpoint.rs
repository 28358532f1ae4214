//! A model as the rest of the crate sees it, whatever files it comes in.
//!
//! [`Checkpoint::open`] reads a GGUF file, a safetensors file of Mantissa's own, or the files of a
//! Hugging Face model (`config.json`, `tokenizer.json`, safetensors in one or several shards). All
//! of them become GGUF's metadata keys and tensor names.

use std::collections::HashMap;
use std::sync::Arc;

use super::gguf::{Gguf, GgufError, MAGIC, Metadata};
use super::hugging_face;
use super::safetensors::{self, SafetensorsError};
use super::source::{self, ByteSource, ModelFiles};
use super::tensor;
pub use super::tensor::{TensorInfo, TensorKind};
use crate::error::Result;

/// What is wrong with a model file, by its container.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FileProblem {
    /// It breaks GGUF's rules.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// It breaks the rules of safetensors, or those that Mantissa adds.
    #[error(transparent)]
    Safetensors(#[from] SafetensorsError),
    /// It is no JSON, or not the JSON that it should be.
    #[error("not the JSON that was expected: {0}")]
    Json(String),
    /// A text file of a model folder is larger than any such file.
    #[error("{bytes} bytes are too many; at most {limit} are read")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The largest that is read.
        limit: u64,
    },
    /// A text file of a model folder is not UTF-8.
    #[error("not UTF-8 at byte {at}")]
    NotUtf8 {
        /// The first byte that cannot be text.
        at: u64,
    },
}

/// What kind of file a model came in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Container {
    /// A GGUF file.
    Gguf {
        /// The format's version, 2 or 3.
        version: u32,
        /// Tensors start at multiples of this many bytes.
        alignment: u32,
        /// Where the data section starts in the file.
        data_offset: u64,
    },
    /// A safetensors file that holds a whole model, as [`safetensors::Writer`] writes it.
    Mantissa {
        /// Where the data section starts in the file.
        data_offset: u64,
    },
    /// A Hugging Face model.
    HuggingFace {
        /// The names of the safetensors files, in the order in which the source joins them.
        shards: Vec<String>,
    },
}

impl Container {
    /// The format's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Gguf { .. } => "GGUF",
            Self::Mantissa { .. } => "safetensors (Mantissa)",
            Self::HuggingFace { .. } => "safetensors (Hugging Face)",
        }
    }
}

/// A model's description, its tensors, and where their bytes are. Cheap enough to clone.
#[derive(Clone)]
pub struct Checkpoint {
    /// What the model says about itself, in GGUF's keys.
    pub metadata: Metadata,
    /// The tensors by GGUF's names, in the source's order.
    pub tensors: Vec<TensorInfo>,
    /// What it was read from.
    pub container: Container,
    /// A Hugging Face `tokenizer.json`, which then goes before the metadata's tokenizer.
    pub tokenizer_json: Option<Arc<str>>,
    source: Arc<dyn ByteSource>,
    index: HashMap<String, usize>,
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { container, tensors, .. } = self;
        let name = self.source.name();
        write!(f, "Checkpoint({name:?}, {}, {} tensors)", container.name(), tensors.len())
    }
}

impl Checkpoint {
    /// Reads and checks the description of a model: a source by itself, or
    /// [files](ModelFiles) of a folder. Tensors' data are not read.
    ///
    /// # Errors
    /// [`Error::Malformed`](crate::Error::Malformed) where a file breaks its format's rules,
    /// [`Error::Config`](crate::Error::Config) where a Hugging Face model lacks a file or asks for
    /// what this build does not do, [`Error::Io`](crate::Error::Io) where something cannot be read.
    pub async fn open(files: impl Into<ModelFiles>) -> Result<Self> {
        let files = files.into();
        let Some(main) = files.main() else { return hugging_face::open(&files).await };
        let start = source::read(&**main, 0, main.len().min(9) as usize).await?.into_owned();
        let is_json = start.get(8) == Some(&b'{') && !start.starts_with(&MAGIC);
        if !is_json && !main.name().ends_with(".safetensors") {
            return Ok(Self::from_gguf(Gguf::read(&**main).await?, main.clone()));
        }
        let header = safetensors::header(&**main).await?;
        if safetensors::is_mantissa(&header) {
            return safetensors::checkpoint(header, main.clone());
        }
        hugging_face::open(&files).await
    }

    /// A GGUF file's, whose header has been read from `source`.
    pub fn from_gguf(gguf: Gguf, source: Arc<dyn ByteSource>) -> Self {
        let Gguf { version, alignment, data_offset, .. } = gguf;
        let container = Container::Gguf { version, alignment, data_offset };
        Self::new(container, gguf.metadata, gguf.tensors, source)
    }

    pub(super) fn new(
        container: Container,
        metadata: Metadata,
        tensors: Vec<TensorInfo>,
        source: Arc<dyn ByteSource>,
    ) -> Self {
        let index = tensor::index(&tensors);
        Self { metadata, tensors, container, tokenizer_json: None, source, index }
    }

    /// Where the tensors' bytes are. The files of a folder are one source.
    pub fn source(&self) -> &Arc<dyn ByteSource> {
        &self.source
    }

    /// The tensor of this name.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.index.get(name).and_then(|&i| self.tensors.get(i))
    }

    /// Makes sure that every tensor is in a format that this build decodes.
    ///
    /// # Errors
    /// [`Error::UnsupportedType`](crate::Error::UnsupportedType) with the first tensor that is not,
    /// its type, and the formats there are.
    pub fn check_supported(&self) -> Result<()> {
        tensor::check_supported(&self.tensors)
    }

    /// Whether rows of queries and keys lie as llama models have them in GGUF, with rotary pairs
    /// beside each other, and not as Hugging Face has them, in halves.
    pub fn rows_are_permuted(&self) -> bool {
        !matches!(self.container, Container::HuggingFace { .. })
    }

    /// In how many heads the rows (of a bias: the elements) of this tensor must be brought into
    /// GGUF's order, with [`hugging_face::permute_rows`], before a GGUF or a Mantissa file can hold
    /// them. `None` where they can stay as they are.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) where the metadata lack the number of heads.
    pub fn heads_to_permute(&self, tensor: &TensorInfo) -> Result<Option<usize>> {
        if self.rows_are_permuted() {
            return Ok(None);
        }
        hugging_face::heads_to_permute(&self.metadata, &tensor.name)
    }
}
