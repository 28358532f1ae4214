//! The command line is not for the browser; it only has to compile there, so that one set of
//! lints covers the whole crate.

use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

/// Does nothing: a page has no Ctrl-C.
///
/// # Errors
/// None.
pub fn on_interrupt(_f: impl FnMut() + Send + 'static) -> Result<()> {
    Ok(())
}

/// Always `None`: a page is not told.
pub fn peak_memory_bytes() -> Option<u64> {
    None
}

/// A file on the Hugging Face hub, at one revision.
#[derive(Debug, Clone, Copy)]
pub struct HubFile<'a> {
    /// `owner/name`.
    pub repo: &'a str,
    /// A commit, branch or tag.
    pub revision: &'a str,
    /// The file's path in the repository.
    pub file: &'a str,
}

/// Not here: a page has no file system to download into.
///
/// # Errors
/// Always [`ErrorKind::Unsupported`].
pub fn fetch_from_hub(
    _file: HubFile<'_>,
    _folder: &Path,
    _progress: &mut dyn FnMut(u64, u64),
) -> Result<PathBuf> {
    Err(Error::from(ErrorKind::Unsupported))
}
