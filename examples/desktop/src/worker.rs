//! The thread that owns the model. The window sends commands and never waits; what happens comes
//! back as events.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use mantissa::download::{self, Progress as Download};
use mantissa::model::{
    Cancel, Finish, GenerateOptions, LoadOptions, Message, Model, Progress, SamplerOptions,
    Session, SessionMemory, SessionOptions, Stats, StepProfile,
};
use mantissa::{Error, Gpu};
use pollster::block_on;

use crate::device::{Devices, Opened};
use crate::settings::{Settings, Sharing};
use crate::words;

/// What the window asks for.
pub enum Command {
    /// Load a model; the one that is there stays until the new one is ready.
    Load(Load, Cancel),
    /// Answer a conversation.
    Answer(Question, Cancel),
    /// Take the last token's step apart.
    Profile,
}

/// A model and where to put it.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// The file or folder; `None`: the default model.
    pub model: Option<PathBuf>,
    /// The adapter's name; empty: the window's.
    pub adapter: String,
    /// Whether the window's device may be used.
    pub sharing: Sharing,
    /// Tokens that a conversation can hold.
    pub context: usize,
    /// The number format of keys and values.
    pub kv_cache: String,
}

impl Load {
    /// A model, with the settings' device and context.
    pub fn of(model: Option<PathBuf>, settings: &Settings) -> Self {
        let Settings { adapter, sharing, context, kv_cache, .. } = settings.clone();
        Self { model, adapter, sharing, context, kv_cache }
    }

    /// The model's name for people.
    pub fn name(&self) -> String {
        let file = self.model.as_ref().map(|path| path.file_name().unwrap_or(path.as_os_str()));
        file.map_or("SmolLM2-135M-Instruct".into(), |name| name.to_string_lossy().into_owned())
    }
}

/// A conversation that waits for an answer.
pub struct Question {
    /// All messages, the system's first.
    pub messages: Vec<Message>,
    /// How tokens are chosen.
    pub sampler: SamplerOptions,
    /// The longest answer.
    pub max_tokens: usize,
}

/// What happened.
pub enum Event {
    /// Bytes of the default model that are there, of all.
    Download(u64, u64),
    /// How far loading is.
    Loading(Progress),
    /// The model is ready.
    Loaded(Box<Loaded>),
    /// It is not; what was there before stays. Without words: the user gave it up.
    NotLoaded(Option<String>),
    /// Tokens of the prompt that are processed, of all.
    Prefill(usize, usize),
    /// A token: its text, if it completes some, and the tokens in the context.
    Token(String, usize),
    /// The device was lost and is opened again.
    Recovering,
    /// The answer is complete.
    Answered(Stats, Option<Finish>),
    /// It is not; what came of it stays.
    NotAnswered(String),
    /// Where the time of a token goes.
    Profile(StepProfile),
}

/// A model that is ready.
#[derive(Clone)]
pub struct Loaded {
    /// What was asked for.
    pub load: Load,
    /// The device.
    pub device: Opened,
    /// Bytes of weights on the device.
    pub weights: u64,
    /// What the session takes beside them.
    pub memory: SessionMemory,
    /// Tokens that the context can hold.
    pub context: usize,
}

/// The window's end of the thread.
pub struct Worker {
    commands: Option<Sender<Command>>,
    events: Receiver<Event>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread; `wake` is called after each event.
    pub fn start(devices: Devices, wake: impl Fn() + Send + Sync + 'static) -> Self {
        let (commands, inbox) = channel();
        let (outbox, events) = channel();
        let tell = Tell(Arc::new(move |event| {
            // Nobody listens once the window is closed.
            let _ = outbox.send(event);
            wake();
        }));
        let thread = std::thread::spawn(move || {
            window_first();
            let mut desk = Desk { devices, tell, engine: None };
            while let Ok(command) = inbox.recv() {
                desk.obey(command);
            }
        });
        Self { commands: Some(commands), events, thread: Some(thread) }
    }

