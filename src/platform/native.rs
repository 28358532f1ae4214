//! Native programs: Vulkan, Metal, DX12; files, threads, clocks.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures_channel::oneshot;

use crate::error::{Error, Result};
use crate::gpu::{Caps, Class, Gpu};
use crate::model::hugging_face;
use crate::model::source::{ByteSource, ModelFiles, slice};

/// A future of the library; natively it may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// `Send + Sync` natively; nothing in the browser, where values of JavaScript are neither.
pub trait WasmNotSendSync: Send + Sync {}
impl<T: Send + Sync + ?Sized> WasmNotSendSync for T {}

pub use regex::Regex;

/// A text that is searched often; natively just the text.
pub(crate) struct Text<'t>(&'t str);

impl<'t> Text<'t> {
    /// Prepares a text.
    pub(crate) fn new(text: &'t str) -> Self {
        Self(text)
    }
}

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        self.0
    }
}

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

    fn release(&self, offset: u64, len: usize) {
        release(&self.map, offset, len);
    }
}

/// Takes pages out of the process's memory; a later read maps them again.
#[cfg(unix)]
fn release(map: &memmap2::Mmap, offset: u64, len: usize) {
    let Ok(offset) = usize::try_from(offset) else { return };
    if offset.checked_add(len).is_some_and(|end| end <= map.len()) {
        // SAFETY: the map is a shared one of a file, which is never written through it, so what is
        // read again is what the file holds. Slices that are borrowed meanwhile stay valid.
        let _ =
            unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, offset, len) };
    }
}

/// Other systems take pages away by themselves.
#[cfg(not(unix))]
fn release(_map: &memmap2::Mmap, _offset: u64, _len: usize) {}

/// Seconds from tick to tick of the clock.
pub(crate) const CLOCK_TICK: f64 = 1e-6;

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

/// Opens a model: a folder as Hugging Face has them, or a file, with what lies beside it where it is
/// safetensors.
///
/// # Errors
/// As [`open`]; [`Error::Io`] where a folder cannot be listed.
pub fn open_model(path: impl AsRef<Path>) -> Result<ModelFiles> {
    let path = path.as_ref();
    if path.is_dir() {
        return Ok(ModelFiles::folder(path.display().to_string(), neighbours(path, true)?));
    }
    let main = open(path)?;
    if path.extension().is_none_or(|e| e != "safetensors") {
        return Ok(main.into());
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(ModelFiles::with_neighbours(main, neighbours(folder, false)?))
}

/// The files of a folder that belong to a Hugging Face model, without or with its tensors.
fn neighbours(folder: &Path, tensors: bool) -> Result<Vec<(String, Arc<dyn ByteSource>)>> {
    let mut files = Vec::new();
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder.display(), e))?;
    for entry in entries {
        let path = entry.map_err(|e| Error::io(folder.display(), e))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_tensors = tensors && name.ends_with(".safetensors");
        if is_tensors || hugging_face::FILES.contains(&name.as_str()) {
            files.push((name, open(&path)?));
        }
    }
    Ok(files)
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

/// Seconds after which a submission counts as hung: a chunk of prefill of a model of several
/// billion parameters on a software driver takes minutes.
const PATIENCE: u64 = 900;

/// Every adapter of the instance.
pub(crate) async fn enumerate(instance: &wgpu::Instance) -> Vec<wgpu::Adapter> {
    instance.enumerate_adapters(wgpu::Backends::PRIMARY).await
}

/// How a device has to be waited for: natively, by polling it, for so many seconds at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    patience: u64,
}

impl Pace {
    /// Nothing has to be measured.
    pub(crate) async fn measure(_: &wgpu::Queue) -> Self {
        Self { patience: PATIENCE }
    }
}

/// A pipeline compiled beforehand: natively none is.
pub(crate) struct Compiled;

impl Compiled {
    /// Natively the constructor itself compiles.
    pub(crate) fn give(&self) {}
}

/// Compiles what `create` asks wgpu for without holding up the program, where that can be done. The
/// error is the driver's reason.
pub(crate) async fn compile(_: impl Fn() -> wgpu::ComputePipeline) -> Result<Compiled, String> {
    Ok(Compiled)
}

/// How many pipelines are compiled at a time: compilers need some 100 MB each meanwhile.
pub(crate) fn lanes() -> usize {
    thread::available_parallelism().map_or(1, Into::into).min(4)
}

