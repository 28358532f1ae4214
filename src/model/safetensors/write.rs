//! Writes a whole model into one safetensors file.
//!
//! The header holds every tensor's size and offset, so a file is written in two steps: announce all
//! tensors to a [`Writer`], then hand their data to its [`DataWriter`] in the same order, in pieces
//! of any size.

use std::collections::HashSet;
use std::io::Write;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::error::SafetensorsError;
use super::header::METADATA as HEADER_METADATA;
use super::mantissa::{Packed, packed_shape};
use super::metadata::metadata_to_json;
use super::{FORMAT, LENGTH, MANTISSA, MAX_HEADER, METADATA, TENSOR, VERSION, VERSION_KEY};
use crate::error::{Error, Result};
use crate::formats::FormatRef;
use crate::model::gguf::Metadata;

/// Collects what a file's header says.
#[derive(Debug)]
pub struct Writer {
    file: String,
    metadata: Metadata,
    tensors: Vec<Announced>,
    names: HashSet<String>,
    /// Bytes announced so far, below 2⁶³.
    total: u64,
}

#[derive(Debug)]
struct Announced {
    name: String,
    dtype: &'static str,
    /// As stored, contiguous dimension last.
    shape: Vec<u64>,
    /// Where safetensors does not know the format: its name and the shape that is meant.
    packed: Option<Packed>,
    bytes: u64,
}

impl Writer {
    /// A file without metadata and tensors, called `file` in messages.
    pub fn new(file: impl Into<String>) -> Self {
        let (metadata, tensors, names) = Default::default();
        Self { file: file.into(), metadata, tensors, names, total: 0 }
    }

    /// What the model says about itself, in GGUF's keys: all of it at once.
    ///
    /// # Errors
    /// [`Error::Malformed`] where there are metadata already.
    pub fn metadata(&mut self, metadata: &Metadata) -> Result<&mut Self> {
        if !self.metadata.is_empty() {
            return Err(self.malformed(SafetensorsError::Duplicate { name: METADATA.into() }));
        }
        self.metadata = metadata.clone();
        Ok(self)
    }

    /// Announces a tensor by GGUF's name: its shape, contiguous dimension first, and its format.
    ///
    /// safetensors allows no padding, and some readers want an f32 at a multiple of 4 bytes: where
    /// a packed tensor's size is odd, announce it behind the plain ones.
    ///
    /// # Errors
    /// [`Error::Malformed`] where the name is empty or taken, or shape and format do not go
    /// together.
    pub fn tensor(&mut self, name: &str, shape: &[u64], format: FormatRef) -> Result<&mut Self> {
        let announced = announce(name, shape, format).map_err(|e| self.malformed(e))?;
        if !self.names.insert(name.into()) {
            return Err(self.malformed(SafetensorsError::Duplicate { name: name.into() }));
        }
        let total = self.total.checked_add(announced.bytes).filter(|n| *n <= i64::MAX as u64);
        let (tensor, shape) = (name.into(), announced.shape.clone());
        let overflow = SafetensorsError::ShapeOverflow { tensor, shape };
        self.total = total.ok_or_else(|| self.malformed(overflow))?;
        self.tensors.push(announced);
        Ok(self)
    }

    /// Writes the header, and gives what the tensors' data are handed to.
    ///
    /// # Errors
    /// [`Error::Io`] where writing fails, [`Error::Malformed`] where the header gets larger than
    /// safetensors allows.
    pub fn begin<W: Write>(self, mut out: W) -> Result<DataWriter<W>> {
        // Maps of text and numbers: nothing in them can fail.
        let mut header = serde_json::to_vec(&Header(&self)).unwrap_or_default();
        header.resize(header.len().next_multiple_of(LENGTH as usize), b' ');
        let len = header.len() as u64;
        if len > MAX_HEADER {
            let problem = SafetensorsError::HeaderTooLarge { header: len, limit: MAX_HEADER };
            return Err(self.malformed(problem));
        }
        let written = out.write_all(&len.to_le_bytes()).and_then(|()| out.write_all(&header));
        written.map_err(|e| Error::io(&self.file, e))?;
        let sizes = self.tensors.into_iter().map(|t| (t.name, t.bytes)).collect();
        Ok(DataWriter { file: self.file, out, tensors: sizes, next: 0, written: 0 })
    }

