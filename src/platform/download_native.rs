//! Downloads, for programs that fetch the default model.

use std::path::{Path, PathBuf};

use hf_hub::api::sync::{ApiBuilder, ApiError};
use hf_hub::{Repo, RepoType};

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

/// Downloads a file into `folder`, in the hub's own cache layout, and gives the path of the file
/// itself. An interrupted download goes on where it stopped. `progress` is told the bytes that
/// are there and all there will be. Obeys `HF_ENDPOINT` and the token of `HF_HOME`.
///
/// # Errors
/// What the network, the hub or the file system said.
pub fn fetch_from_hub(
    file: HubFile<'_>,
    folder: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> std::io::Result<PathBuf> {
    let revision = file.revision.to_owned();
    let repo = Repo::with_revision(file.repo.to_owned(), RepoType::Model, revision);
    let api = ApiBuilder::from_env()
        .with_cache_dir(folder.to_owned())
        .with_progress(false)
        .with_retries(3)
        .build()
        .map_err(into_io)?;
    let told = Told { progress, done: 0, total: 0 };
    let pointer = api.repo(repo).download_with_progress(file.file, told).map_err(into_io)?;
    // The hub's layout keeps a link beside the file.
    std::fs::canonicalize(pointer)
}

fn into_io(error: ApiError) -> std::io::Error {
    match error {
        ApiError::IoError(error) => error,
        other => std::io::Error::other(other),
    }
}

/// hf-hub tells steps; we tell sums.
struct Told<'a> {
    progress: &'a mut dyn FnMut(u64, u64),
    done: u64,
    total: u64,
}

impl hf_hub::api::Progress for Told<'_> {
    fn init(&mut self, size: usize, _filename: &str) {
        self.total = size as u64;
    }

    fn update(&mut self, size: usize) {
        self.done = self.done.saturating_add(size as u64);
        (self.progress)(self.done, self.total);
    }

    fn finish(&mut self) {}
}
