//! The browser: WebGPU through wasm-bindgen.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

mod browser;
mod pipeline;
mod regex;
mod source;
mod wait;

pub(crate) use pipeline::{Beside, beside, compile, lanes};
pub use regex::{Match, Regex, Text};
pub use source::BlobSource;
pub(crate) use wait::{Pace, told, wait};

use crate::error::{Error, Result};
use crate::gpu::{Caps, Gpu};
use crate::model::source::{ByteSource, ModelFiles};

/// A future of the library; in the browser it stays on its thread.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// `Send + Sync` natively; nothing in the browser, where values of JavaScript are neither.
pub trait WasmNotSendSync {}
impl<T: ?Sized> WasmNotSendSync for T {}

/// A page has no file system; use a [`BlobSource`], implement [`ByteSource`] for what you have, or use
/// [`Bytes`](crate::model::source::Bytes).
///
/// # Errors
/// Always [`Error::Io`] with [`io::ErrorKind::Unsupported`].
pub fn open(path: impl AsRef<Path>) -> Result<Arc<dyn ByteSource>> {
    let reason = "a web page has no file system; read from a File, a Blob or a URL";
    Err(Error::io(path.as_ref().display(), io::Error::new(io::ErrorKind::Unsupported, reason)))
}

/// A page has no file system; make [`ModelFiles`] of a list of files instead.
///
/// # Errors
/// As [`open`], always.
pub fn open_model(path: impl AsRef<Path>) -> Result<ModelFiles> {
    Ok(open(path)?.into())
}

/// The adapter of the page, if there is one.
pub(crate) async fn enumerate(instance: &wgpu::Instance) -> Vec<wgpu::Adapter> {
    let options = wgpu::RequestAdapterOptions {
        power_preference: wgpu::PowerPreference::HighPerformance,
        ..Default::default()
    };
    instance.request_adapter(&options).await.into_iter().collect()
}

/// Seconds from tick to tick of the clock: browsers round it (High Resolution Time, section 7.1).
pub(crate) const CLOCK_TICK: f64 = 1e-3;

/// The browser tells of a loss by itself.
pub(crate) fn settle(_: &Gpu) {}

/// Directives that the browser's WGSL front end demands.
pub(crate) fn enable_directives(caps: Caps) -> String {
    let mut text = String::new();
    if caps.f16 {
        text.push_str("enable f16;\n");
    }
    if caps.subgroups {
        text.push_str("enable subgroups;\n");
    }
    text
}

/// Whether the next device that is asked for is to have subgroups, which wgpu does not know of here.
pub(crate) fn ask_for_subgroups(want: bool) {
    browser::ask_for_subgroups(want);
}

/// Whether it was asked for with them.
pub(crate) fn asked_for_subgroups() -> bool {
    browser::asked_for_subgroups()
}

/// Whether the browser's WGSL lets kernels read storage textures, which the first version did not.
pub(crate) fn reads_storage_textures() -> bool {
    browser::reads_storage_textures()
}

/// A shader module of ours.
pub(crate) fn shader_module(device: &wgpu::Device, label: &str, text: &str) -> wgpu::ShaderModule {
    device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(label),
        source: wgpu::ShaderSource::Wgsl(text.into()),
    })
}

/// Refuses an allocation beyond the program's own budget. A browser does not tell how much memory
/// there is; it answers through the error scope.
pub(crate) fn check_memory(gpu: &Gpu, what: &str, bytes: u64) -> Result<()> {
    gpu.check_budget(what, bytes)
}

/// Gives a buffer's memory back now; the browser would, but only when its collector comes by.
pub(crate) fn free(buffer: &wgpu::Buffer) {
    buffer.destroy();
}

/// As [`free`].
pub(crate) fn free_texture(texture: &wgpu::Texture) {
    texture.destroy();
}
