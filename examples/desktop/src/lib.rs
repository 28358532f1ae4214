//! A native chat program around Mantissa: what stands in each file.
//!
//! - [`worker`]: the thread that owns the model; commands go in, events come out.
//! - [`device`]: the window's GPU device, or one of the model's own.
//! - [`store`]: settings and conversations on disk.
//! - [`app`]: the state of the window, and what it does with commands and events.
//! - [`chat`], [`sidebar`], [`numbers`], [`settings_view`], [`model_bar`]: what it draws.

#![cfg(not(target_family = "wasm"))]

pub mod app;
pub mod chat;
pub mod device;
pub mod model_bar;
pub mod numbers;
pub mod settings;
pub mod settings_view;
pub mod sidebar;
pub mod store;
pub mod theme;
pub mod words;
pub mod worker;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use eframe::egui;

use app::App;
use device::{Devices, Window};
use store::Store;

/// Opens the window, and again where the GPU device that draws it was lost: conversations are on
/// disk, and the model, too, gets a new device.
///
/// # Errors
/// What the window system says, in words.
pub fn run(model: Option<PathBuf>) -> Result<(), String> {
    let store = Store::of_user()?;
    let again = Arc::new(Mutex::new(true));
    while std::mem::take(&mut *again.lock().map_err(|e| e.to_string())?) {
        open(&store, model.clone(), again.clone())?;
    }
    Ok(())
}

fn open(store: &Store, model: Option<PathBuf>, again: Arc<Mutex<bool>>) -> Result<(), String> {
    let viewport = egui::ViewportBuilder::default()
        .with_title("Mantissa")
        .with_app_id("mantissa-desktop")
        .with_inner_size([1160.0, 760.0])
        .with_min_inner_size([480.0, 360.0])
        .with_drag_and_drop(true);
    let options = eframe::NativeOptions {
        viewport,
        wgpu_options: device::window_options(),
        persist_window: false,
        ..Default::default()
    };
    let store = store.clone();
    let create: eframe::AppCreator<'_> = Box::new(move |creation| {
        let state = creation.wgpu_render_state.as_ref();
        let fetched = mantissa::download::cached().is_some();
        let window = state.map(|state| Window::of(state, again));
        let app = App::new(&creation.egui_ctx, store, Devices { window }, model, fetched);
        Ok(Box::new(app))
    });
    eframe::run_native("mantissa-desktop", options, create).map_err(|e| {
        format!("no window: {e}. Is there a display, and a Vulkan, Metal or DX12 driver?")
    })
}
