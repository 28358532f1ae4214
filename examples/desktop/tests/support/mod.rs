//! A window without a screen, and what the tests do to it.

pub mod server;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use desktop::app::App;
use desktop::device::Devices;
use desktop::settings::Settings;
use desktop::store::Store;
use eframe::egui::{self, Role, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use mantissa::model::Cancel;

/// A model of some kilobytes, with a tokenizer and a chat template; its answers mean nothing.
pub fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/models/tied_q4_1.gguf")
}

/// A folder of the test's own.
pub fn store() -> Store {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("window-{}-{number}", std::process::id());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // What an earlier process of this number has left.
    let _ = std::fs::remove_dir_all(&folder);
    Store::at(folder)
}

/// A file that only begins like a model.
pub fn broken_file(store: &Store) -> PathBuf {
    let path = store.folder().join("broken.gguf");
    std::fs::create_dir_all(store.folder()).expect("writable");
    std::fs::write(&path, b"GGUF\x03\0\0\0and nothing more").expect("writable");
    path
}

pub struct Window {
    pub harness: Harness<'static, Option<App>>,
    pub store: Store,
}

const PATIENCE: Duration = Duration::from_secs(120);

impl Window {
    /// A window as a user opens it, with what the store holds.
    pub fn open(store: Store) -> Self {
        Self::start(store, None)
    }

    pub fn with_model(store: Store) -> Self {
        let mut window = Self::start(store, Some(model()));
        window.until("the model", App::is_ready);
        window
    }

    /// A window with the tiny model, and settings that keep answers short.
    pub fn ready() -> Self {
        let mut window = Self::with_model(store());
        window.harness_settings(|s| s.sampling.max_tokens = 12);
        window
    }

    fn start(store: Store, model: Option<PathBuf>) -> Self {
        let own = store.clone();
        let mut model = Some(model);
        let show = move |ui: &mut egui::Ui, app: &mut Option<App>| {
            let new = || {
                let model = model.take().flatten();
                App::new(ui.ctx(), own.clone(), Devices::default(), model, false)
            };
            app.get_or_insert_with(new).show(ui);
        };
        // What the tiny model says is noise, in any script.
        let builder = Harness::builder().with_size(vec2(1160.0, 760.0)).allow_missing_glyphs();
        Self { harness: builder.build_ui_state(show, None), store }
    }

    pub fn app(&self) -> &App {
        self.harness.state().as_ref().expect("drawn once")
    }

    fn app_mut(&mut self) -> &mut App {
        self.harness.state_mut().as_mut().expect("drawn once")
    }

    pub fn harness_settings(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.app_mut().settings);
        self.step(2);
    }

    pub fn step(&mut self, frames: usize) {
        self.harness.run_steps(frames);
    }

    /// A frame, up to the triangles.
    pub fn draw(&mut self) {
        self.harness.step();
        let output = self.harness.output();
        let (shapes, scale) = (output.shapes.clone(), output.pixels_per_point);
        std::hint::black_box(self.harness.ctx.tessellate(shapes, scale));
    }

    /// Draws frames until it is so.
    pub fn until(&mut self, what: &str, so: impl Fn(&App) -> bool) {
        let start = Instant::now();
        self.step(1);
        while !so(self.app()) {
            assert!(start.elapsed() < PATIENCE, "{what} did not come: {:?}", self.labels());
            std::thread::sleep(Duration::from_millis(5));
            self.step(1);
        }
        self.step(2);
    }

    fn labels(&self) -> Vec<String> {
        let all = self.harness.get_all_by(|node| node.value().is_some() || node.label().is_some());
        all.map(|node| format!("{node:?}")).collect()
    }

    pub fn click(&mut self, label: &str) {
        self.harness.get_by_role_and_label(Role::Button, label).click();
        self.step(3);
    }

    pub fn type_text(&mut self, text: &str) {
        self.harness.event(egui::Event::Text(text.into()));
        self.step(2);
    }

    /// Writes into the box for messages.
    pub fn write(&mut self, text: &str) {
        self.harness.get_by_role_and_label(Role::MultilineTextInput, "Message").focus();
        self.step(2);
        self.type_text(text);
    }

    pub fn ask(&mut self, text: &str) {
        self.write(text);
        self.click("Send");
    }

    pub fn load(&mut self, path: PathBuf) {
        self.app_mut().load(Some(path));
    }

    /// The default model, fetched where it is not there.
    pub fn load_default(&mut self) {
        self.app_mut().load(None);
    }

    /// Closes it, waits for what is behind it, and gives the switch of what was going on.
    pub fn close(self) -> Option<Cancel> {
        let app = self.app();
        let loading = app.loading.as_ref().map(|loading| loading.cancel.clone());
        loading.or_else(|| app.answering.as_ref().map(|answering| answering.stop.clone()))
    }

    pub fn drop_file(&mut self, path: &Path) {
        self.step(1);
        let file: Arc<dyn egui::DroppedFile + Send + Sync> = Arc::new(Dropped(path.to_owned()));
        self.harness.input_mut().dropped_files.push(file);
        self.step(1);
    }
}

#[derive(Debug)]
struct Dropped(PathBuf);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        std::fs::read(&self.0).map_err(|e| e.to_string())
    }
}
