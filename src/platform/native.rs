//! Native programs: Vulkan, Metal, DX12; files, threads, clocks.

use std::pin::Pin;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::gpu::{Caps, Class, Gpu};

/// A boxed future that may cross threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Seconds after which a submission counts as hung: a chunk of prefill of a model of several
/// billion parameters on a software driver takes minutes.
const PATIENCE: u64 = 900;

/// Every adapter of the instance.
pub(crate) async fn enumerate(instance: &wgpu::Instance) -> Vec<wgpu::Adapter> {
    instance.enumerate_adapters(wgpu::Backends::PRIMARY).await
}

/// Waits until the submission has run and its mappings have resolved.
pub(crate) async fn wait(gpu: &Gpu, what: &str, index: wgpu::SubmissionIndex) -> Result<()> {
    let timeout = Some(Duration::from_secs(PATIENCE));
    let poll = wgpu::PollType::Wait { submission_index: Some(index), timeout };
    match gpu.device().poll(poll) {
        Ok(_) => Ok(()),
        Err(wgpu::PollError::Timeout) => {
            gpu.check()?;
            Err(Error::Timeout { what: what.into(), seconds: PATIENCE })
        }
        Err(e) => {
            gpu.check()?;
            Err(Error::Gpu { what: what.into(), reason: e.to_string() })
        }
    }
}

/// Directives that the platform's WGSL front end demands. naga rejects `enable subgroups;`.
pub(crate) fn enable_directives(caps: Caps) -> String {
    if caps.f16 { "enable f16;\n".into() } else { String::new() }
}

/// A shader module of ours.
pub(crate) fn shader_module(device: &wgpu::Device, label: &str, text: &str) -> wgpu::ShaderModule {
    device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(label),
        source: wgpu::ShaderSource::Wgsl(text.into()),
    })
}

/// Refuses an allocation that a software adapter would take from memory that is not there: it
/// would be killed instead of told.
pub(crate) fn check_memory(gpu: &Gpu, what: &str, bytes: u64) -> Result<()> {
    if gpu.caps().class != Class::Software {
        return Ok(());
    }
    match available_memory() {
        Some(available) if bytes > available => {
            Err(Error::OutOfMemory { what: what.into(), bytes })
        }
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
