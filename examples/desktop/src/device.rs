//! Which GPU device the model runs on: the window's, or one of its own on the same instance.

use std::sync::{Arc, Mutex};

use eframe::egui_wgpu::{RenderState, WgpuConfiguration, WgpuSetup, WgpuSetupCreateNew};
use mantissa::gpu::{Gpu, GpuOptions, Without};
use mantissa::{Result, wgpu};

use crate::settings::Sharing;

/// What the window draws with.
#[derive(Clone)]
pub struct Window {
    adapter: wgpu::Adapter,
    adapters: Vec<wgpu::Adapter>,
    device: wgpu::Device,
    queue: wgpu::Queue,
    /// Set to have the window opened again.
    again: Arc<Mutex<bool>>,
}

impl Window {
    /// The device that eframe has made.
    pub fn of(state: &RenderState, again: Arc<Mutex<bool>>) -> Self {
        Self {
            adapter: state.adapter.clone(),
            adapters: state.available_adapters.clone(),
            device: state.device.clone(),
            queue: state.queue.clone(),
            again,
        }
    }
}

/// The devices that a model can have; without a window in tests.
#[derive(Clone, Default)]
pub struct Devices {
    /// What the window draws with.
    pub window: Option<Window>,
}

/// A device, and how it came to be.
#[derive(Clone)]
pub struct Opened {
    /// The device.
    pub gpu: Gpu,
    /// Whether the window draws with it, too.
    pub shared: bool,
    /// Why, in words.
    pub why: &'static str,
}

impl Devices {
    /// The names of all adapters, the window's first.
    pub fn names(&self) -> Vec<String> {
        let Some(window) = &self.window else {
            let adapters = pollster::block_on(mantissa::gpu::adapters());
            return adapters.into_iter().map(|a| a.info.name).collect();
        };
        let others = window.adapters.iter().map(|a| a.get_info()).filter(usable);
        let mut names = vec![window.adapter.get_info().name];
        for info in others {
            if !names.contains(&info.name) {
                names.push(info.name);
            }
        }
        names
    }

    /// Opens a device on the adapter of this name; an empty name is the window's adapter.
    ///
    /// # Errors
    /// Where there is no such adapter, or it gives no device.
    pub async fn open(&self, name: &str, sharing: Sharing) -> Result<Opened> {
        let Some(window) = &self.window else {
            let adapter = Some(name.to_owned()).filter(|name| !name.is_empty());
            let gpu = Gpu::request(&GpuOptions { adapter, ..Default::default() }).await?;
            return Ok(Opened { gpu, shared: false, why: "there is no window" });
        };
        let info = window.adapter.get_info();
        let why = match own_device(&info, name, sharing) {
            Some(why) => why,
            None => match Gpu::from_wgpu(window.device.clone(), window.queue.clone()).await {
                Ok(gpu) => return Ok(Opened { gpu, shared: true, why: "the adapter allows it" }),
                Err(_) => "the window's device lacks what kernels need",
            },
        };
        Ok(Opened { gpu: self.own(name).await?, shared: false, why })
    }

    /// A device of the model's own.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn own(&self, name: &str) -> Result<Gpu> {
        let named = |a: &&wgpu::Adapter| {
            let info = a.get_info();
            usable(&info) && info.name == name
        };
        let window = self.window.as_ref();
        let chosen = match window.and_then(|w| w.adapters.iter().find(named)) {
            Some(adapter) => Some(adapter),
            None => window.map(|w| &w.adapter).filter(|_| name.is_empty()),
        };
        match chosen {
            Some(adapter) => Gpu::request_on(adapter, Without::default()).await,
            None => {
                let adapter = Some(name.to_owned()).filter(|name| !name.is_empty());
                Gpu::request(&GpuOptions { adapter, ..Default::default() }).await
            }
        }
    }

    /// Has the window opened again once it is closed.
    pub fn reopen_window(&self) {
        if let Some(window) = &self.window
            && let Ok(mut again) = window.again.lock()
        {
            *again = true;
        }
    }
}

/// Kernels need compute shaders, which OpenGL drivers may lack.
fn usable(info: &wgpu::AdapterInfo) -> bool {
    info.backend != wgpu::Backend::Gl
}

/// Why the window's device will not do; `None` if it will.
fn own_device(window: &wgpu::AdapterInfo, name: &str, sharing: Sharing) -> Option<&'static str> {
    if !name.is_empty() && window.name != name {
        return Some("the window is on another adapter");
    }
    match sharing {
        Sharing::Never => Some("the settings say so"),
        // A queue works in order: a step of seconds would hold up every frame behind it.
        Sharing::Automatic if window.device_type == wgpu::DeviceType::Cpu => {
            Some("steps on a software driver are long, and would hold up the window")
        }
        Sharing::Automatic | Sharing::Always => None,
    }
}

/// A window whose device has all that kernels can use.
pub fn window_options() -> WgpuConfiguration {
    let mut setup = WgpuSetupCreateNew::without_display_handle();
    setup.instance_descriptor.backends = wgpu::Backends::PRIMARY;
    setup.device_descriptor = Arc::new(|adapter| Gpu::descriptor(adapter, Without::default()));
    WgpuConfiguration { wgpu_setup: WgpuSetup::CreateNew(setup), ..Default::default() }
}
