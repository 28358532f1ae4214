//! `mantissa perplexity`: how well the model predicts a text.
//!
//! How the text is cut is `windows`' business.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use serde::Serialize;

use crate::args::{GpuArgs, ModelArgs};
use crate::engine::Engine;
use crate::output;
use crate::windows::{CONTEXT, Sum, Text, negative_log_likelihood};

/// The flags of `perplexity`.
#[derive(clap::Args)]
pub struct Args {
    /// A text in UTF-8
    #[arg(long, value_name = "TEXT")]
    file: PathBuf,

    /// Tokens that the window moves on by [default: half of --context, which is 512 here]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    stride: Option<u32>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    gpu: GpuArgs,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    perplexity: f64,
    /// Mean negative log-likelihood per token, in nats, and its standard error.
    nll: f64,
    nll_standard_error: f64,
    tokens: usize,
    scored_tokens: usize,
    windows: usize,
    context: usize,
    stride: usize,
    seconds: f64,
    adapter: &'a str,
    driver: &'a str,
}

/// Scores the text.
pub async fn run(args: Args) -> Result<()> {
    let text = Text::read(&args.file)?;
    let engine = Engine::open(&args.gpu, &args.model).await?;
    let text = text.tokens(engine.model.tokenizer()?, usize::MAX)?;
    let mut session = engine.session_of(CONTEXT).await?;
    let context = session.context();
    let (windows, stride) = text.windows(context, args.stride)?;

    let start = Instant::now();
    let bar = output::count_bar(windows.len() as u64, "perplexity");
    let mut sum = Sum::default();
    for window in &windows {
        let input = text.input(window);
        session.truncate(0);
        session
            .logits(&input, &mut |position, row| {
                if let Some(next) = text.scored(window, position) {
                    sum.add(negative_log_likelihood(row, next));
                }
            })
            .await?;
        bar.inc(1);
        bar.set_message(format!("{:.4}", sum.mean().exp()));
    }
    bar.finish_and_clear();
    let report = Report {
        perplexity: sum.mean().exp(),
        nll: sum.mean(),
        nll_standard_error: sum.standard_error(),
        tokens: text.len(),
        scored_tokens: sum.count,
        windows: windows.len(),
        context,
        stride,
        seconds: start.elapsed().as_secs_f64(),
        adapter: &engine.adapter,
        driver: &engine.driver,
    };
    if args.json { output::json(&report) } else { print(&report) }
}

fn print(r: &Report<'_>) -> Result<()> {
    output::line(format_args!(
        "perplexity {:.4} ± {:.4} over {} tokens ({} windows of {}, stride {})",
        r.perplexity,
        // d exp(x) = exp(x) dx
        r.perplexity * r.nll_standard_error,
        r.scored_tokens,
        r.windows,
        r.context,
        r.stride
    ))?;
    output::note(format_args!("{:.1} tok/s on {}", r.tokens as f64 / r.seconds, r.adapter));
    Ok(())
}
