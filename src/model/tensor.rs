//! A tensor in a model file, whatever the container.

use std::borrow::Cow;
use std::collections::HashMap;

use super::gguf;
use crate::error::{Error, Result};
use crate::formats::{self, FormatRef};

/// How a tensor's elements are stored.
#[derive(Debug, Clone)]
pub enum TensorKind {
    /// In a format that this build decodes.
    Format(FormatRef),
    /// In a type that it does not, by the type's name.
    Unsupported(String),
}

impl PartialEq for TensorKind {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Format(a), Self::Format(b)) => a.name() == b.name(),
            (Self::Unsupported(a), Self::Unsupported(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for TensorKind {}

/// A tensor in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name, unique in the file.
    pub name: String,
    /// Its shape, the contiguous dimension first (ggml's `ne`); at most four, none of them 0.
    pub shape: Vec<u64>,
    /// What its elements are.
    pub kind: TensorKind,
    /// The type's number in a GGUF file; see [`tensor_type`](gguf::tensor_type). `None` in others.
    pub type_id: Option<u32>,
    /// Where its data start, in bytes from the start of the source.
    pub offset: u64,
    /// Its size in bytes. For a GGUF type of unknown size: up to the next tensor.
    pub bytes: u64,
}

impl TensorInfo {
    /// The type's name: ggml's such as `Q4_1`, safetensors' such as `BF16`, or the format's.
    pub fn type_name(&self) -> Cow<'static, str> {
        match (&self.type_id, &self.kind) {
            (Some(id), _) => gguf::type_name(*id),
            (None, TensorKind::Unsupported(name)) => Cow::Owned(name.clone()),
            (None, TensorKind::Format(format)) => match format.name() {
                plain @ ("f32" | "f16" | "bf16") => Cow::Owned(plain.to_uppercase()),
                name => Cow::Owned(name.to_owned()),
            },
        }
    }

    /// The number of elements.
    pub fn elements(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Elements in a row, along the contiguous dimension.
    pub fn row_len(&self) -> u64 {
        self.shape.first().copied().unwrap_or(1)
    }

    /// The number of rows.
    pub fn rows(&self) -> u64 {
        self.shape.iter().skip(1).product()
    }

    /// The format that it is stored in.
    ///
    /// # Errors
    /// [`Error::UnsupportedType`] where this build has no such format.
    pub fn format(&self) -> Result<FormatRef> {
        match &self.kind {
            TensorKind::Format(format) => Ok(*format),
            TensorKind::Unsupported(_) => Err(Error::UnsupportedType {
                tensor: self.name.clone(),
                type_name: self.type_name().into_owned(),
                supported: supported(self.type_id.is_some()),
            }),
        }
    }
}

/// The names of the types that this build decodes: GGUF's, or all formats.
fn supported(is_gguf: bool) -> String {
    if !is_gguf {
        return formats::names();
    }
    let ids = formats::FORMATS.iter().filter_map(|f| f.gguf_type());
    ids.map(gguf::type_name).collect::<Vec<_>>().join(", ")
}

/// Makes sure that every tensor is in a format that this build decodes.
pub(super) fn check_supported(tensors: &[TensorInfo]) -> Result<()> {
    tensors.iter().try_for_each(|t| t.format().map(drop))
}

/// Where each name stands in the list.
pub(super) fn index(tensors: &[TensorInfo]) -> HashMap<String, usize> {
    tensors.iter().enumerate().map(|(i, t)| (t.name.clone(), i)).collect()
}
