//! Where a model's bytes come from: a memory map, a buffer, a file dropped on a page, a URL with
//! ranges.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

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

    /// Says that this range will not be read again soon, so that memory which holds it may be used
    /// for something else. It can still be read.
    fn release(&self, _offset: u64, _len: usize) {}
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

/// Several sources, one behind the other, as one: the shards of a model.
pub(crate) struct Joined {
    name: String,
    /// Each with its offset in the whole.
    parts: Vec<(u64, Arc<dyn ByteSource>)>,
    len: u64,
}

impl Joined {
    /// Joins `parts` in this order; `None` where they are longer than 2⁶³ together.
    pub(crate) fn new(name: &str, parts: Vec<Arc<dyn ByteSource>>) -> Option<Self> {
        let mut len = 0u64;
        let mut placed = Vec::with_capacity(parts.len());
        for part in parts {
            let end = len.checked_add(part.len()).filter(|n| *n <= i64::MAX as u64)?;
            placed.push((len, part));
            len = end;
        }
        Some(Self { name: name.into(), parts: placed, len })
    }

    async fn gather(&self, offset: u64, len: usize) -> Result<Cow<'_, [u8]>> {
        let end = offset.checked_add(len as u64).filter(|end| *end <= self.len);
        let end = end.ok_or_else(|| past_end(&self.name, offset, len, self.len))?;
        let first = self.parts.partition_point(|(start, _)| *start <= offset).saturating_sub(1);
        let mut bytes = Cow::Borrowed(&[][..]);
        for (start, part) in self.parts.iter().skip(first).take_while(|(s, _)| *s < end) {
            let from = offset.max(*start) - start;
            let to = (end - start).min(part.len());
            let piece = part.read(from, to.saturating_sub(from) as usize).await?;
            if bytes.is_empty() {
                bytes = piece;
            } else {
                bytes.to_mut().extend_from_slice(&piece);
            }
        }
        Ok(bytes)
    }
}

impl ByteSource for Joined {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn read(&self, offset: u64, len: usize) -> BoxFuture<'_, Result<Cow<'_, [u8]>>> {
        Box::pin(self.gather(offset, len))
    }

    fn release(&self, offset: u64, len: usize) {
        let end = offset.saturating_add(len as u64);
        for (start, part) in &self.parts {
            let (from, to) = (offset.max(*start), end.min(start.saturating_add(part.len())));
            if from < to {
                part.release(from - start, (to - from) as usize);
            }
        }
    }
}

/// Exactly `len` bytes, or an error, whatever a source does that breaks its promise.
pub(crate) async fn read(
    source: &dyn ByteSource,
    offset: u64,
    len: usize,
) -> Result<Cow<'_, [u8]>> {
    let bytes = source.read(offset, len).await?;
    if bytes.len() == len {
        return Ok(bytes);
    }
    let reason = format!("{len} bytes were asked for, but {} came", bytes.len());
    Err(Error::io(source.name(), io::Error::new(io::ErrorKind::UnexpectedEof, reason)))
}

/// The files that a model is made of: one, or those of a folder.
#[derive(Clone)]
pub struct ModelFiles {
    name: String,
    main: Option<Arc<dyn ByteSource>>,
    files: Vec<(String, Arc<dyn ByteSource>)>,
}

impl std::fmt::Debug for ModelFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let files: Vec<_> = self.files.iter().map(|(name, _)| name).collect();
        f.debug_struct("ModelFiles").field("name", &self.name).field("files", &files).finish()
    }
}

impl ModelFiles {
    /// The files of a folder called `name` in messages, by their names in it without any path.
    /// What is not part of a Hugging Face model is left alone.
    pub fn folder(
        name: impl Into<String>,
        files: impl IntoIterator<Item = (String, Arc<dyn ByteSource>)>,
    ) -> Self {
        Self { name: name.into(), main: None, files: files.into_iter().collect() }
    }

    /// The model in `main`, with the files that lie beside it: a safetensors file by itself may
    /// need its `config.json`.
    pub fn with_neighbours(
        main: Arc<dyn ByteSource>,
        files: impl IntoIterator<Item = (String, Arc<dyn ByteSource>)>,
    ) -> Self {
        let name = main.name().to_owned();
        Self { name, main: Some(main), files: files.into_iter().collect() }
    }

    /// The folder, or the file, as the user named it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that was asked for; none where it was a folder.
    pub(crate) fn main(&self) -> Option<&Arc<dyn ByteSource>> {
        self.main.as_ref()
    }

    /// The file of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<dyn ByteSource>> {
        self.files.iter().find(|(n, _)| n == name).map(|(_, source)| source)
    }
}

impl From<Arc<dyn ByteSource>> for ModelFiles {
    fn from(main: Arc<dyn ByteSource>) -> Self {
        Self::with_neighbours(main, [])
    }
}

impl<T: ByteSource + 'static> From<Arc<T>> for ModelFiles {
    fn from(main: Arc<T>) -> Self {
        Self::with_neighbours(main, [])
    }
}

/// `data[offset..offset + len]`, or the error that [`ByteSource::read`] promises.
pub(crate) fn slice<'a>(name: &str, data: &'a [u8], offset: u64, len: usize) -> Result<&'a [u8]> {
    usize::try_from(offset)
        .ok()
        .and_then(|start| data.get(start..start.checked_add(len)?))
        .ok_or_else(|| past_end(name, offset, len, data.len() as u64))
}

/// The error for a range that ends past `end`.
pub(crate) fn past_end(name: &str, offset: u64, len: usize, end: u64) -> Error {
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

    fn joined(parts: &[&str]) -> Joined {
        let part = |p: &&str| Arc::new(Bytes::new(*p, p.as_bytes())) as Arc<dyn ByteSource>;
        Joined::new("joined", parts.iter().map(part).collect()).unwrap()
    }

    #[test]
    fn joined_sources_are_one() {
        let (parts, whole) = (joined(&["abc", "", "de", "f"]), b"abcdef");
        assert_eq!(parts.len(), 6);
        for start in 0..=6 {
            for end in start..=6 {
                let got = read(&parts, start as u64, end - start).unwrap();
                assert_eq!(got, whole[start..end], "{start}..{end}");
            }
        }
        let inside = pollster::block_on(parts.read(3, 2)).unwrap();
        assert!(matches!(inside, Cow::Borrowed(b"de")));
        assert!(read(&parts, 5, 2).is_err() && read(&parts, u64::MAX, 2).is_err());
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
