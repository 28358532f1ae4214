//! Reads a safetensors header from a source, and believes nothing in it before it is checked.
//!
//! The safetensors crate's own reader wants the whole file in memory, takes the last of two tensors
//! of one name, and counts in `usize`; so only its [`Dtype`] is used.

use std::fmt;
use std::marker::PhantomData;

use safetensors::Dtype;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::error::SafetensorsError;
use super::{LENGTH, MAX_HEADER};
use crate::error::{Error, Result};
use crate::formats::{self, FormatRef};
use crate::model::source::{self, ByteSource};
use crate::model::tensor::{TensorInfo, TensorKind};

/// A file's header, its tensors in the order of their data, all checked against the file.
#[derive(Debug)]
pub(in crate::model) struct Header {
    /// The file's name, for messages.
    pub(in crate::model) file: String,
    /// `__metadata__`.
    pub(in crate::model) metadata: Vec<(String, String)>,
    pub(in crate::model) tensors: Vec<Stored>,
    /// Where the data section starts in the file.
    pub(in crate::model) data_offset: u64,
}

impl Header {
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.metadata.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    pub(super) fn malformed(&self, problem: SafetensorsError) -> Error {
        Error::malformed(&self.file, problem)
    }
}

/// A tensor as the header has it.
#[derive(Debug)]
pub(in crate::model) struct Stored {
    pub(in crate::model) name: String,
    pub(in crate::model) dtype: Dtype,
    /// The contiguous dimension last.
    pub(in crate::model) shape: Vec<u64>,
    /// From the file's start.
    pub(in crate::model) offset: u64,
    pub(in crate::model) bytes: u64,
}

/// What JSON says of a tensor.
#[derive(serde::Deserialize)]
struct Entry {
    dtype: Dtype,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// Reads and checks a file's header.
pub(in crate::model) async fn header(source: &dyn ByteSource) -> Result<Header> {
    let bad = |problem| Error::malformed(source.name(), problem);
    let len = source.len().min(i64::MAX as u64);
    if len < LENGTH {
        return Err(bad(SafetensorsError::TooShort { len }));
    }
    let first = source::read(source, 0, LENGTH as usize).await?;
    let size = first.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    check_length(size, len).map_err(bad)?;
    let text = source::read(source, LENGTH, size as usize).await?;
    let data_offset = LENGTH + size;
    let (metadata, entries) = parse(&text).map_err(bad)?;
    let tensors = place(entries, data_offset, len - data_offset).map_err(bad)?;
    Ok(Header { file: source.name().into(), metadata, tensors, data_offset })
}

fn check_length(header: u64, len: u64) -> Result<(), SafetensorsError> {
    if header > MAX_HEADER {
        return Err(SafetensorsError::HeaderTooLarge { header, limit: MAX_HEADER });
    }
    if header > len - LENGTH {
        return Err(SafetensorsError::HeaderLength { header, len });
    }
    Ok(())
}

type Texts = Vec<(String, String)>;
type Entries = Vec<(String, Entry)>;

fn parse(header: &[u8]) -> Result<(Texts, Entries), SafetensorsError> {
    let text = std::str::from_utf8(header)
        .map_err(|e| SafetensorsError::NotUtf8 { at: e.valid_up_to() as u64 })?;
    let parts: Parts = serde_json::from_str(text)
        .map_err(|e| SafetensorsError::Json { problem: json_error(&e) })?;
    if parts.objects > 1 {
        return Err(SafetensorsError::Duplicate { name: METADATA.into() });
    }
    unique(parts.metadata.iter().map(|(key, _)| key))?;
    unique(parts.entries.iter().map(|(name, _)| name))?;
    Ok((parts.metadata, parts.entries))
}

/// serde_json's message; it quotes what it found, which may be long or hold control characters.
pub(in crate::model) fn json_error(error: &serde_json::Error) -> String {
    let text: String = error.to_string().chars().flat_map(char::escape_debug).collect();
    match text.char_indices().nth(300) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

fn unique<'a>(names: impl Iterator<Item = &'a String>) -> Result<(), SafetensorsError> {
    let mut seen = std::collections::HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(SafetensorsError::Duplicate { name: name.clone() });
        }
    }
    Ok(())
}

/// The one entry of a header that is no tensor.
pub(super) const METADATA: &str = "__metadata__";

/// The header's object, in its order and with every entry that it has, also of equal names.
#[derive(Default)]
struct Parts {
    metadata: Texts,
    entries: Entries,
    objects: usize,
}

