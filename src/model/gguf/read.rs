//! Reads a GGUF header from a source, and believes nothing in it before it is checked.
//!
//! Layout (docs/gguf.md in the ggml repository): `GGUF`, u32 version, u64 tensors, u64 values;
//! the values: key, type, value; the tensors: name, u32 dimensions, u64 each, u32 type, u64 offset
//! in the data section; padding to the alignment; the data section.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io;

use super::cursor::{Cursor, MAX_HEADER, Parse, Stop, What};
use super::error::GgufError;
use super::types::{tensor_type, type_name};
use super::value::{Metadata, Value};
use super::{DEFAULT_ALIGNMENT, MAX_ALIGNMENT, TensorInfo, TensorKind};
use crate::error::{Error, Result};
use crate::formats;
use crate::model::source::ByteSource;

/// How much of a source is read at first: most headers of small vocabularies.
const FIRST_READ: u64 = 1 << 20;

/// The least that a metadata value takes: a key of one byte, type, one byte.
const LEAST_VALUE: u64 = 9 + 4 + 1;
/// The least that a tensor's description takes: a name of one byte, no dimension, type, offset.
const LEAST_TENSOR: u64 = 9 + 4 + 4 + 8;

/// A header that obeys its own rules; the tensors are not placed in the file yet.
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) alignment: u32,
    pub(super) metadata: Metadata,
    pub(super) tensors: Vec<Described>,
    /// Offset of the first byte behind the tensors' descriptions.
    pub(super) end: u64,
}

/// A tensor as the header describes it.
pub(super) struct Described {
    pub(super) name: String,
    pub(super) shape: Vec<u64>,
    pub(super) type_id: u32,
    /// From the start of the data section.
    pub(super) offset: u64,
}

/// The source's length, below 2⁶³ whatever a server claims, so that sums of two cannot overflow.
pub(super) fn len(source: &dyn ByteSource) -> u64 {
    source.len().min(i64::MAX as u64)
}

/// Reads the header, fetching as little of the source as possible.
pub(super) async fn header(source: &dyn ByteSource) -> Result<Header> {
    let file_len = len(source);
    let mut prefix = Cow::Borrowed(&[][..]);
    let mut wanted = FIRST_READ.min(file_len);
    loop {
        prefix = grow(source, prefix, wanted).await?;
        check_length(source, &prefix, wanted)?;
        match parse(&prefix, file_len) {
            Ok(header) => return Ok(header),
            Err(Stop::Bad(problem)) => return Err(malformed(source, problem)),
            Err(Stop::Short { end }) => {
                let doubled = (prefix.len() as u64).saturating_mul(2);
                wanted = doubled.max(end).min(file_len).min(MAX_HEADER);
            }
        }
    }
}

/// The first `wanted` bytes, given those that are here. What is in memory anyhow is asked for whole.
async fn grow<'a>(
    source: &'a dyn ByteSource,
    prefix: Cow<'a, [u8]>,
    wanted: u64,
) -> Result<Cow<'a, [u8]>> {
    let wanted = wanted as usize; // at most MAX_HEADER
    match prefix {
        Cow::Borrowed([]) => source.read(0, wanted).await,
        Cow::Borrowed(_) => source.read(0, len(source).min(MAX_HEADER) as usize).await,
        Cow::Owned(mut bytes) => {
            let have = bytes.len();
            let more = source.read(have as u64, wanted.saturating_sub(have)).await?;
            bytes.extend_from_slice(&more);
            Ok(Cow::Owned(bytes))
        }
    }
}

/// A source that breaks its promise would be asked for the same bytes for ever.
fn check_length(source: &dyn ByteSource, prefix: &[u8], wanted: u64) -> Result<()> {
    let got = prefix.len() as u64;
    if got >= wanted {
        return Ok(());
    }
    let reason = format!("{wanted} bytes were asked for, but only {got} came");
    Err(Error::io(source.name(), io::Error::new(io::ErrorKind::UnexpectedEof, reason)))
}

pub(super) fn malformed(source: &dyn ByteSource, problem: GgufError) -> Error {
    Error::malformed(source.name(), problem)
}

