//! Where a model's bytes come from: a memory map, a buffer, a file dropped on a page, a URL with
//! ranges.

use std::borrow::Cow;
use std::io;

use crate::error::{Error, Result};
pub use crate::platform::BoxFuture;
use crate::platform::WasmNotSendSync;

/// Bytes that can be read at any offset, without reading what lies before.
#[expect(clippy::len_without_is_empty, reason = "an empty source is no special case for anybody")]
pub trait ByteSource: WasmNotSendSync {
    /// What to call it in a message: a path, a URL, the name of a dropped file.
    fn name(&self) -> &str;

    /// Its length in bytes.
    fn len(&self) -> u64;

    /// Reads exactly `len` bytes at `offset`: borrowed where they lie in memory already, so that
    /// reading again costs nothing, and owned where they had to be fetched.
    ///
    /// # Errors
    /// [`Error::Io`], with [`io::ErrorKind::UnexpectedEof`] where the range ends past [`len`].
    ///
    /// [`len`]: Self::len
    fn read(&self, offset: u64, len: usize) -> BoxFuture<'_, Result<Cow<'_, [u8]>>>;
}

/// A source that lies in memory whole.
#[derive(Debug, Clone)]
pub struct Bytes {
    name: String,
    data: Vec<u8>,
}

impl Bytes {
    /// A source called `name` in messages.
    pub fn new(name: impl Into<String>, data: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), data: data.into() }
    }
}

impl ByteSource for Bytes {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.data.len() as u64
    }

    fn read(&self, offset: u64, len: usize) -> BoxFuture<'_, Result<Cow<'_, [u8]>>> {
        let bytes = slice(&self.name, &self.data, offset, len).map(Cow::Borrowed);
        Box::pin(std::future::ready(bytes))
    }
}

/// `data[offset..offset + len]`, or the error that [`ByteSource::read`] promises.
pub(crate) fn slice<'a>(name: &str, data: &'a [u8], offset: u64, len: usize) -> Result<&'a [u8]> {
    usize::try_from(offset)
        .ok()
        .and_then(|start| data.get(start..start.checked_add(len)?))
        .ok_or_else(|| past_end(name, offset, len, data.len()))
}

fn past_end(name: &str, offset: u64, len: usize, end: usize) -> Error {
    let reason = format!("{len} bytes at offset {offset} were asked for, but it ends at {end}");
    Error::io(name, io::Error::new(io::ErrorKind::UnexpectedEof, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &dyn ByteSource, offset: u64, len: usize) -> Result<Vec<u8>> {
        pollster::block_on(source.read(offset, len)).map(Cow::into_owned)
    }

    #[test]
    fn reads_exactly_the_range() {
        let source = Bytes::new("five", *b"abcde");
        assert_eq!(source.len(), 5);
        assert_eq!(read(&source, 1, 3).unwrap(), b"bcd");
        assert_eq!(read(&source, 5, 0).unwrap(), b"");
    }

    #[test]
    fn a_range_past_the_end_is_named() {
        let source = Bytes::new("five", *b"abcde");
        for (offset, len) in [(3, 3), (6, 0), (u64::MAX, 1), (1, usize::MAX)] {
            let error = read(&source, offset, len).unwrap_err();
            let Error::Io { what, source } = &error else { panic!("{error:?}") };
            assert_eq!((what.as_str(), source.kind()), ("five", io::ErrorKind::UnexpectedEof));
            assert!(error.to_string().contains(&format!("offset {offset}")), "{error}");
        }
    }
}
