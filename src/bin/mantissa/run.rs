//! `mantissa run`: one prompt, one answer.

use anyhow::Result;
use mantissa::model::{GenerateOptions, LogProbs, Message, Model, Tokenizer};
use mantissa::platform;
use serde::Serialize;

use crate::args::{DecodingArgs, GpuArgs, ModelArgs, SamplingArgs};
use crate::engine::{Answer, Engine, answer};
use crate::{devices, interrupt, output};

const AFTER_HELP: &str = "\
The text goes to standard output as it is made; progress and a closing line with speeds go to \
standard error.

Ctrl-C stops the generation and keeps the text so far: --json still prints its object, and the \
exit code is 0. A second Ctrl-C, or one while the model loads, ends the program at once (130).";

/// The flags of `run`.
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// What to ask
    #[arg(long, value_name = "TEXT", required_unless_present = "list_adapters")]
    prompt: Option<String>,

    /// Continue the prompt as plain text, without the model's chat template
    #[arg(long, conflicts_with = "system")]
    raw: bool,

    /// Instructions that come before the prompt
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,

    /// Stop after this many tokens
    #[arg(long, value_name = "N", default_value_t = 256)]
    max_tokens: usize,

    /// Print one JSON object instead of text: text, token_ids, prompt_tokens, load_seconds,
    /// prefill_seconds, decode_seconds, adapter, driver, peak_memory_bytes; with --lookup,
    /// guessed_tokens and confirmed_tokens
    #[arg(long)]
    json: bool,

    /// With --json, how likely the model found each token, and the K likeliest in its place:
    /// natural logarithms of probabilities, before temperature, filters and penalties
    #[arg(long, value_name = "K", requires = "json")]
    logprobs: Option<usize>,

    /// Print the adapters of this machine and stop
    #[arg(long)]
    list_adapters: bool,

    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    decoding: DecodingArgs,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    gpu: GpuArgs,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    text: &'a str,
    token_ids: &'a [u32],
    prompt_tokens: usize,
    load_seconds: f64,
    prefill_seconds: f64,
    decode_seconds: f64,
    adapter: &'a str,
    driver: &'a str,
    peak_memory_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    guessed_tokens: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirmed_tokens: Option<usize>,
    /// One for each token.
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<Vec<TokenLogProb>>,
}

/// A token and how likely it was.
#[derive(Serialize)]
struct LogProb {
    id: u32,
    token: String,
    logprob: f32,
}

/// A token that was chosen, and the likeliest in its place.
#[derive(Serialize)]
struct TokenLogProb {
    #[serde(flatten)]
    chosen: LogProb,
    top: Vec<LogProb>,
}

/// Answers the prompt.
pub async fn run(args: Args) -> Result<()> {
    if args.list_adapters {
        return devices::print_table().await;
    }
    interrupt::install();
    let mut engine = Engine::open(&args.gpu, &args.model).await?;
    // Before the kernels are compiled: a prompt that does not work should say so at once.
    let tokens = prompt_tokens(&engine.model, &args)?;
    let options = GenerateOptions {
        max_tokens: args.max_tokens,
        sampler: args.sampling.options(),
        stop: engine.model.tokenizer()?.end_of_generation().to_vec(),
        log_probs: args.logprobs,
        ..Default::default()
    };
    let options = args.decoding.apply(options);
    let most = tokens.len().saturating_add(args.max_tokens);
    let mut session = engine.session(most, &options).await?;
    let tokenizer = engine.model.tokenizer()?;
    let json = args.json;
    let mut show = |piece: &str| if json { Ok(()) } else { output::print(piece) };
    let answer = answer(tokenizer, &mut session, &tokens, options, &mut show).await?;
    if json {
        let mut report = report(&engine, &answer);
        if args.decoding.lookup > 0 {
            report.guessed_tokens = Some(answer.stats.guessed_tokens);
            report.confirmed_tokens = Some(answer.stats.confirmed_tokens);
        }
        report.logprobs = args.logprobs.map(|_| log_probs(tokenizer, &answer)).transpose()?;
        return output::json(&report);
    }
    output::line("")?;
    output::note(answer.summary(&engine.adapter));
    Ok(())
}

fn prompt_tokens(model: &Model, args: &Args) -> Result<Vec<u32>> {
    let prompt = args.prompt.as_deref().unwrap_or_default();
    if args.raw {
        return Ok(model.tokenizer()?.encode(prompt, true, true)?);
    }
    let system = args.system.iter().map(Message::system);
    let messages: Vec<_> = system.chain([Message::user(prompt)]).collect();
    let text = model.chat_template()?.render(&messages, true)?;
    Ok(model.tokenizer()?.encode_chat(&text)?)
}

fn report<'a>(engine: &'a Engine, answer: &'a Answer) -> Report<'a> {
    Report {
        text: &answer.text,
        token_ids: &answer.ids,
        prompt_tokens: answer.stats.prompt_tokens,
        load_seconds: engine.load_seconds,
        prefill_seconds: answer.stats.prefill_seconds,
        decode_seconds: answer.stats.decode_seconds,
        adapter: &engine.adapter,
        driver: &engine.driver,
        peak_memory_bytes: platform::peak_memory_bytes(),
        guessed_tokens: None,
        confirmed_tokens: None,
        logprobs: None,
    }
}

fn log_probs(tokenizer: &Tokenizer, answer: &Answer) -> Result<Vec<TokenLogProb>> {
    let of = |(id, logprob): (u32, f32)| {
        Ok(LogProb { id, token: tokenizer.decode(&[id], true)?, logprob })
    };
    let token = |(&id, probs): (&u32, &LogProbs)| {
        let top = probs.top.iter().copied().map(of).collect::<Result<_>>()?;
        Ok(TokenLogProb { chosen: of((id, probs.chosen))?, top })
    };
    answer.ids.iter().zip(&answer.log_probs).map(token).collect()
}
