//! Writes GGUF files, version 3.
//!
//! The header holds every tensor's size and offset, so a file is written in two steps: announce all
//! tensors to a [`Writer`], then hand their data to its [`DataWriter`] one by one. No more than one
//! tensor is in memory at a time.

use std::collections::HashSet;
use std::io::Write;

use super::read::byte_size;
use super::value::{Array, Metadata, Value};
use super::{DEFAULT_ALIGNMENT, GgufError, MAGIC, MAX_ALIGNMENT};
use crate::error::{Error, Result};

const VERSION: u32 = 3;

/// Collects what a file's header says.
#[derive(Debug, Default)]
pub struct Writer {
    file: String,
    metadata: Metadata,
    alignment: Option<u32>,
    tensors: Vec<Announced>,
    names: HashSet<String>,
    /// Bytes announced so far, with the largest padding; below 2⁶³, so that offsets fit.
    total: u64,
}

#[derive(Debug)]
struct Announced {
    name: String,
    shape: Vec<u64>,
    type_id: u32,
    bytes: u64,
}

impl Writer {
    /// A file without metadata and tensors, called `file` in messages.
    pub fn new(file: impl Into<String>) -> Self {
        Self { file: file.into(), ..Self::default() }
    }

    /// Adds a metadata value. `general.alignment` also sets the alignment of the tensors.
    ///
    /// # Errors
    /// [`Error::Malformed`] where the key is empty or there already, or the alignment is none.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<Value>) -> Result<&mut Self> {
        let (key, value) = (key.into(), value.into());
        self.check_name("metadata key", &key)?;
        if key == "general.alignment" {
            self.alignment = Some(self.check_alignment(&value)?);
        }
        match self.metadata.insert(key.clone(), value) {
            Ok(()) => Ok(self),
            Err(_) => Err(self.malformed(GgufError::DuplicateKey { key, offset: 0 })),
        }
    }

    /// Announces a tensor: its shape, contiguous dimension first, and its type's number.
    ///
    /// # Errors
    /// [`Error::Malformed`] where the name is empty or taken, or shape and type do not go together.
    pub fn tensor(&mut self, name: &str, shape: &[u64], type_id: u32) -> Result<&mut Self> {
        self.check_name("tensor name", name)?;
        let tensor = || name.to_owned();
        if shape.len() > 4 {
            let found = shape.len() as u32;
            return Err(self.malformed(GgufError::Dimensions { tensor: tensor(), found }));
        }
        let bytes = byte_size(name, shape, type_id).map_err(|e| self.malformed(e))?;
        let Some(bytes) = bytes else {
            return Err(self.malformed(GgufError::UnknownType { tensor: tensor(), type_id }));
        };
        if !self.names.insert(tensor()) {
            return Err(self.malformed(GgufError::DuplicateTensor { tensor: tensor(), offset: 0 }));
        }
        self.total = self.total.saturating_add(bytes.next_multiple_of(MAX_ALIGNMENT.into()));
        if self.total > i64::MAX as u64 {
            let shape = shape.to_vec();
            return Err(self.malformed(GgufError::ShapeOverflow { tensor: tensor(), shape }));
        }
        self.tensors.push(Announced { name: tensor(), shape: shape.into(), type_id, bytes });
        Ok(self)
    }

    /// Writes the header, and gives what the tensors' data are handed to.
    ///
    /// # Errors
    /// [`Error::Io`] where writing fails.
    pub fn begin<W: Write>(self, out: W) -> Result<DataWriter<W>> {
        let header = self.header();
        let alignment = u64::from(self.alignment.unwrap_or(DEFAULT_ALIGNMENT));
        let mut writer = DataWriter {
            file: self.file,
            out,
            alignment,
            tensors: self.tensors,
            next: 0,
            filled: 0,
        };
        writer.write(&header)?;
        writer.pad(header.len() as u64)?;
        Ok(writer)
    }

    /// Writes a whole file from tensors' data in the order in which they were announced.
    ///
    /// # Errors
    /// [`Error::Malformed`] where data do not fit what was announced, [`Error::Io`] where writing
    /// fails.
    pub fn write<W: Write>(self, out: W, data: &[&[u8]]) -> Result<W> {
        let mut writer = self.begin(out)?;
        for tensor in data {
            writer.data(tensor)?;
        }
        writer.finish()
    }

    fn header(&self) -> Vec<u8> {
        let mut header = MAGIC.to_vec();
        header.extend(VERSION.to_le_bytes());
        header.extend((self.tensors.len() as u64).to_le_bytes());
        header.extend((self.metadata.len() as u64).to_le_bytes());
        for (key, value) in self.metadata.iter() {
            put_string(&mut header, key);
            header.extend(value.type_id().to_le_bytes());
            put_value(&mut header, value);
        }
        let mut offset = 0u64;
        let alignment = u64::from(self.alignment.unwrap_or(DEFAULT_ALIGNMENT));
        for tensor in &self.tensors {
            put_string(&mut header, &tensor.name);
            header.extend((tensor.shape.len() as u32).to_le_bytes());
            tensor.shape.iter().for_each(|n| header.extend(n.to_le_bytes()));
            header.extend(tensor.type_id.to_le_bytes());
            header.extend(offset.to_le_bytes());
            offset += tensor.bytes.next_multiple_of(alignment);
        }
        header
    }

    fn check_name(&self, what: &str, name: &str) -> Result<()> {
        let problem = || GgufError::EmptyName { what: what.into(), offset: 0 };
        if name.is_empty() { Err(self.malformed(problem())) } else { Ok(()) }
    }

    fn check_alignment(&self, value: &Value) -> Result<u32> {
        match *value {
            Value::U32(a) if a.is_power_of_two() && a <= MAX_ALIGNMENT => Ok(a),
            _ => {
                let found = format!("{value} ({})", value.type_name());
                Err(self.malformed(GgufError::Alignment { found, limit: MAX_ALIGNMENT }))
            }
        }
    }

    fn malformed(&self, problem: GgufError) -> Error {
        Error::malformed(&self.file, problem)
    }
}

