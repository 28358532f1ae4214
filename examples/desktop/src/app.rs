//! The window's state: what it knows, what it asks of the worker, and what it does with the answers.

use std::path::PathBuf;
use std::time::Instant;

use eframe::egui::{self, Key, KeyboardShortcut, Modifiers};
use egui_commonmark::CommonMarkCache;
use mantissa::model::{Cancel, Message, Progress};

use crate::device::Devices;
use crate::numbers::Numbers;
use crate::settings::Settings;
use crate::store::{Conversation, Store};
use crate::worker::{Command, Event, Load, Loaded, Question, Worker};
use crate::{chat, model_bar, numbers, settings_view, sidebar, theme};

/// Ctrl (or Command) and a key.
pub const fn shortcut(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::COMMAND, key)
}

/// What the model bar has to show while a model loads.
pub struct Loading {
    /// The model's name.
    pub name: String,
    /// What is being done, and how much of it, from 0 to 1.
    pub step: (&'static str, f32),
    /// Gives it up.
    pub cancel: Cancel,
}

/// An answer on its way.
pub struct Answering {
    /// The conversation that it belongs to.
    pub conversation: String,
    /// Ends it.
    pub stop: Cancel,
    /// When it was asked for.
    pub since: Instant,
    /// What is going on before the first token.
    pub waiting: Option<String>,
}

/// Everything in the window.
pub struct App {
    pub(crate) store: Store,
    /// What the user has chosen; saved when it differs from what is on disk.
    pub settings: Settings,
    saved: Settings,
    worker: Worker,
    pub(crate) devices: Devices,
    pub(crate) adapters: Option<Vec<String>>,
    /// All conversations, the newest first; never empty.
    pub conversations: Vec<Conversation>,
    /// The one that is shown.
    pub current: usize,
    /// The model that answers.
    pub model: Option<Loaded>,
    /// The device that draws the window, where a model shares it.
    drawn_with: Option<mantissa::Gpu>,
    /// A model on its way.
    pub loading: Option<Loading>,
    /// An answer on its way.
    pub answering: Option<Answering>,
    /// What went wrong, where it is to be shown.
    pub load_error: Option<(String, Load)>,
    pub(crate) answer_error: Option<String>,
    pub(crate) store_words: Vec<String>,
    /// Live numbers.
    pub numbers: Numbers,
    /// What is being written.
    pub draft: String,
    /// The question that is being edited, by its place in the conversation.
    pub(crate) editing: Option<(usize, String)>,
    pub(crate) focus_draft: bool,
    pub(crate) settings_open: bool,
    pub(crate) help_open: bool,
    pub(crate) path_text: String,
    pub(crate) markdown: CommonMarkCache,
    pub(crate) heights: chat::Heights,
    pub(crate) picked: Option<std::sync::mpsc::Receiver<Option<PathBuf>>>,
}

impl App {
    /// Reads what is on disk and loads `model`, or the last one, or, if it was fetched before, the
    /// default model.
    pub fn new(
        context: &egui::Context,
        store: Store,
        devices: Devices,
        model: Option<PathBuf>,
        fetched: bool,
    ) -> Self {
        let (settings, mut store_words) = store.settings();
        let (mut conversations, words) = store.conversations();
        store_words.extend(words);
        conversations.insert(0, Conversation::begin());
        theme::install(context);
        let wake = context.clone();
        let mut app = Self {
            worker: Worker::start(devices.clone(), move || wake.request_repaint()),
            saved: settings.clone(),
            settings,
            store,
            devices,
            adapters: None,
            conversations,
            current: 0,
            model: None,
            drawn_with: None,
            loading: None,
            answering: None,
            load_error: None,
            answer_error: None,
            store_words,
            numbers: Numbers::default(),
            draft: String::new(),
            editing: None,
            focus_draft: true,
            settings_open: false,
            help_open: false,
            path_text: String::new(),
            markdown: CommonMarkCache::default(),
            heights: chat::Heights::default(),
            picked: None,
        };
        let first = model.or_else(|| app.settings.model.clone());
        if first.is_some() || fetched {
            app.load(first);
        }
        app
    }

    /// Loads a file or folder, or the default model.
    pub fn load(&mut self, model: Option<PathBuf>) {
        self.start(Load::of(model, &self.settings));
    }

    pub(crate) fn start(&mut self, load: Load) {
        if let Some(loading) = &self.loading {
            loading.cancel.cancel();
        }
        self.stop();
        let cancel = Cancel::default();
        self.load_error = None;
        let step = ("Opening", 0.0);
        self.loading = Some(Loading { name: load.name(), step, cancel: cancel.clone() });
        self.worker.send(Command::Load(load, cancel));
    }

    /// Loads the model again with the settings that it was not loaded with.
    pub(crate) fn reload(&mut self) {
        let model = self.model.as_ref().map(|m| m.load.model.clone());
        self.load(model.unwrap_or_else(|| self.settings.model.clone()));
    }

