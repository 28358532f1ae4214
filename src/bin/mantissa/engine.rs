//! A model on a device, as the subcommands need it.

use std::time::Instant;

use anyhow::Result;
use indicatif::ProgressBar;
use mantissa::Gpu;
use mantissa::model::tokenizer::Tokenizer;
use mantissa::model::{GenerateOptions, Model, Progress, Session, SessionOptions, Stage};

use crate::args::{GpuArgs, ModelArgs};
use crate::{default_model, interrupt, output};

/// A loaded model and what is to be said about it.
pub struct Engine {
    pub model: Model,
    /// The adapter's name.
    pub adapter: String,
    /// The driver's name and version.
    pub driver: String,
    /// From opening the file to a model that is ready, the default model's download left out.
    pub load_seconds: f64,
    options: SessionOptions,
}

impl Engine {
    /// Opens the device and the model, with a progress bar.
    pub async fn open(gpu: &GpuArgs, model: &ModelArgs) -> Result<Self> {
        let path = match &model.model {
            Some(path) => path.clone(),
            None => default_model::path()?,
        };
        let start = Instant::now();
        let gpu = open_gpu(gpu).await?;
        let source = mantissa::platform::open(&path)?;
        let mut bar = LoadingBar::default();
        let loaded = Model::load(&gpu, source, &mut |progress| bar.show(&progress)).await;
        bar.clear();
        let options = SessionOptions {
            context: model.context.map(Into::into),
            chunk: model.chunk.into(),
        };
        Ok(Self {
            model: loaded?,
            adapter: gpu.info().name.clone(),
            driver: driver(gpu.info()),
            load_seconds: start.elapsed().as_secs_f64(),
            options,
        })
    }

    /// An empty context.
    pub async fn session(&self) -> Result<Session> {
        Ok(self.model.session(&self.options).await?)
    }

    /// An empty context of this many tokens, unless the user has said another number.
    pub async fn session_of(&self, context: usize) -> Result<Session> {
        let context = Some(self.options.context.unwrap_or(context));
        Ok(self.model.session(&SessionOptions { context, ..self.options.clone() }).await?)
    }

    /// The model's tokenizer.
    pub fn tokenizer(&self) -> Result<&Tokenizer> {
        Ok(self.model.tokenizer()?)
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
    pub text: String,
    pub prompt_tokens: usize,
    /// To the first token.
    pub prefill_seconds: f64,
    /// From the first token to the last.
    pub decode_seconds: f64,
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
    let start = Instant::now();
    let mut first = None;
    let mut stream = tokenizer.stream();
    let (mut ids, mut text) = (Vec::new(), String::new());
    let mut show = |piece: Option<String>| match piece {
        Some(piece) => {
            text.push_str(&piece);
            show(&piece)
        }
        None => Ok(()),
    };
    let mut generation = session.generate(tokens, options);
    while !running.should_stop() {
        let Some(id) = generation.next().await? else { break };
        first.get_or_insert_with(Instant::now);
        ids.push(id);
        show(stream.push(id)?)?;
    }
    let end = Instant::now();
    let first = first.unwrap_or(end);
    show(stream.finish())?;
    Ok(Answer {
        text,
        prompt_tokens: tokens.len(),
        prefill_seconds: (first - start).as_secs_f64(),
        decode_seconds: (end - first).as_secs_f64(),
        ids,
    })
}

impl Answer {
    /// The closing line.
    pub fn summary(&self, adapter: &str) -> String {
        // The first token belongs to the prefill.
        let decoded = self.ids.len().saturating_sub(1);
        format!(
            "{} prompt tokens at {:.1} tok/s, {} tokens at {:.1} tok/s, on {adapter}",
            self.prompt_tokens,
            rate(self.prompt_tokens, self.prefill_seconds),
            self.ids.len(),
            rate(decoded, self.decode_seconds),
        )
    }
}

fn rate(count: usize, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

/// Uploading, then compiling: a bar each.
#[derive(Default)]
struct LoadingBar(Option<(Stage, ProgressBar)>);

impl LoadingBar {
    fn show(&mut self, progress: &Progress) {
        if self.0.as_ref().is_none_or(|(stage, _)| *stage != progress.stage) {
            self.clear();
            let bar = match progress.stage {
                Stage::Upload => output::byte_bar(progress.total, "loading  "),
                _ => output::count_bar(progress.total, "compiling"),
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