fn put_string(out: &mut Vec<u8>, s: &str) {
    out.extend((s.len() as u64).to_le_bytes());
    out.extend(s.as_bytes());
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::U8(v) => out.extend(v.to_le_bytes()),
        Value::I8(v) => out.extend(v.to_le_bytes()),
        Value::U16(v) => out.extend(v.to_le_bytes()),
        Value::I16(v) => out.extend(v.to_le_bytes()),
        Value::U32(v) => out.extend(v.to_le_bytes()),
        Value::I32(v) => out.extend(v.to_le_bytes()),
        Value::F32(v) => out.extend(v.to_le_bytes()),
        Value::Bool(v) => out.push((*v).into()),
        Value::String(v) => put_string(out, v),
        Value::Array(v) => put_array(out, v),
        Value::U64(v) => out.extend(v.to_le_bytes()),
        Value::I64(v) => out.extend(v.to_le_bytes()),
        Value::F64(v) => out.extend(v.to_le_bytes()),
    }
}

fn put_array(out: &mut Vec<u8>, array: &Array) {
    out.extend(array.element_type().to_le_bytes());
    out.extend((array.len() as u64).to_le_bytes());
    match array {
        Array::U8(list) => list.iter().for_each(|v| out.extend(v.to_le_bytes())),
        Array::I8(list) => list.iter().for_each(|v| out.extend(v.to_le_bytes())),
        Array::U16(list) => list.iter().for_each(|v| out.extend(v.to_le_bytes())),
        Array::I16(list) => list.iter().for_each(|v| out.extend(v.to_le_bytes())),
        Array::U32(list) => list.iter().for_each(|v| out.extend(v.to_le_bytes())),
        Array::I32(list) => list.iter().for_each(|v| out.extend(v.to_le_bytes())),
        Array::F32(list) => list.iter().for_each(|v| out.extend(v.to_le_bytes())),
        Array::Bool(list) => list.iter().for_each(|&v| out.push(v.into())),
        Array::String(list) => list.iter().for_each(|v| put_string(out, v)),
        Array::Array(list) => list.iter().for_each(|v| put_array(out, v)),
        Array::U64(list) => list.iter().for_each(|v| out.extend(v.to_le_bytes())),
        Array::I64(list) => list.iter().for_each(|v| out.extend(v.to_le_bytes())),
        Array::F64(list) => list.iter().for_each(|v| out.extend(v.to_le_bytes())),
    }
}

/// Takes the tensors' data, in the order in which they were announced.
#[derive(Debug)]
pub struct DataWriter<W> {
    file: String,
    out: W,
    alignment: u64,
    tensors: Vec<Announced>,
    next: usize,
    /// Bytes of the next tensor that are written already.
    filled: u64,
}

impl<W: Write> DataWriter<W> {
    /// Writes the next tensor's data whole.
    ///
    /// # Errors
    /// [`Error::Malformed`] where their size is not the announced one or no tensor is left,
    /// [`Error::Io`] where writing fails.
    pub fn data(&mut self, bytes: &[u8]) -> Result<()> {
        let found = bytes.len() as u64;
        match self.tensors.get(self.next) {
            Some(t) if t.bytes != self.filled.saturating_add(found) => {
                Err(self.malformed(t.name.clone(), t.bytes, found))
            }
            _ => self.piece(bytes),
        }
    }

    /// Writes the next bytes of a tensor, and with its last ones the padding behind it.
    ///
    /// # Errors
    /// [`Error::Malformed`] where they are more than were announced or no tensor is left,
    /// [`Error::Io`] where writing fails.
    pub fn piece(&mut self, bytes: &[u8]) -> Result<()> {
        let len = bytes.len() as u64;
        let Some(tensor) = self.tensors.get(self.next) else {
            return Err(self.malformed("(none left)".into(), 0, len));
        };
        let (filled, expected) = (self.filled.saturating_add(len), tensor.bytes);
        if filled > expected {
            return Err(self.malformed(tensor.name.clone(), expected, filled));
        }
        self.write(bytes)?;
        self.filled = filled;
        if filled == expected {
            self.pad(expected)?;
            (self.next, self.filled) = (self.next + 1, 0);
        }
        Ok(())
    }

    /// Ends the file and gives back what it was written to.
    ///
    /// # Errors
    /// [`Error::Malformed`] where a tensor's data are missing, [`Error::Io`] where writing fails.
    pub fn finish(mut self) -> Result<W> {
        if let Some(missing) = self.tensors.get(self.next) {
            return Err(self.malformed(missing.name.clone(), missing.bytes, self.filled));
        }
        self.out.flush().map_err(|e| Error::io(&self.file, e))?;
        Ok(self.out)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|e| Error::io(&self.file, e))
    }

    /// Zeros behind `len` bytes, up to the alignment.
    fn pad(&mut self, len: u64) -> Result<()> {
        self.write(&vec![0; (len.next_multiple_of(self.alignment) - len) as usize])
    }

    fn malformed(&self, tensor: String, expected: u64, found: u64) -> Error {
        let problem = GgufError::TensorData { tensor, expected, found };
        Error::malformed(&self.file, problem)
    }
}