    /// Shows an empty conversation.
    pub fn new_chat(&mut self) {
        self.editing = None;
        self.answer_error = None;
        self.focus_draft = true;
        if let Some(empty) = self.conversations.iter().position(|c| c.messages.is_empty()) {
            self.current = empty;
            return;
        }
        self.conversations.insert(0, Conversation::begin());
        self.current = 0;
    }

    pub(crate) fn open(&mut self, index: usize) {
        self.current = index.min(self.conversations.len() - 1);
        self.editing = None;
        self.answer_error = None;
        self.heights.clear();
        self.focus_draft = true;
    }

    pub(crate) fn delete(&mut self, index: usize) {
        let id = self.conversations[index].id.clone();
        if self.answering.as_ref().is_some_and(|a| a.conversation == id) {
            self.stop();
        }
        let done = self.store.delete(&id);
        self.note(done);
        self.conversations.remove(index);
        if self.conversations.is_empty() {
            self.conversations.push(Conversation::begin());
        }
        let before = usize::from(index < self.current);
        self.open(self.current - before);
    }

    /// The conversation that is shown.
    pub fn conversation(&self) -> &Conversation {
        &self.conversations[self.current]
    }

    /// Whether a question can be asked now.
    pub fn is_ready(&self) -> bool {
        self.model.is_some() && self.answering.is_none() && self.loading.is_none()
    }

    /// Whether a model is on its way.
    pub fn is_loading(&self) -> bool {
        self.loading.is_some()
    }

    /// Sends the draft.
    pub fn send(&mut self) {
        let text = self.draft.trim().to_owned();
        if text.is_empty() || !self.is_ready() {
            return;
        }
        self.draft.clear();
        self.conversations[self.current].messages.push(Message::user(text));
        self.ask();
    }

    /// Puts another question in the place of an old one and forgets what followed.
    pub fn resend(&mut self, index: usize, text: String) {
        let messages = &mut self.conversations[self.current].messages;
        messages.truncate(index);
        messages.push(Message::user(text));
        self.ask();
    }

    /// Asks the last question again.
    pub fn regenerate(&mut self) {
        let messages = &mut self.conversations[self.current].messages;
        let Some(last) = messages.iter().rposition(|m| m.role == "user") else { return };
        if self.is_ready() {
            self.conversations[self.current].messages.truncate(last + 1);
            self.ask();
        }
    }

    fn ask(&mut self) {
        self.answer_error = None;
        self.heights.clear();
        self.save_current();
        let system = self.settings.system_prompt.trim();
        let system = Some(Message::system(system)).filter(|m| !m.content.is_empty());
        let conversation = &self.conversations[self.current];
        let messages = system.into_iter().chain(conversation.messages.clone()).collect();
        let stop = Cancel::default();
        self.answering = Some(Answering {
            conversation: conversation.id.clone(),
            stop: stop.clone(),
            since: Instant::now(),
            waiting: Some("Reading…".into()),
        });
        self.numbers.begin();
        let sampling = &self.settings.sampling;
        let (sampler, max_tokens) = (sampling.options(), sampling.max_tokens);
        self.worker.send(Command::Answer(Question { messages, sampler, max_tokens }, stop));
    }

    /// Ends the answer that is on its way; what came of it stays.
    pub fn stop(&mut self) {
        if let Some(answering) = &self.answering {
            answering.stop.cancel();
        }
    }

    /// Measures where the time of a token goes.
    pub(crate) fn profile(&self) {
        self.worker.send(Command::Profile);
    }

    fn save_current(&mut self) {
        let saved = self.store.save(self.conversation());
        self.note(saved);
    }

    fn note(&mut self, done: Result<(), String>) {
        self.store_words.extend(done.err());
    }

    /// Takes in what the worker has to say.
    pub fn hear(&mut self) {
        while let Some(event) = self.worker.event() {
            self.take(event);
        }
        if let Some(path) = self.picked.as_ref().and_then(|picked| picked.try_recv().ok()) {
            self.picked = None;
            if path.is_some() {
                self.load(path);
            }
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Download(done, total) => self.progress("Downloading", done, total),
            Event::Loading(Progress { stage, done, total }) => match stage {
                mantissa::model::Stage::Upload => self.progress("Loading weights", done, total),
                mantissa::model::Stage::Compile => self.progress("Compiling", done, total),
                mantissa::model::Stage::Tune => self.progress("Measuring", done, total),
            },
            Event::Loaded(loaded) => {
                self.settings.loaded(loaded.load.model.clone());
                self.numbers.loaded();
                if loaded.device.shared {
                    self.drawn_with = Some(loaded.device.gpu.clone());
                }
                self.model = Some(*loaded);
                self.loading = None;
            }
            Event::NotLoaded(words) => {
                let load = Load::of(self.settings.model.clone(), &self.settings);
                self.load_error = words.map(|words| (words, load));
                self.loading = None;
            }
            Event::Prefill(done, total) => {
                self.wait(format!("Reading {done} of {total} tokens…"));
            }
            Event::Recovering => self.wait("The GPU device was lost. Opening it again…".into()),
            Event::Token(text, used) => self.token(&text, used),
            Event::Answered(stats, finish) => {
                self.numbers.end(stats, finish);
                self.finish();
                self.profile();
            }
            Event::NotAnswered(words) => {
                self.answer_error = Some(words);
                self.finish();
            }
            Event::Profile(profile) => self.numbers.profile = Some(profile),
        }
    }

