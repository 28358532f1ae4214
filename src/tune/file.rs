//! A [`Store`] in a file of the user's cache folder. Blocking; with the feature `download`.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::{Store, StoreError};
use crate::download::{self, DownloadError};
use crate::error::{Error, Result};

/// More than any store that was written here.
const MOST_BYTES: u64 = 4 << 20;

/// Where the program `mantissa` keeps it: beside the default model.
///
/// # Errors
/// [`DownloadError::NoFolder`] where the operating system names no folder for caches.
pub fn default_path() -> Result<PathBuf, DownloadError> {
    Ok(download::folder()?.join("tuning.json"))
}

/// A store that was read, and what was wrong with the file.
#[derive(Debug)]
pub struct Loaded {
    /// What it holds; empty where there is no file or none that can be used.
    pub store: Store,
    /// What the user should know: why the file was not used, and where it is now.
    pub warning: Option<String>,
}

/// Reads the file. One that is no store is set aside under another name, and never an error.
pub fn load(path: &Path) -> Loaded {
    let empty = |warning| Loaded { store: Store::default(), warning };
    let text = match read(path) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return empty(None),
        // A folder, or a file of another's: nothing to set aside.
        Err(e) if e.kind() != ErrorKind::InvalidData => {
            return empty(Some(format!("{}: {e}; nothing measured is used", path.display())));
        }
        Err(e) => return empty(Some(set_aside(path, &e))),
    };
    match Store::from_json(&text) {
        Ok(store) => Loaded { store, warning: None },
        Err(e) => empty(Some(set_aside(path, &e))),
    }
}

/// Writes the file, whole or not at all.
///
/// # Errors
/// [`Error::Io`].
pub fn save(path: &Path, store: &Store) -> Result<()> {
    let failed = |e: std::io::Error| Error::io(path.display(), e);
    let text = store.to_json().map_err(|e: StoreError| failed(std::io::Error::other(e)))?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    // A name of this process's own, so that two that write at once do not mix.
    let new = path.with_extension(format!("{}.new", std::process::id()));
    let written = fs::File::create(&new).and_then(|mut file| file.write_all(text.as_bytes()));
    written.and_then(|()| fs::rename(&new, path)).map_err(|e| {
        // What could not be put in its place is of no use.
        let _ = fs::remove_file(&new);
        failed(e)
    })
}

fn read(path: &Path) -> std::io::Result<String> {
    // Asked before opening, since opening a named pipe would wait for a writer.
    if !fs::metadata(path)?.is_file() {
        return Err(std::io::Error::new(ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut text = String::new();
    fs::File::open(path)?.take(MOST_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

fn set_aside(path: &Path, problem: &dyn std::fmt::Display) -> String {
    let aside = path.with_extension("json.bad");
    let moved = match fs::rename(path, &aside) {
        Ok(()) => format!("set aside as {}", aside.display()),
        Err(e) => format!("it stays: {e}"),
    };
    format!("{}: not what `mantissa tune` writes ({problem}); {moved}", path.display())
}

// They need a folder of their own.
#[cfg(all(test, feature = "cli"))]
mod tests {
    use super::*;
    use crate::tune::Rows;
    use crate::tune::store::tests::tuning;

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a folder").join("tuning.json");
        assert!(load(&path).warning.is_none(), "no file is no problem");
        let mut store = Store::default();
        store.put(tuning("a", None, Rows::One));
        save(&path, &store).unwrap();
        let loaded = load(&path);
        assert_eq!((loaded.store, loaded.warning), (store, None));
        let files = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(files, 1, "nothing is left beside it");
    }

    #[test]
    fn a_file_that_is_no_store_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tuning.json");
        for bad in [&b"{ \"form\": 1, \"devi"[..], b"\xff\xfe", b"{\"form\": 9}", b""] {
            fs::write(&path, bad).unwrap();
            let loaded = load(&path);
            assert_eq!(loaded.store, Store::default());
            assert!(loaded.warning.is_some_and(|w| w.contains("tuning.json.bad")));
            assert!(!path.exists());
            assert_eq!(fs::read(folder.path().join("tuning.json.bad")).unwrap(), bad);
        }
    }

    #[test]
    fn a_folder_in_its_place_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let loaded = load(folder.path());
        assert!(loaded.warning.is_some() && folder.path().is_dir());
        assert!(save(folder.path(), &Store::default()).is_err());
    }
}
