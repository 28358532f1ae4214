//! The model as a whole: from its file to the first token, prompts, and tokens behind them.

use std::time::Instant;

use anyhow::Result;
use mantissa::model::{GenerateOptions, Session};
use mantissa::platform;

use super::batch;
use super::clock::{Budget, median};
use super::report::{Decode, Model, Prefill};
use crate::args::{GpuArgs, ModelArgs};
use crate::engine::{Engine, open_gpu};

/// What is asked about the model.
#[derive(clap::Args)]
#[command(next_help_heading = "The model's measurements")]
pub struct ModelBench {
    /// Lengths of prompts
    #[arg(long, value_name = "TOKENS", value_delimiter = ',', default_values_t = [16, 128, 512, 2048])]
    pub prefill: Vec<usize>,

    /// Tokens before those that are decoded; their keys and values are not computed, but read
    #[arg(long, value_name = "TOKENS", value_delimiter = ',', default_values_t = [0, 512, 2048, 8000])]
    pub decode_at: Vec<usize>,

    /// Tokens that are decoded each time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub decode_tokens: u32,

    /// Steps that may be on the device at once; 0: as many as `run` has there by default
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [0])]
    pub in_flight: Vec<usize>,

    /// Sequences that are decoded in one step
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1, 2, 4, 8])]
    pub batch: Vec<usize>,
}

/// Tokens of the prompt whose first token is waited for.
const FIRST_PROMPT: usize = 16;

/// Some ids, the same each time.
pub fn tokens(vocabulary: usize, count: usize) -> Vec<u32> {
    let vocabulary = vocabulary.max(1);
    (0..count).map(|i| (i.wrapping_mul(7919) % vocabulary) as u32).collect()
}

/// Measures the model; what does not fit its context or the time is named in `left_out`.
pub async fn run(
    (model_args, gpu_args): (&ModelArgs, &GpuArgs),
    asked: &ModelBench,
    (rounds, budget): (u32, Budget),
    left_out: &mut Vec<String>,
) -> Result<Model> {
    let (engine, mut model) = start(model_args, gpu_args).await?;
    let decoded = asked.decode_tokens as usize + 1;
    let prompts = asked.prefill.iter().map(|&tokens| Item::new(Kind::Prefill(tokens), tokens));
    let gpu = engine.model.gpu();
    let contexts = asked.decode_at.iter().flat_map(|&context| {
        let item = move |&in_flight: &usize| {
            let options = GenerateOptions { in_flight, ..Default::default() };
            let in_flight = options.steps_ahead(gpu);
            Item::new(
                Kind::Decode { context, in_flight, tokens: decoded },
                context.saturating_add(decoded),
            )
        };
        asked.in_flight.iter().map(item)
    });
    let (mut items, too_long): (Vec<Item>, Vec<Item>) = prompts
        .chain(contexts)
        .partition(|item| item.room <= engine.model.config().context && item.room > 0);
    left_out.extend(too_long.iter().map(|item| format!("{}: the model's context", item.name())));
    let room = items.iter().map(|item| item.room).max().unwrap_or(1);
    let mut session = engine.session_of(room).await?;
    take_turns(&mut session, &mut items, (rounds, budget), left_out).await?;
    for item in items.iter().filter(|item| !item.seconds.is_empty()) {
        match item.kind {
            Kind::Prefill(tokens) => model.prefill.push(item.prefill(tokens)),
            Kind::Decode { context, in_flight, .. } => {
                model.decode.push(item.decode(&mut session, (context, in_flight)).await?);
            }
        }
    }
    // Its memory is needed no more.
    drop(session);
    let (asked, limits) = ((&asked.batch[..], asked.decode_tokens as usize), (rounds, budget));
    model.batch = batch::run(&engine, asked, limits, left_out).await?;
    Ok(model)
}

/// From nothing to the first token, once.
async fn start(args: &ModelArgs, gpu: &GpuArgs) -> Result<(Engine, Model)> {
    let clock = Instant::now();
    let gpu = open_gpu(gpu).await?;
    let open_seconds = clock.elapsed().as_secs_f64();
    let engine = Engine::load(&gpu, args, None).await?;
    let clock = Instant::now();
    let mut session = engine.model.session(&engine.options).await?;
    session.warm_up(&GenerateOptions::default(), &mut |_| {}).await?;
    let warm_up_seconds = clock.elapsed().as_secs_f64();
    let first_token_prompt = FIRST_PROMPT.min(session.context());
    let first_token_seconds = prompt(&mut session, first_token_prompt).await?;
    let checkpoint = engine.model.checkpoint();
    let name = args.model.as_ref().and_then(|path| path.file_name());
    let model = Model {
        name: name.map_or("the default model".into(), |n| n.to_string_lossy().into_owned()),
        file_bytes: checkpoint.tensors.iter().map(|t| t.bytes).sum(),
        weight_bytes: engine.model.bytes(),
        kv_cache: session.kv_cache().name().into(),
        chunk: session.chunk(),
        open_seconds,
        load_seconds: engine.load_seconds,
        warm_up_seconds,
        first_token_seconds,
        first_token_prompt,
        peak_memory_bytes: platform::peak_memory_bytes(),
        gpu_bytes: gpu.allocated_bytes(),
        memory_context: session.context(),
        ..Model::default()
    };
    Ok((engine, model))
}