fn parse(prefix: &[u8], file_len: u64) -> Parse<Header> {
    let mut cursor = Cursor::new(prefix, file_len);
    let version = magic_and_version(&mut cursor)?;
    let tensor_count = cursor.u64(What::Header("number of tensors"))?;
    let value_count = cursor.u64(What::Header("number of metadata values"))?;
    check_count(&cursor, "metadata values", value_count, LEAST_VALUE)?;
    check_count(&cursor, "tensors", tensor_count, LEAST_TENSOR)?;
    let metadata = metadata(&mut cursor, value_count)?;
    let alignment = alignment(&metadata)?;
    let tensors = tensors(&mut cursor, tensor_count)?;
    Ok(Header { version, alignment, metadata, tensors, end: cursor.offset() })
}

fn magic_and_version(cursor: &mut Cursor<'_>) -> Parse<u32> {
    let found = cursor.array(What::Header("magic"))?;
    if found != super::MAGIC {
        return Err(GgufError::Magic { found }.into());
    }
    match cursor.u32(What::Header("version"))? {
        version @ 2..=3 => Ok(version),
        swapped if (1..=3).contains(&swapped.swap_bytes()) => {
            Err(GgufError::BigEndian { version: swapped.swap_bytes() }.into())
        }
        found => Err(GgufError::Version { found }.into()),
    }
}

fn check_count(cursor: &Cursor<'_>, what: &'static str, count: u64, least: u64) -> Parse<()> {
    let room = cursor.rest() / least;
    if count > room { Err(GgufError::Count { what, count, room }.into()) } else { Ok(()) }
}

fn metadata(cursor: &mut Cursor<'_>, count: u64) -> Parse<Metadata> {
    let mut metadata = Metadata::default();
    for i in 0..count {
        let offset = cursor.offset();
        let key = cursor.name(What::Key(i))?;
        let value = cursor.value(key)?;
        if metadata.insert(key.to_owned(), value).is_err() {
            return Err(GgufError::DuplicateKey { key: key.into(), offset }.into());
        }
    }
    Ok(metadata)
}

fn alignment(metadata: &Metadata) -> Result<u32, GgufError> {
    match metadata.get("general.alignment") {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(&Value::U32(a)) if a.is_power_of_two() && a <= MAX_ALIGNMENT => Ok(a),
        Some(other) => {
            let found = format!("{other} ({})", other.type_name());
            Err(GgufError::Alignment { found, limit: MAX_ALIGNMENT })
        }
    }
}

fn tensors(cursor: &mut Cursor<'_>, count: u64) -> Parse<Vec<Described>> {
    let mut tensors = Vec::new();
    let mut names = HashSet::new();
    for i in 0..count {
        let offset = cursor.offset();
        let name = cursor.name(What::TensorName(i))?;
        if !names.insert(name) {
            return Err(GgufError::DuplicateTensor { tensor: name.into(), offset }.into());
        }
        tensors.push(tensor(cursor, name)?);
    }
    Ok(tensors)
}

fn tensor(cursor: &mut Cursor<'_>, name: &str) -> Parse<Described> {
    let what = What::Tensor(name);
    let dimensions = cursor.u32(what)?;
    if dimensions > 4 {
        return Err(GgufError::Dimensions { tensor: name.into(), found: dimensions }.into());
    }
    let mut shape = Vec::with_capacity(dimensions as usize);
    for _ in 0..dimensions {
        shape.push(cursor.u64(what)?);
    }
    let type_id = cursor.u32(what)?;
    let offset = cursor.u64(what)?;
    Ok(Described { name: name.into(), shape, type_id, offset })
}

