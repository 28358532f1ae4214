//! A page fetches by other means; this only has to compile there.

use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

use crate::model::Cancel;

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
    _file: HubFile<'static>,
    _folder: &Path,
    _cancel: &Cancel,
    _progress: &mut dyn FnMut(u64, u64),
) -> Result<PathBuf> {
    Err(Error::from(ErrorKind::Unsupported))
}
