//! Reads little-endian values from the beginning of a file, of which only a prefix may be here yet.

use std::fmt;

use super::error::GgufError;
use super::value::{Array, Value};

/// The largest header that is read: some ten times that of the largest vocabulary (256 Ki tokens
/// and their merges take about 20 MB). It bounds what a hostile file can make us allocate.
pub(super) const MAX_HEADER: u64 = 256 << 20;

/// Arrays in arrays beyond this depth are refused. Models use one level.
const MAX_DEPTH: usize = 4;

/// Why parsing stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// The prefix ends before `end`, but the file does not.
    Short { end: u64 },
    /// The file is wrong.
    Bad(GgufError),
}

impl From<GgufError> for Stop {
    fn from(error: GgufError) -> Self {
        Self::Bad(error)
    }
}

pub(super) type Parse<T> = Result<T, Stop>;

/// What is being read, for messages; turned into text only when something is wrong.
#[derive(Clone, Copy)]
pub(super) enum What<'a> {
    Header(&'static str),
    Key(u64),
    Value(&'a str),
    TensorName(u64),
    Tensor(&'a str),
}

impl fmt::Display for What<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "the {name}"),
            Self::Key(i) => write!(f, "metadata key {i}"),
            Self::Value(key) => write!(f, "the value of {key:?}"),
            Self::TensorName(i) => write!(f, "the name of tensor {i}"),
            Self::Tensor(name) => write!(f, "the description of tensor {name:?}"),
        }
    }
}