    /// Sends a command.
    pub fn send(&self, command: Command) {
        if let Some(commands) = &self.commands {
            // The thread lives as long as this sender.
            let _ = commands.send(command);
        }
    }

    /// The next event, if there is one.
    pub fn event(&self) -> Option<Event> {
        self.events.try_recv().ok()
    }
}

impl Drop for Worker {
    /// Whoever drops it has cancelled what runs; the device is idle when the thread has ended.
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            // A panic in the thread was printed there.
            let _ = thread.join();
        }
    }
}

/// Lets the window go first where both need the processor, as on a software driver, whose threads
/// inherit this.
#[cfg(target_os = "linux")]
fn window_first() {
    // Not being allowed to is no failure.
    let _ = rustix::process::nice(5);
}

#[cfg(not(target_os = "linux"))]
fn window_first() {}

#[derive(Clone)]
struct Tell(Arc<dyn Fn(Event) + Send + Sync>);

impl Tell {
    fn say(&self, event: Event) {
        (self.0)(event);
    }
}

/// What the thread holds.
struct Desk {
    devices: Devices,
    tell: Tell,
    engine: Option<Engine>,
}

/// A model with its conversation on the device.
struct Engine {
    load: Load,
    device: Opened,
    session: Session,
}

impl Desk {
    fn obey(&mut self, command: Command) {
        match command {
            Command::Load(load, cancel) => {
                let event = match self.load(load, &cancel) {
                    Ok(loaded) => Event::Loaded(Box::new(loaded)),
                    Err(_) if cancel.is_cancelled() => Event::NotLoaded(None),
                    Err(words) => Event::NotLoaded(Some(words)),
                };
                self.tell.say(event);
            }
            Command::Answer(question, stop) => {
                let event = match block_on(self.answer(&question, &stop)) {
                    Ok((stats, finish)) => Event::Answered(stats, finish),
                    Err(error) => Event::NotAnswered(words::of(&error)),
                };
                self.tell.say(event);
            }
            Command::Profile => {
                let Some(engine) = &mut self.engine else { return };
                match block_on(engine.session.profile_step()) {
                    Ok(profile) => self.tell.say(Event::Profile(profile)),
                    Err(error) => log::warn!("{error}"),
                }
            }
        }
    }

    fn load(&mut self, load: Load, cancel: &Cancel) -> Result<Loaded, String> {
        let path = match &load.model {
            Some(path) => path.clone(),
            None => download::default_model(cancel, &mut |progress| self.downloads(progress))
                .map_err(|e| e.to_string())?,
        };
        let engine = block_on(self.open(load, path, cancel)).map_err(|e| words::of(&e))?;
        let loaded = engine.loaded();
        self.engine = Some(engine);
        Ok(loaded)
    }

    fn downloads(&self, progress: Download) {
        if let Download::Package { done, total } | Download::Hub { done, total } = progress {
            self.tell.say(Event::Download(done, total));
        }
    }

    async fn open(&self, load: Load, path: PathBuf, cancel: &Cancel) -> Result<Engine, Error> {
        let device = self.device(&load).await?;
        let files = mantissa::platform::open_model(path)?;
        let tell = self.tell.clone();
        let mut progress = move |progress| tell.say(Event::Loading(progress));
        let options = LoadOptions { cancel: Some(cancel), recipe: None };
        let model = Model::load_with(&device.gpu, files, options, &mut progress).await?;
        // Without these there is no chat; better known now than at the first question.
        model.tokenizer()?;
        model.chat_template()?;
        let context = Some(load.context.min(model.config().context));
        let mut session = model.session(&session_options(context, &load)?).await?;
        // Questions draw, by default.
        let drawing = GenerateOptions { sampler: SamplerOptions::default(), ..Default::default() };
        cancel.during("loading", session.warm_up(&drawing, &mut progress)).await?;
        Ok(Engine { load, device, session })
    }