    fn progress(&mut self, what: &'static str, done: u64, total: u64) {
        if let Some(loading) = &mut self.loading {
            loading.step = (what, done as f32 / total.max(1) as f32);
        }
    }

    fn wait(&mut self, words: String) {
        if let Some(answering) = &mut self.answering {
            answering.waiting = Some(words);
        }
    }

    fn token(&mut self, text: &str, used: usize) {
        let Some(answering) = &mut self.answering else { return };
        answering.waiting = None;
        self.numbers.token(used);
        let id = &answering.conversation;
        let Some(conversation) = self.conversations.iter_mut().find(|c| c.id == *id) else {
            return;
        };
        match conversation.messages.last_mut() {
            Some(last) if last.role == "assistant" => last.content.push_str(text),
            _ => conversation.messages.push(Message::assistant(text)),
        }
    }

    fn finish(&mut self) {
        let Some(answering) = self.answering.take() else { return };
        let conversation = self.conversations.iter().find(|c| c.id == answering.conversation);
        if let Some(conversation) = conversation {
            let saved = self.store.save(conversation);
            self.note(saved);
        }
        self.focus_draft = true;
    }

    /// A frame: what happened, what the keys say, and everything drawn.
    pub fn show(&mut self, ui: &mut egui::Ui) {
        self.hear();
        self.keys(ui);
        self.drops(ui);
        theme::apply(ui.ctx(), &self.settings);
        model_bar::show(self, ui);
        sidebar::show(self, ui);
        if self.settings.numbers {
            numbers::show(self, ui);
        }
        chat::show(self, ui);
        settings_view::show(self, ui.ctx());
        settings_view::help(self, ui.ctx());
        self.keep();
    }

    /// Writes the settings where they have changed.
    fn keep(&mut self) {
        if self.settings != self.saved {
            self.saved = self.settings.clone();
            let saved = self.store.save_settings(&self.settings);
            self.note(saved);
        }
    }

    fn keys(&mut self, ui: &egui::Ui) {
        let pressed = |key| ui.input_mut(|i| i.consume_shortcut(&shortcut(key)));
        if pressed(Key::N) {
            self.new_chat();
        }
        if pressed(Key::O) {
            self.pick_file();
        }
        if pressed(Key::R) {
            self.regenerate();
        }
        if pressed(Key::B) {
            self.settings.numbers = !self.settings.numbers;
        }
        if pressed(Key::Comma) {
            self.settings_open = !self.settings_open;
        }
        if pressed(Key::Q) {
            ui.ctx().send_viewport_cmd(egui::ViewportCommand::Close);
        }
        if pressed(Key::L) {
            self.focus_draft = true;
        }
        if ui.input_mut(|i| i.consume_key(Modifiers::NONE, Key::F1)) {
            self.help_open = !self.help_open;
        }
        if ui.input_mut(|i| i.consume_key(Modifiers::NONE, Key::Escape)) {
            self.escape();
        }
    }

    /// Leaves the innermost thing that can be left.
    fn escape(&mut self) {
        if self.help_open || self.settings_open {
            (self.help_open, self.settings_open) = (false, false);
        } else if self.editing.take().is_none() {
            self.stop();
        }
    }

    fn drops(&mut self, ui: &egui::Ui) {
        let path = |i: &egui::InputState| Some(i.raw.dropped_files.first()?.path().to_owned());
        let dropped = ui.input(path);
        if dropped.is_some() {
            self.load(dropped);
        }
    }

    /// Asks for a model's file; the window goes on meanwhile.
    pub(crate) fn pick_file(&mut self) {
        let models = ["gguf", "safetensors"];
        self.pick(rfd::AsyncFileDialog::new().add_filter("Models", &models).pick_file());
    }

    /// Asks for a folder of safetensors.
    pub(crate) fn pick_folder(&mut self) {
        self.pick(rfd::AsyncFileDialog::new().pick_folder());
    }

    fn pick(&mut self, dialog: impl Future<Output = Option<rfd::FileHandle>> + Send + 'static) {
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let picked = pollster::block_on(dialog);
            // The window may be closed by now.
            let _ = tell.send(picked.map(|file| file.path().to_owned()));
        });
        self.picked = Some(told);
    }

    /// Opens the window anew where the device that draws it was lost.
    fn check_window(&self, context: &egui::Context) {
        let lost = self.drawn_with.as_ref().is_some_and(|gpu| gpu.check().is_err());
        if lost && self.answering.is_none() {
            self.devices.reopen_window();
            context.send_viewport_cmd(egui::ViewportCommand::Close);
        }
    }
}

impl eframe::App for App {
    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        self.show(ui);
        self.check_window(ui.ctx());
    }
}

impl Drop for App {
    /// Closing the window ends what runs, so that the worker's thread ends, too; what came of an
    /// answer stays.
    fn drop(&mut self) {
        self.stop();
        self.finish();
        if let Some(loading) = &self.loading {
            loading.cancel.cancel();
        }
    }
}