    fn malformed(&self, problem: SafetensorsError) -> Error {
        Error::malformed(&self.file, problem)
    }
}

fn announce(name: &str, shape: &[u64], format: FormatRef) -> Result<Announced, SafetensorsError> {
    if name.is_empty() {
        return Err(SafetensorsError::EmptyName);
    }
    if name == HEADER_METADATA {
        return Err(SafetensorsError::Duplicate { name: name.into() });
    }
    let shape: Vec<u64> = shape.iter().rev().copied().collect();
    let stored = packed_shape(name, format, &shape)?;
    let bytes = super::header::elements(name, &stored)?;
    let name = name.to_owned();
    let dtype = match format.name() {
        "f32" => "F32",
        "f16" => "F16",
        "bf16" => "BF16",
        other => {
            let packed = Some(Packed { format: other.into(), shape });
            return Ok(Announced { name, dtype: "U8", shape: stored, packed, bytes });
        }
    };
    Ok(Announced { name, dtype, shape, packed: None, bytes })
}

/// The header's JSON.
struct Header<'a>(&'a Writer);

impl Serialize for Header<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        struct Entry<'a> {
            dtype: &'a str,
            shape: &'a [u64],
            data_offsets: [u64; 2],
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(HEADER_METADATA, &Texts(self.0))?;
        let mut begin = 0;
        for Announced { name, dtype, shape, bytes, .. } in &self.0.tensors {
            let data_offsets = [begin, begin + bytes]; // at most the total
            map.serialize_entry(name, &Entry { dtype, shape, data_offsets })?;
            begin += bytes;
        }
        map.end()
    }
}

/// `__metadata__`: texts only.
struct Texts<'a>(&'a Writer);

impl Serialize for Texts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(FORMAT, MANTISSA)?;
        map.serialize_entry(VERSION_KEY, VERSION)?;
        map.serialize_entry(METADATA, &metadata_to_json(&self.0.metadata))?;
        for Announced { name, packed, .. } in &self.0.tensors {
            let Some(packed) = packed else { continue };
            let text = serde_json::to_string(packed).map_err(serde::ser::Error::custom)?;
            map.serialize_entry(&format!("{TENSOR}{name}"), &text)?;
        }
        map.end()
    }
}

/// Takes the tensors' data, in the order in which they were announced.
#[derive(Debug)]
pub struct DataWriter<W> {
    file: String,
    out: W,
    tensors: Vec<(String, u64)>,
    next: usize,
    /// Bytes of the next tensor that are written already.
    written: u64,
}

impl<W: Write> DataWriter<W> {
    /// Writes data of the next tensor: all of it, or the next piece. With its last byte, the
    /// tensor after it is next.
    ///
    /// # Errors
    /// [`Error::Malformed`] where they are more than what is left of the tensor, or no tensor is
    /// left; [`Error::Io`] where writing fails.
    pub fn data(&mut self, bytes: &[u8]) -> Result<()> {
        let len = bytes.len() as u64;
        let found = self.written.saturating_add(len);
        let expected = match self.tensors.get(self.next) {
            Some(&(_, expected)) if found <= expected => expected,
            None if len == 0 => return Ok(()),
            Some((tensor, expected)) => {
                return Err(self.malformed(tensor.clone(), *expected, found));
            }
            None => return Err(self.malformed("(none left)".into(), 0, len)),
        };
        self.out.write_all(bytes).map_err(|e| Error::io(&self.file, e))?;
        self.written = found;
        if found == expected {
            self.next += 1;
            self.written = 0;
        }
        Ok(())
    }

    /// Ends the file and gives back what it was written to.
    ///
    /// # Errors
    /// [`Error::Malformed`] where data are missing, [`Error::Io`] where writing fails.
    pub fn finish(mut self) -> Result<W> {
        if let Some((tensor, expected)) = self.tensors.get(self.next) {
            return Err(self.malformed(tensor.clone(), *expected, self.written));
        }
        self.out.flush().map_err(|e| Error::io(&self.file, e))?;
        Ok(self.out)
    }

    fn malformed(&self, tensor: String, expected: u64, found: u64) -> Error {
        let problem = SafetensorsError::TensorData { tensor, expected, found };
        Error::malformed(&self.file, problem)
    }
}