    /// The device that is there, if it is the one that is wanted.
    async fn device(&self, load: &Load) -> Result<Opened, Error> {
        if let Some(Engine { load: old, device, .. }) = &self.engine
            && (&old.adapter, old.sharing) == (&load.adapter, load.sharing)
            && device.gpu.check().is_ok()
        {
            return Ok(device.clone());
        }
        self.devices.open(&load.adapter, load.sharing).await
    }

    /// Answers, on a new device where the old one is lost on the way.
    async fn answer(
        &mut self,
        question: &Question,
        stop: &Cancel,
    ) -> Result<(Stats, Option<Finish>), Error> {
        let Some(engine) = &mut self.engine else {
            return Err(Error::config("model", "none is loaded; choose one above"));
        };
        let mut new = engine.prompt(&question.messages)?;
        let mut made = 0;
        loop {
            match engine.generate(&new, question, &mut made, stop, &self.tell).await {
                Err(Error::DeviceLost { .. }) => {
                    self.tell.say(Event::Recovering);
                    engine.recover(&self.devices, &self.tell).await?;
                    self.tell.say(Event::Loaded(Box::new(engine.loaded())));
                    new.clear();
                }
                other => return other,
            }
        }
    }
}

impl Engine {
    /// What of the conversation the device does not hold yet.
    fn prompt(&mut self, messages: &[Message]) -> Result<Vec<u32>, Error> {
        let model = self.session.model();
        let text = model.chat_template()?.render(messages, true)?;
        let tokens = model.tokenizer()?.encode_chat(&text)?;
        Ok(self.session.keep_prefix(&tokens).to_vec())
    }

    async fn generate(
        &mut self,
        new: &[u32],
        question: &Question,
        made: &mut usize,
        stop: &Cancel,
        tell: &Tell,
    ) -> Result<(Stats, Option<Finish>), Error> {
        let model = self.session.model().clone();
        let tokenizer = model.tokenizer()?;
        let mut text = tokenizer.stream();
        let options = GenerateOptions {
            max_tokens: question.max_tokens - *made,
            sampler: question.sampler.clone(),
            stop: tokenizer.end_of_generation().to_vec(),
            ..Default::default()
        };
        let (kept, mut fed) = (self.session.tokens().len(), 0);
        let chunk = chunk(&self.load);
        let mut generation = self.session.generate(new, options);
        while !stop.is_cancelled() && !generation.prepare().await? {
            fed += chunk;
            tell.say(Event::Prefill(fed.min(new.len()), new.len()));
        }
        let mut used = kept + new.len();
        while !stop.is_cancelled() {
            let Some(id) = generation.next().await? else { break };
            (*made, used) = (*made + 1, used + 1);
            tell.say(Event::Token(text.push(id)?.unwrap_or_default(), used));
        }
        if let Some(rest) = text.finish() {
            tell.say(Event::Token(rest, used));
        }
        Ok((generation.stats(), generation.finish()))
    }

    /// A lost device may be the window's, so the new one is the model's own.
    async fn recover(&mut self, devices: &Devices, tell: &Tell) -> Result<(), Error> {
        let gpu: Gpu = devices.own(&self.load.adapter).await?;
        let mut progress = |progress| tell.say(Event::Loading(progress));
        self.session.rebuild(&gpu, &mut progress).await?;
        self.device = Opened { gpu, shared: false, why: "the last one was lost" };
        Ok(())
    }

    fn loaded(&self) -> Loaded {
        Loaded {
            load: self.load.clone(),
            device: self.device.clone(),
            weights: self.session.model().bytes(),
            memory: self.session.memory(),
            context: self.session.context(),
        }
    }
}

/// Short chunks, so that a stop is obeyed soon and, on a shared device, frames come in between.
fn chunk(_load: &Load) -> usize {
    32
}

fn session_options(context: Option<usize>, load: &Load) -> Result<SessionOptions, Error> {
    let kv_cache = mantissa::formats::by_name(&load.kv_cache)?;
    Ok(SessionOptions { context, chunk: chunk(load), kv_cache, ..Default::default() })
}