/// Work on a thread of its own. Dropping it waits for its end, so that no program ends while a
/// driver compiles.
pub(crate) struct Beside(Option<thread::JoinHandle<()>>);

impl Drop for Beside {
    fn drop(&mut self) {
        // What has panicked there, its caller does by itself.
        let _ = self.0.take().map(thread::JoinHandle::join);
    }
}

/// Begins work beside the caller's, if the machine has a thread for it.
pub(crate) fn beside(work: BoxFuture<'static, ()>) -> Option<Beside> {
    let thread = thread::Builder::new().spawn(|| pollster::block_on(work));
    thread.ok().map(|thread| Beside(Some(thread)))
}

/// Natively wgpu gives memory back with the last handle.
pub(crate) fn free(_: &wgpu::Buffer) {}

/// As [`free`].
pub(crate) fn free_texture(_: &wgpu::Texture) {}

/// Waits for what a callback of the device's will tell once the submission has run.
pub(crate) async fn told<T>(
    gpu: &Gpu,
    what: &str,
    index: wgpu::SubmissionIndex,
    told: oneshot::Receiver<T>,
) -> Result<Result<T, oneshot::Canceled>> {
    wait(gpu, what, index).await?;
    Ok(told.await)
}

/// Waits until the submission has run and its mappings have resolved.
pub(crate) async fn wait(gpu: &Gpu, what: &str, index: wgpu::SubmissionIndex) -> Result<()> {
    let patience = gpu.pace().patience;
    let timeout = Some(Duration::from_secs(patience));
    let poll = wgpu::PollType::Wait { submission_index: Some(index), timeout };
    match gpu.device().poll(poll) {
        Ok(_) => Ok(()),
        Err(wgpu::PollError::Timeout) => {
            gpu.check()?;
            Err(Error::Timeout { what: what.into(), seconds: patience })
        }
        Err(e) => {
            // A lost device takes submissions in silence and then does not know them; it tells of
            // its loss in a poll that does not ask for one.
            let _ = gpu.device().poll(wgpu::PollType::Poll);
            gpu.check()?;
            Err(Error::Gpu { what: what.into(), reason: e.to_string() })
        }
    }
}

/// Lets the device finish and say what it has to say: its loss is told once its queue is empty.
pub(crate) fn settle(gpu: &Gpu) {
    let timeout = Some(Duration::from_secs(10));
    // An error here is about the device's loss, which the caller is about to look for.
    let _ = gpu.device().poll(wgpu::PollType::Wait { submission_index: None, timeout });
}

/// Directives that the platform's WGSL front end demands. naga rejects `enable subgroups;`.
pub(crate) fn enable_directives(caps: Caps) -> String {
    if caps.f16 { "enable f16;\n".into() } else { String::new() }
}

/// Natively wgpu asks for subgroups itself.
pub(crate) fn ask_for_subgroups(_: bool) {}

/// As [`ask_for_subgroups`].
pub(crate) fn asked_for_subgroups() -> bool {
    false
}

/// Whether kernels can read storage textures: naga's can.
pub(crate) fn reads_storage_textures() -> bool {
    true
}

/// A shader module of ours: bounds are checked, but no counter is added to every loop, which the
/// inner loops of a matrix multiplication would pay for.
pub(crate) fn shader_module(device: &wgpu::Device, label: &str, text: &str) -> wgpu::ShaderModule {
    let mut checks = wgpu::ShaderRuntimeChecks::checked();
    checks.force_loop_bounding = false;
    let source = wgpu::ShaderSource::Wgsl(text.into());
    let descriptor = wgpu::ShaderModuleDescriptor { label: Some(label), source };
    // SAFETY: the text is linked from this crate's own shaders, never from a user's; every loop in
    // them counts up or down to, or halves down from, a bound that does not change inside it, so all
    // end.
    unsafe { device.create_shader_module_trusted(descriptor, checks) }
}

/// Refuses an allocation beyond the program's own budget, and one that a software adapter would take from memory that is not there: it
/// would be killed instead of told.
pub(crate) fn check_memory(gpu: &Gpu, what: &str, bytes: u64) -> Result<()> {
    gpu.check_budget(what, bytes)?;
    if gpu.caps().class != Class::Software {
        return Ok(());
    }
    match available_memory() {
        Some(limit) if bytes > limit => Err(Error::OutOfMemory { what: what.into(), bytes, limit }),
        _ => Ok(()),
    }
}

/// Bytes that the operating system could still hand out, where it tells.
fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
