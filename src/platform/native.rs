//! Native programs: Vulkan, Metal, DX12; files, threads, clocks.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::model::source::{ByteSource, slice};

/// A future of the library; natively it may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// `Send + Sync` natively; nothing in the browser, where values of JavaScript are neither.
pub trait WasmNotSendSync: Send + Sync {}
impl<T: Send + Sync + ?Sized> WasmNotSendSync for T {}

/// A file mapped into memory: reads cost nothing until a page is touched.
#[derive(Debug)]
struct MappedFile {
    name: String,
    map: memmap2::Mmap,
}

impl ByteSource for MappedFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.map.len() as u64
    }

    fn read(&self, offset: u64, len: usize) -> BoxFuture<'_, Result<Cow<'_, [u8]>>> {
        let bytes = slice(&self.name, &self.map, offset, len).map(Cow::Borrowed);
        Box::pin(std::future::ready(bytes))
    }
}

/// Opens a file as a [`ByteSource`] by mapping it into memory.
///
/// The file must not be shortened while it is open: the operating system then ends the program
/// (SIGBUS) when a page that is gone is touched.
///
/// # Errors
/// [`Error::Io`] where the file cannot be opened or is not a regular file (a pipe has no length and
/// would be waited for).
pub fn open(path: impl AsRef<Path>) -> Result<Arc<dyn ByteSource>> {
    let path = path.as_ref();
    let map = map(path).map_err(|e| Error::io(path.display(), e))?;
    Ok(Arc::new(MappedFile { name: path.display().to_string(), map }))
}

fn map(path: &Path) -> io::Result<memmap2::Mmap> {
    // Asked before opening, since opening a named pipe would wait for a writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let file = File::open(path)?;
    // SAFETY: the map is private to `MappedFile` and only ever read, as plain bytes, for which any
    // content is valid. What remains is another process writing to the file meanwhile; a program
    // cannot rule that out for any memory map, so `open` names it as its caller's duty.
    unsafe { memmap2::Mmap::map(&file) }
}
