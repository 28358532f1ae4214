//! Reads a whole model from a safetensors file that Mantissa wrote.

use std::collections::HashMap;
use std::sync::Arc;

use safetensors::Dtype;

use super::error::SafetensorsError;
use super::header::{Header, Stored, json_error, tensors};
use super::{FORMAT, MANTISSA, METADATA, TENSOR, VERSION, VERSION_KEY, metadata_from_json};
use crate::error::Result;
use crate::formats::{self, FormatRef};
use crate::model::checkpoint::{Checkpoint, Container};
use crate::model::source::ByteSource;
use crate::model::tensor::{TensorInfo, TensorKind};

/// A tensor in a format that safetensors does not know.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Packed {
    pub(super) format: String,
    /// The contiguous dimension last, as everywhere in safetensors.
    pub(super) shape: Vec<u64>,
}

/// Whether the file says that it is one of ours.
pub(in crate::model) fn is_mantissa(header: &Header) -> bool {
    header.get(FORMAT) == Some(MANTISSA)
}

/// The model of a file of ours.
pub(in crate::model) fn checkpoint(
    header: Header,
    source: Arc<dyn ByteSource>,
) -> Result<Checkpoint> {
    check_version(&header).map_err(|e| header.malformed(e))?;
    let packed = packed(&header).map_err(|e| header.malformed(e))?;
    let missing = || metadata_problem(METADATA, "is missing");
    let text = header.get(METADATA).ok_or_else(|| header.malformed(missing()))?;
    let metadata = metadata_from_json(text).map_err(|e| header.malformed(e))?;
    let container = Container::Mantissa { data_offset: header.data_offset };
    let tensors = tensors(header, 0).into_iter().map(|t| unpack(t, &packed)).collect();
    Ok(Checkpoint::new(container, metadata, tensors, source))
}

fn metadata_problem(key: &str, problem: impl std::fmt::Display) -> SafetensorsError {
    SafetensorsError::Metadata { key: key.into(), problem: problem.to_string() }
}

fn check_version(header: &Header) -> Result<(), SafetensorsError> {
    match header.get(VERSION_KEY).unwrap_or_default() {
        VERSION => Ok(()),
        found => Err(SafetensorsError::Version { key: VERSION_KEY, found: found.into() }),
    }
}

type PackedTensors = HashMap<String, (FormatRef, Vec<u64>)>;

/// The tensors that `__metadata__` describes, each checked against what the header says.
fn packed(header: &Header) -> Result<PackedTensors, SafetensorsError> {
    let stored: HashMap<_, _> = header.tensors.iter().map(|t| (t.name.as_str(), t)).collect();
    let mut packed = HashMap::new();
    for (key, text) in &header.metadata {
        let Some(name) = key.strip_prefix(TENSOR) else { continue };
        let bad = |problem: String| metadata_problem(key, problem);
        let Packed { format, shape } =
            serde_json::from_str(text).map_err(|e| bad(json_error(&e)))?;
        let format = formats::by_name(&format).map_err(|e| bad(e.to_string()))?;
        let stored = stored.get(name).ok_or_else(|| bad("there is no such tensor".into()))?;
        check_packed(stored, format, &shape)?;
        packed.insert(name.to_owned(), (format, shape));
    }
    Ok(packed)
}

fn check_packed(stored: &Stored, format: FormatRef, shape: &[u64]) -> Result<(), SafetensorsError> {
    let expected = packed_shape(&stored.name, format, shape)?;
    if stored.dtype == Dtype::U8 && stored.shape == expected {
        return Ok(());
    }
    let problem = format!(
        "{} of shape {shape:?} is stored as U8 of shape {expected:?}, not {} of shape {:?}",
        format.name(),
        stored.dtype,
        stored.shape
    );
    Err(metadata_problem(&format!("{TENSOR}{}", stored.name), problem))
}

/// The shape of the bytes of a tensor, contiguous dimension last: rows of bytes.
pub(super) fn packed_shape(
    name: &str,
    format: FormatRef,
    shape: &[u64],
) -> Result<Vec<u64>, SafetensorsError> {
    super::header::elements(name, shape)?;
    let mut bytes = shape.to_vec();
    let row = shape.last().copied().unwrap_or(1);
    let size = usize::try_from(row).ok().and_then(|row| formats::row_bytes(format, row));
    let Some(size) = size else {
        let (tensor, block) = (name.into(), format.block_len() as u64);
        let format = format.name().into();
        return Err(SafetensorsError::PartialBlock { tensor, format, row, block });
    };
    match bytes.last_mut() {
        Some(last) => *last = size as u64,
        None => bytes.push(size as u64),
    }
    Ok(bytes)
}

/// The tensor as it is meant, where it is packed.
fn unpack(tensor: TensorInfo, packed: &PackedTensors) -> TensorInfo {
    let Some((format, shape)) = packed.get(&tensor.name) else { return tensor };
    let shape = shape.iter().rev().copied().collect();
    TensorInfo { shape, kind: TensorKind::Format(*format), ..tensor }
}
