//! Finding an adapter, and what it can do.

use crate::error::{Error, Result};

/// Capabilities to leave unused although the adapter has them: to try every fallback on any
/// machine, or to get around a broken driver.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Without {
    /// Pretend that there is no shader-f16.
    pub f16: bool,
    /// Pretend that there are no subgroups.
    pub subgroups: bool,
    /// Ask for WebGPU's default limits (128 MiB bindings, 256 invocations) instead of the adapter's.
    pub limits: bool,
}

/// Which device to ask for.
#[derive(Debug, Clone, Default)]
pub struct GpuOptions {
    /// A part of the adapter's or driver's name, in any case. `None` takes the fastest kind there
    /// is: discrete, integrated, virtual, software.
    pub adapter: Option<String>,
    /// Capabilities to leave unused.
    pub without: Without,
    /// Bytes that all buffers together may take; more is [`Error::OutOfMemory`]. `None`: as many as
    /// the device gives.
    pub memory_limit: Option<u64>,
}

/// The kind of machine that a kernel's defaults are chosen for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// A GPU: many lanes, coalesced loads.
    Gpu,
    /// A CPU behind a software driver: few lanes, long loops, dear barriers.
    Software,
}

/// What `mantissa devices` shows of an adapter.
#[derive(Debug, Clone)]
pub struct AdapterSummary {
    /// Name, driver and kind.
    pub info: wgpu::AdapterInfo,
    /// Optional WebGPU features that it offers.
    pub features: wgpu::Features,
    /// Its limits.
    pub limits: wgpu::Limits,
}

/// Every adapter of this machine, best first.
pub async fn adapters() -> Vec<AdapterSummary> {
    let summary = |a: &wgpu::Adapter| AdapterSummary {
        info: a.get_info(),
        features: a.features(),
        limits: a.limits(),
    };
    enumerate(&instance()).await.iter().map(summary).collect()
}

/// The adapter that `options` ask for.
pub(super) async fn pick(options: &GpuOptions) -> Result<wgpu::Adapter> {
    let found = enumerate(&instance()).await;
    let names = found.iter().map(|a| a.get_info().name).collect::<Vec<_>>().join(", ");
    let matches = |a: &wgpu::Adapter| match &options.adapter {
        Some(wanted) => label(&a.get_info()).to_lowercase().contains(&wanted.to_lowercase()),
        None => true,
    };
    found.into_iter().find(matches).ok_or_else(|| Error::NoAdapter {
        wanted: options.adapter.clone().unwrap_or_else(|| "WebGPU".into()),
        found: if names.is_empty() { "none".into() } else { names },
    })
}

/// Everything that `--adapter` may name.
fn label(info: &wgpu::AdapterInfo) -> String {
    format!("{} {} {} {:?}", info.name, info.driver, info.driver_info, info.backend)
}

fn instance() -> wgpu::Instance {
    // Names and line numbers in shaders, which debug builds would have by themselves, make a tenth
    // of the time that compiling takes. WGPU_DEBUG=1 is for those who look into shaders.
    let flags = wgpu::InstanceFlags::default() - wgpu::InstanceFlags::DEBUG;
    wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::PRIMARY,
        flags: flags.with_env(),
        ..wgpu::InstanceDescriptor::new_without_display_handle_from_env()
    })
}

async fn enumerate(instance: &wgpu::Instance) -> Vec<wgpu::Adapter> {
    let mut found = crate::platform::enumerate(instance).await;
    found.sort_by_key(|a| rank(a.get_info().device_type));
    found
}

fn rank(kind: wgpu::DeviceType) -> u8 {
    match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}
