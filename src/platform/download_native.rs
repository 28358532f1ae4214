//! Downloads, for programs that fetch the default model.

use std::io::{Error, ErrorKind, Result};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use hf_hub::api::sync::{ApiBuilder, ApiError};
use hf_hub::{Repo, RepoType};

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

/// Downloads a file into `folder`, in the hub's own cache layout, and gives the path of the file
/// itself. An interrupted download goes on where it stopped. `progress` is told the bytes that
/// are there and all there will be. Obeys `HF_ENDPOINT` and the token of `HF_HOME`.
///
/// # Errors
/// What the network, the hub or the file system said; [`ErrorKind::Interrupted`] within a tenth of a
/// second of being cancelled.
pub fn fetch_from_hub(
    file: HubFile<'static>,
    folder: &Path,
    cancel: &Cancel,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<PathBuf> {
    let (steps, heard) = channel();
    let told = Told { steps, cancel: cancel.clone(), done: 0, total: 0 };
    let folder = folder.to_owned();
    let fetching = thread::spawn(move || fetch(file, folder, told));
    loop {
        match heard.recv_timeout(Duration::from_millis(100)) {
            Ok((done, total)) => progress(done, total),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        // hf-hub waits for the network however long it takes. It is left to that: it ends with the
        // next byte, or with the process.
        if cancel.is_cancelled() {
            return Err(ErrorKind::Interrupted.into());
        }
    }
    fetching.join().unwrap_or_else(|_| Err(Error::other("the hub's client failed")))
}

fn fetch(file: HubFile<'_>, folder: PathBuf, told: Told) -> Result<PathBuf> {
    let revision = file.revision.to_owned();
    let repo = Repo::with_revision(file.repo.to_owned(), RepoType::Model, revision);
    let api = ApiBuilder::from_env()
        .with_cache_dir(folder)
        .with_progress(false)
        .with_retries(3)
        .build()
        .map_err(into_io)?;
    let pointer = api.repo(repo).download_with_progress(file.file, told).map_err(into_io)?;
    // The hub's layout keeps a link beside the file.
    std::fs::canonicalize(pointer)
}

fn into_io(error: ApiError) -> Error {
    match error {
        ApiError::IoError(error) => error,
        other => Error::other(other),
    }
}

/// hf-hub tells steps; we tell sums.
struct Told {
    steps: Sender<(u64, u64)>,
    cancel: Cancel,
    done: u64,
    total: u64,
}

impl hf_hub::api::Progress for Told {
    fn init(&mut self, size: usize, _filename: &str) {
        self.total = size as u64;
    }

    fn update(&mut self, size: usize) {
        if self.cancel.is_cancelled() {
            // The one way out of hf-hub's loop: the thread ends here, and nobody waits for it.
            resume_unwind(Box::new("cancelled"));
        }
        self.done = self.done.saturating_add(size as u64);
        // Whoever cancelled listens no more.
        let _ = self.steps.send((self.done, self.total));
    }

    fn finish(&mut self) {}
}