impl<'de> Deserialize<'de> for Parts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Parts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parts, A::Error> {
                let mut parts = Parts::default();
                while let Some(name) = map.next_key::<String>()? {
                    if name == METADATA {
                        parts.metadata = map.next_value::<Pairs<String>>()?.0;
                        parts.objects += 1;
                    } else {
                        parts.entries.push((name, map.next_value()?));
                    }
                }
                Ok(parts)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// An object in its order.
pub(super) struct Pairs<T>(pub(super) Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
            type Value = Pairs<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<T>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Object(PhantomData))
    }
}

/// Places the tensors in the file: sorted by their offsets, each begins where the one before ends,
/// and the last ends with the file.
fn place(
    mut entries: Entries,
    data_offset: u64,
    len: u64,
) -> Result<Vec<Stored>, SafetensorsError> {
    entries.sort_by_key(|(_, entry)| entry.data_offsets);
    let mut expected = 0;
    let mut placed: Vec<Stored> = Vec::with_capacity(entries.len());
    for (name, Entry { dtype, shape, data_offsets: (begin, end) }) in entries {
        if name.is_empty() {
            return Err(SafetensorsError::EmptyName);
        }
        let size = byte_size(&name, dtype, &shape)?;
        check_offsets(&name, (begin, end), expected, placed.last(), len)?;
        let found = end - begin;
        if found != size {
            let (tensor, type_name) = (name, dtype.to_string());
            return Err(SafetensorsError::Size { tensor, type_name, shape, expected: size, found });
        }
        expected = end;
        placed.push(Stored { name, dtype, shape, offset: data_offset + begin, bytes: size });
    }
    if expected < len {
        return Err(SafetensorsError::Trailing { end: expected, len });
    }
    Ok(placed)
}

fn check_offsets(
    name: &str,
    (begin, end): (u64, u64),
    expected: u64,
    before: Option<&Stored>,
    len: u64,
) -> Result<(), SafetensorsError> {
    let tensor = name.to_owned();
    if end < begin {
        return Err(SafetensorsError::Offsets { tensor, begin, end });
    }
    if begin < expected {
        let other = before.map(|t| t.name.clone()).unwrap_or_default();
        return Err(SafetensorsError::Overlap { tensor, other, begin, expected });
    }
    if end > len {
        return Err(SafetensorsError::PastEnd { tensor, end, len });
    }
    if begin > expected {
        let before = before.map_or("the header".into(), |t| format!("{:?}", t.name));
        return Err(SafetensorsError::Hole { tensor, before, begin, expected });
    }
    Ok(())
}

/// A tensor's size in bytes.
fn byte_size(name: &str, dtype: Dtype, shape: &[u64]) -> Result<u64, SafetensorsError> {
    let elements = elements(name, shape)?;
    let overflow = || SafetensorsError::ShapeOverflow { tensor: name.into(), shape: shape.into() };
    let bits = elements.checked_mul(dtype.bitsize() as u64).ok_or_else(overflow)?;
    if !bits.is_multiple_of(8) {
        let (tensor, format) = (name.into(), dtype.to_string());
        return Err(SafetensorsError::PartialBlock { tensor, format, row: elements, block: 8 });
    }
    Ok(bits / 8)
}

/// The number of elements, below 2⁶³; refuses what no tensor of ours has.
pub(super) fn elements(name: &str, shape: &[u64]) -> Result<u64, SafetensorsError> {
    let (tensor, found) = (name.to_owned(), shape.len());
    if found > 4 {
        return Err(SafetensorsError::Dimensions { tensor, found });
    }
    let shape_of = || shape.to_vec();
    if shape.contains(&0) {
        return Err(SafetensorsError::Empty { tensor, shape: shape_of() });
    }
    let fits = |n: &u64| *n <= i64::MAX as u64;
    let product = shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d).filter(fits));
    product.ok_or_else(|| SafetensorsError::ShapeOverflow { tensor, shape: shape_of() })
}

/// The format of a dtype, where there is one.
fn format_of(dtype: Dtype) -> Option<FormatRef> {
    let name = match dtype {
        Dtype::F32 => "f32",
        Dtype::F16 => "f16",
        Dtype::BF16 => "bf16",
        _ => return None,
    };
    formats::by_name(name).ok()
}

/// The tensors as any safetensors file has them, in files that start at `at` in a joined source.
pub(in crate::model) fn tensors(header: Header, at: u64) -> Vec<TensorInfo> {
    let info = |t: Stored| {
        let kind = format_of(t.dtype)
            .map_or_else(|| TensorKind::Unsupported(t.dtype.to_string()), TensorKind::Format);
        let Stored { name, mut shape, offset, bytes, .. } = t;
        shape.reverse();
        TensorInfo { name, shape, kind, type_id: None, offset: at + offset, bytes }
    };
    header.tensors.into_iter().map(info).collect()
}
