//! The browser: WebGPU through wasm-bindgen.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::model::source::ByteSource;

/// A future of the library; in the browser it stays on its thread.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// `Send + Sync` natively; nothing in the browser, where values of JavaScript are neither.
pub trait WasmNotSendSync {}
impl<T: ?Sized> WasmNotSendSync for T {}

/// A page has no file system; implement [`ByteSource`] for a `File`, `Blob` or URL instead, or use
/// [`Bytes`](crate::model::source::Bytes).
///
/// # Errors
/// Always [`Error::Io`] with [`io::ErrorKind::Unsupported`].
pub fn open(path: impl AsRef<Path>) -> Result<Arc<dyn ByteSource>> {
    let reason = "a web page has no file system; read from a File, a Blob or a URL";
    Err(Error::io(path.as_ref().display(), io::Error::new(io::ErrorKind::Unsupported, reason)))
}