/// One thing that is measured.
struct Item {
    kind: Kind,
    /// Tokens that the session must hold.
    room: usize,
    /// Of each round: a whole prompt, or a token.
    seconds: Vec<f64>,
    /// How long a round takes.
    cost: f64,
}

#[derive(Clone, Copy)]
enum Kind {
    Prefill(usize),
    Decode { context: usize, in_flight: usize, tokens: usize },
}

impl Item {
    fn new(kind: Kind, room: usize) -> Self {
        Self { kind, room, seconds: Vec::new(), cost: 0.0 }
    }

    fn name(&self) -> String {
        match self.kind {
            Kind::Prefill(tokens) => format!("prefill of {tokens}"),
            Kind::Decode { context, in_flight, .. } => {
                format!("decode at {context}, {in_flight} in flight")
            }
        }
    }

    /// Compiles what a round needs and guesses how long that takes.
    async fn warm_up(&mut self, session: &mut Session) -> Result<()> {
        let clock = Instant::now();
        let (part, whole) = match self.kind {
            Kind::Prefill(tokens) => {
                // A whole chunk, and the last one, which is shorter and has the output matrix.
                let chunk = session.chunk();
                let last = (tokens - 1) % chunk + 1;
                let part = if tokens > chunk { chunk + last } else { tokens };
                prompt(session, part).await?;
                (part, tokens)
            }
            Kind::Decode { context, in_flight, tokens } => {
                decode(session, context, in_flight, 2).await?;
                (2, tokens)
            }
        };
        self.cost = clock.elapsed().as_secs_f64() * whole as f64 / part as f64;
        Ok(())
    }

    async fn round(&mut self, session: &mut Session) -> Result<()> {
        let clock = Instant::now();
        self.seconds.push(match self.kind {
            Kind::Prefill(tokens) => prompt(session, tokens).await?,
            Kind::Decode { context, in_flight, tokens } => {
                decode(session, context, in_flight, tokens).await?
            }
        });
        self.cost = clock.elapsed().as_secs_f64();
        Ok(())
    }

    fn prefill(&self, tokens: usize) -> Prefill {
        let seconds = median(self.seconds.iter().copied());
        let tokens_per_second = tokens as f64 / seconds;
        Prefill { tokens, seconds, tokens_per_second, rounds: self.seconds.len() }
    }

    async fn decode(
        &self,
        session: &mut Session,
        (context, in_flight): (usize, usize),
    ) -> Result<Decode> {
        let seconds = median(self.seconds.iter().copied());
        let vocabulary = session.model().config().vocabulary;
        session.truncate(0);
        session.append_uncomputed(&tokens(vocabulary, context + 1))?;
        let (mut device, mut dispatches) = (Vec::new(), 0);
        for _ in 0..5 {
            let step = session.profile_rows(1).await?;
            device.extend(step.device_seconds);
            dispatches = step.dispatch_count;
        }
        let device = (!device.is_empty()).then(|| median(device));
        Ok(Decode {
            context,
            in_flight,
            seconds_per_token: seconds,
            tokens_per_second: 1.0 / seconds,
            dispatches_per_token: dispatches,
            device_seconds_per_token: device,
            host_seconds_per_token: device.map(|device| (seconds - device).max(0.0)),
            rounds: self.seconds.len(),
        })
    }
}

/// Rounds of all items, as many as the time allows; each that fits gets one.
async fn take_turns(
    session: &mut Session,
    items: &mut [Item],
    (rounds, budget): (u32, Budget),
    left_out: &mut Vec<String>,
) -> Result<()> {
    let mut per_token = 0.0;
    for item in items.iter_mut() {
        // What a token of the last item cost tells whether this one is worth beginning.
        let (Kind::Prefill(tokens) | Kind::Decode { tokens, .. }) = item.kind;
        if !budget.holds(per_token * tokens as f64) {
            left_out.push(format!("{}: the time", item.name()));
            continue;
        }
        item.warm_up(session).await?;
        item.round(session).await?;
        per_token = item.cost / tokens as f64;
    }
    for _ in 1..rounds {
        for item in items.iter_mut().filter(|item| !item.seconds.is_empty()) {
            if budget.holds(item.cost) {
                item.round(session).await?;
            }
        }
    }
    Ok(())
}

/// Seconds from a prompt to its first token.
async fn prompt(session: &mut Session, count: usize) -> Result<f64> {
    let prompt = tokens(session.model().config().vocabulary, count);
    session.truncate(0);
    let options = GenerateOptions { max_tokens: 1, ..Default::default() };
    let mut generation = session.generate(&prompt, options);
    generation.next().await?;
    Ok(generation.stats().prefill_seconds)
}

/// Seconds per token behind `context` others, the first of `count` left out.
async fn decode(
    session: &mut Session,
    context: usize,
    in_flight: usize,
    count: usize,
) -> Result<f64> {
    let ids = tokens(session.model().config().vocabulary, context + 1);
    session.truncate(0);
    session.append_uncomputed(&ids[..context])?;
    let options = GenerateOptions { max_tokens: count, in_flight, ..Default::default() };
    let mut generation = session.generate(&ids[context..], options);
    while generation.next().await?.is_some() {}
    let stats = generation.stats();
    Ok(stats.decode_seconds / stats.decoded_tokens.max(1) as f64)
}
