//! A model on a device, as the subcommands need it.

use std::time::Instant;

use anyhow::Result;
use indicatif::ProgressBar;
use mantissa::Gpu;
use mantissa::model::{
    Activations, GenerateOptions, LogProbs, Model, Progress, Session, SessionOptions, Stage, Stats,
    Tokenizer,
};
use mantissa::quantize::Recipe;

use crate::args::{GpuArgs, ModelArgs};
use crate::{default_model, interrupt, output};

/// A loaded model and what is to be said about it.
pub struct Engine {
    pub model: Model,
    /// The adapter's name.
    pub adapter: String,
    /// The driver's name and version.
    pub driver: String,
    /// Until the model is ready, kernels compiled; the default model's download is left out.
    pub load_seconds: f64,
    /// What the user says of sessions.
    pub options: SessionOptions,
}

impl Engine {
    /// Opens the device and the model, with a progress bar.
    pub async fn open(gpu: &GpuArgs, model: &ModelArgs) -> Result<Self> {
        let start = Instant::now();
        let gpu = open_gpu(gpu).await?;
        let opening = start.elapsed().as_secs_f64();
        let mut engine = Self::load(&gpu, model, None).await?;
        engine.load_seconds += opening;
        Ok(engine)
    }

    /// Opens the model on a device, in a recipe's formats where there is one.
    pub async fn load(gpu: &Gpu, model: &ModelArgs, recipe: Option<&Recipe>) -> Result<Self> {
        let path = match &model.model {
            Some(path) => path.clone(),
            None => default_model::path()?,
        };
        let start = Instant::now();
        if !model.no_tune {
            crate::tune::apply(gpu);
        }
        let files = mantissa::platform::open_model(&path)?;
        let mut bar = LoadingBar::default();
        let model_options = SessionOptions {
            context: model.context.map(Into::into),
            chunk: model.chunk.into(),
            kv_cache: model.kv_cache,
            activations: model.activations.into(),
        };
        let model = Model::load_as(gpu, files, recipe, &mut |progress| bar.show(progress)).await?;
        Ok(Self {
            model,
            adapter: gpu.info().name.clone(),
            driver: driver(gpu.info()),
            load_seconds: start.elapsed().as_secs_f64(),
            options: model_options,
        })
    }

    /// An empty conversation of at least `tokens` tokens, where the model is made for so many, that
    /// is ready to answer by these options.
    pub async fn session(&mut self, tokens: usize, options: &GenerateOptions) -> Result<Session> {
        let start = Instant::now();
        let mut session = self.session_of(tokens).await?;
        let mut bar = LoadingBar::default();
        session.warm_up(options, &mut |progress| bar.show(progress)).await?;
        self.load_seconds += start.elapsed().as_secs_f64();
        Ok(session)
    }

    /// An empty context of this many tokens and the few to the next multiple of 256, but no more
    /// than the model is made for; or as many as the user has said.
    pub async fn session_of(&self, tokens: usize) -> Result<Session> {
        let longest = self.model.config().context;
        let default = tokens.clamp(1, longest).next_multiple_of(256).min(longest);
        let context = Some(self.options.context.unwrap_or(default));
        Ok(self.model.session(&SessionOptions { context, ..self.options.clone() }).await?)
    }

    /// Rounds activations in the sessions to come, or does not.
    pub fn set_activations(&mut self, activations: Activations) {
        self.options.activations = activations;
    }

    /// Puts a session whose device was lost on a new one; its tokens stay.
    pub async fn rebuild(&mut self, gpu: &GpuArgs, session: &mut Session) -> Result<()> {
        let gpu = open_gpu(gpu).await?;
        let mut bar = LoadingBar::default();
        session.rebuild(&gpu, &mut |progress| bar.show(progress)).await?;
        self.model = session.model().clone();
        Ok(())
    }
}

/// The device alone.
pub async fn open_gpu(args: &GpuArgs) -> Result<Gpu> {
    Ok(Gpu::request(&args.options()).await?)
}

/// The driver's name and version, in one line.
pub fn driver(info: &wgpu::AdapterInfo) -> String {
    format!("{} {}", info.driver, info.driver_info).trim().to_owned()
}

/// One answer and how long it took.
pub struct Answer {
    pub ids: Vec<u32>,
    /// One for each id, where they were asked for.
    pub log_probs: Vec<LogProbs>,
    pub text: String,
    pub stats: Stats,
}

/// Processes `tokens` and generates, handing text to `show` as it comes, until the model ends its
/// turn, `options.max_tokens` are there, or the user presses Ctrl-C.
pub async fn answer(
    tokenizer: &Tokenizer,
    session: &mut Session,
    tokens: &[u32],
    options: GenerateOptions,
    show: &mut dyn FnMut(&str) -> std::io::Result<()>,
) -> Result<Answer> {
    let running = interrupt::Generating::begin();
    let mut stream = tokenizer.stream();
    let (mut ids, mut log_probs, mut text) = (Vec::new(), Vec::new(), String::new());
    let mut show = |piece: Option<String>| match piece {
        Some(piece) => {
            text.push_str(&piece);
            show(&piece)
        }
        None => Ok(()),
    };
    let mut generation = session.generate(tokens, options);
    while !running.should_stop() && !generation.prepare().await? {}
    while !running.should_stop() {
        let Some(id) = generation.next().await? else { break };
        ids.push(id);
        log_probs.extend(generation.log_probs().cloned());
        show(stream.push(id)?)?;
    }
    show(stream.finish())?;
    Ok(Answer { ids, log_probs, text, stats: generation.stats() })
}

impl Answer {
    /// The closing line.
    pub fn summary(&self, adapter: &str) -> String {
        let Stats { prompt_tokens, prefill_seconds, decoded_tokens, decode_seconds, .. } =
            self.stats;
        format!(
            "{prompt_tokens} prompt tokens at {:.1} tok/s, {} tokens at {:.1} tok/s, on {adapter}",
            rate(prompt_tokens, prefill_seconds),
            self.ids.len(),
            rate(decoded_tokens, decode_seconds),
        )
    }
}

fn rate(count: usize, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

/// Uploading, then compiling: a bar each.
#[derive(Default)]
pub struct LoadingBar(Option<(Stage, ProgressBar)>);

impl LoadingBar {
    /// Shows how far it is.
    pub fn show(&mut self, progress: Progress) {
        if self.0.as_ref().is_none_or(|(stage, _)| *stage != progress.stage) {
            self.clear();
            let bar = match progress.stage {
                Stage::Upload => output::byte_bar(progress.total, "loading  "),
                Stage::Compile => output::count_bar(progress.total, "compiling"),
                Stage::Tune => output::count_bar(progress.total, "tuning   "),
            };
            self.0 = Some((progress.stage, bar));
        }
        if let Some((_, bar)) = &self.0 {
            bar.set_length(progress.total);
            bar.set_position(progress.done);
        }
    }

    fn clear(&mut self) {
        if let Some((_, bar)) = self.0.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for LoadingBar {
    fn drop(&mut self) {
        self.clear();
    }
}