pub(super) struct Cursor<'a> {
    prefix: &'a [u8],
    at: usize,
    file_len: u64,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(prefix: &'a [u8], file_len: u64) -> Self {
        Self { prefix, at: 0, file_len }
    }

    /// The offset of the next byte.
    pub(super) fn offset(&self) -> u64 {
        self.at as u64
    }

    /// Bytes of the file that are not read yet.
    pub(super) fn rest(&self) -> u64 {
        self.file_len.saturating_sub(self.offset())
    }

    /// Makes sure that `len` more bytes are in the file and in the prefix. Whoever allocates asks
    /// here first.
    fn ensure(&self, len: u64, what: What<'_>) -> Parse<()> {
        let offset = self.offset();
        if len > self.rest() {
            let what = what.to_string();
            return Err(
                GgufError::Truncated { what, offset, needed: len, len: self.file_len }.into()
            );
        }
        let end = offset + len; // at most the file's length
        if end > MAX_HEADER {
            let (what, limit) = (what.to_string(), MAX_HEADER);
            return Err(GgufError::HeaderTooLarge { what, offset, needed: len, limit }.into());
        }
        if end > self.prefix.len() as u64 {
            return Err(Stop::Short { end });
        }
        Ok(())
    }

    pub(super) fn bytes(&mut self, len: u64, what: What<'_>) -> Parse<&'a [u8]> {
        self.ensure(len, what)?;
        let end = self.at + len as usize; // inside the prefix
        let bytes = self.prefix.get(self.at..end).ok_or(Stop::Short { end: end as u64 })?;
        self.at = end;
        Ok(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self, what: What<'_>) -> Parse<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(N as u64, what)?);
        Ok(array)
    }

    pub(super) fn u32(&mut self, what: What<'_>) -> Parse<u32> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, what: What<'_>) -> Parse<u64> {
        self.array(what).map(u64::from_le_bytes)
    }

    pub(super) fn string(&mut self, what: What<'_>) -> Parse<&'a str> {
        let len = self.u64(what)?;
        let offset = self.offset();
        let bytes = self.bytes(len, what)?;
        let not_utf8 = |_| GgufError::NotUtf8 { what: what.to_string(), offset };
        Ok(std::str::from_utf8(bytes).map_err(not_utf8)?)
    }

    /// A key or a tensor's name, which may not be empty.
    pub(super) fn name(&mut self, what: What<'_>) -> Parse<&'a str> {
        let offset = self.offset();
        match self.string(what)? {
            "" => Err(GgufError::EmptyName { what: what.to_string(), offset }.into()),
            name => Ok(name),
        }
    }

    fn bool(&mut self, what: What<'_>) -> Parse<bool> {
        let offset = self.offset();
        match self.array(what)? {
            [0] => Ok(false),
            [1] => Ok(true),
            [found] => Err(GgufError::Bool { what: what.to_string(), offset, found }.into()),
        }
    }

    /// A type number and the value behind it.
    pub(super) fn value(&mut self, key: &str) -> Parse<Value> {
        let what = What::Value(key);
        let type_offset = self.offset();
        Ok(match self.u32(what)? {
            0 => Value::U8(u8::from_le_bytes(self.array(what)?)),
            1 => Value::I8(i8::from_le_bytes(self.array(what)?)),
            2 => Value::U16(u16::from_le_bytes(self.array(what)?)),
            3 => Value::I16(i16::from_le_bytes(self.array(what)?)),
            4 => Value::U32(self.u32(what)?),
            5 => Value::I32(i32::from_le_bytes(self.array(what)?)),
            6 => Value::F32(f32::from_le_bytes(self.array(what)?)),
            7 => Value::Bool(self.bool(what)?),
            8 => Value::String(self.string(what)?.to_owned()),
            9 => Value::Array(self.value_array(what, 1)?),
            10 => Value::U64(self.u64(what)?),
            11 => Value::I64(i64::from_le_bytes(self.array(what)?)),
            12 => Value::F64(f64::from_le_bytes(self.array(what)?)),
            found => return Err(no_such_type(what, type_offset, found)),
        })
    }

    fn value_array(&mut self, what: What<'_>, depth: usize) -> Parse<Array> {
        let offset = self.offset();
        if depth > MAX_DEPTH {
            let what = what.to_string();
            return Err(GgufError::Nesting { what, offset, limit: MAX_DEPTH }.into());
        }
        let element = self.u32(what)?;
        let len = self.u64(what)?;
        Ok(match element {
            0 => Array::U8(self.numbers(len, u8::from_le_bytes, what)?),
            1 => Array::I8(self.numbers(len, i8::from_le_bytes, what)?),
            2 => Array::U16(self.numbers(len, u16::from_le_bytes, what)?),
            3 => Array::I16(self.numbers(len, i16::from_le_bytes, what)?),
            4 => Array::U32(self.numbers(len, u32::from_le_bytes, what)?),
            5 => Array::I32(self.numbers(len, i32::from_le_bytes, what)?),
            6 => Array::F32(self.numbers(len, f32::from_le_bytes, what)?),
            7 => Array::Bool(self.list(len, 1, what, |c| c.bool(what))?),
            8 => Array::String(self.list(len, 8, what, |c| c.string(what).map(str::to_owned))?),
            9 => Array::Array(self.list(len, 12, what, |c| c.value_array(what, depth + 1))?),
            10 => Array::U64(self.numbers(len, u64::from_le_bytes, what)?),
            11 => Array::I64(self.numbers(len, i64::from_le_bytes, what)?),
            12 => Array::F64(self.numbers(len, f64::from_le_bytes, what)?),
            found => return Err(no_such_type(what, offset, found)),
        })
    }

    /// `len` numbers of `N` bytes.
    fn numbers<const N: usize, T>(
        &mut self,
        len: u64,
        convert: fn([u8; N]) -> T,
        what: What<'_>,
    ) -> Parse<Vec<T>> {
        let bytes = self.bytes(len.saturating_mul(N as u64), what)?;
        let (chunks, _) = bytes.as_chunks::<N>();
        Ok(chunks.iter().map(|&chunk| convert(chunk)).collect())
    }

    /// `len` elements, each of at least `least` bytes: that many are asked for before room is made,
    /// so the list takes at most three times the bytes that are here.
    fn list<T>(
        &mut self,
        len: u64,
        least: u64,
        what: What<'_>,
        mut element: impl FnMut(&mut Self) -> Parse<T>,
    ) -> Parse<Vec<T>> {
        self.ensure(len.saturating_mul(least), what)?;
        let mut list = Vec::with_capacity(len as usize);
        for _ in 0..len {
            list.push(element(self)?);
        }
        Ok(list)
    }
}

fn no_such_type(what: What<'_>, offset: u64, found: u32) -> Stop {
    GgufError::ValueType { what: what.to_string(), offset, found }.into()
}