/// A tensor's size in bytes, or `None` where its type has no known size.
pub(super) fn byte_size(name: &str, shape: &[u64], type_id: u32) -> Result<Option<u64>, GgufError> {
    if shape.contains(&0) {
        return Err(GgufError::Empty { tensor: name.into(), shape: shape.into() });
    }
    let overflow = || GgufError::ShapeOverflow { tensor: name.into(), shape: shape.into() };
    // Sizes stay below 2⁶³, as in llama.cpp, so that sums of two cannot overflow.
    let fits = |n: &u64| *n <= i64::MAX as u64;
    let elements = shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d).filter(fits));
    let elements = elements.ok_or_else(overflow)?;
    let Some((len, bytes)) = tensor_type(type_id).and_then(|t| t.block) else { return Ok(None) };
    let row = shape.first().copied().unwrap_or(1);
    if !row.is_multiple_of(len) {
        return Err(GgufError::PartialBlock { tensor: name.into(), type_id, row, block: len });
    }
    (elements / len).checked_mul(bytes).filter(fits).map(Some).ok_or_else(overflow)
}

/// Where the next tensor has to start.
enum Next {
    /// Exactly here: llama.cpp demands that offsets are the running sum of aligned sizes, and so do
    /// we, since a size and an offset that disagree mean that one of them is wrong.
    At(u64),
    /// Behind a tensor of unknown size.
    From(u64),
}

/// Places the tensors in the file.
pub(super) fn place(header: &Header, file_len: u64) -> Result<(u64, Vec<TensorInfo>), GgufError> {
    let align = u64::from(header.alignment);
    let data_offset = header.end.next_multiple_of(align); // both far below 2⁶³
    let mut next = Next::At(0);
    let mut placed: Vec<TensorInfo> = Vec::with_capacity(header.tensors.len());
    for described in &header.tensors {
        check_start(described, &next, header.alignment, data_offset, &placed)?;
        let size = byte_size(&described.name, &described.shape, described.type_id)?;
        let info = locate(described, data_offset, size.unwrap_or(1), file_len)?;
        let end = (info.offset + info.bytes - data_offset).next_multiple_of(align);
        next = if size.is_some() { Next::At(end) } else { Next::From(end) };
        placed.push(info);
    }
    stretch_unknown(&mut placed, file_len);
    Ok((data_offset, placed))
}

fn check_start(
    described: &Described,
    next: &Next,
    alignment: u32,
    data_offset: u64,
    placed: &[TensorInfo],
) -> Result<(), GgufError> {
    let (tensor, offset) = (described.name.clone(), described.offset);
    if !offset.is_multiple_of(alignment.into()) {
        return Err(GgufError::Misaligned { tensor, offset, alignment });
    }
    let (Next::At(expected) | Next::From(expected)) = *next;
    if offset < expected {
        // Offsets have only grown so far, so the last tensor that starts before is the one.
        let other = placed.iter().rev().find(|t| t.offset - data_offset <= offset);
        let other = other.map(|t| t.name.clone()).unwrap_or_default();
        return Err(GgufError::Overlap { tensor, other, offset, expected });
    }
    match next {
        Next::At(expected) if offset > *expected => {
            let before = placed.last().map_or("the header".into(), |t| format!("{:?}", t.name));
            Err(GgufError::Gap { tensor, before, offset, expected: *expected })
        }
        _ => Ok(()),
    }
}

fn locate(
    described: &Described,
    data_offset: u64,
    bytes: u64,
    file_len: u64,
) -> Result<TensorInfo, GgufError> {
    let Described { name, shape, type_id, offset } = described;
    let absolute = data_offset.saturating_add(*offset);
    if absolute.saturating_add(bytes) > file_len {
        let tensor = name.clone();
        return Err(GgufError::PastEnd { tensor, offset: absolute, bytes, len: file_len });
    }
    let (name, shape) = (name.clone(), shape.clone());
    let kind = match formats::by_gguf_type(*type_id) {
        Some(format) => TensorKind::Format(format),
        None => TensorKind::Unsupported(type_name(*type_id).into_owned()),
    };
    Ok(TensorInfo { name, shape, kind, type_id: Some(*type_id), offset: absolute, bytes })
}

/// A tensor of unknown size is taken to reach to the next one or the file's end.
fn stretch_unknown(placed: &mut [TensorInfo], file_len: u64) {
    let mut end = file_len;
    for tensor in placed.iter_mut().rev() {
        if tensor.type_id.and_then(tensor_type).and_then(|t| t.block).is_none() {
            tensor.bytes = end - tensor.offset;
        }
        end = tensor.offset;
    }
}
