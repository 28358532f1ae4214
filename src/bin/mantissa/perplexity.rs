//! `mantissa perplexity`: how well the model predicts a text.
//!
//! A window of `context` tokens slides over the text in steps of `stride`. Each window scores only
//! what no window before it has scored, so every token but the first is scored once, and all but
//! those of the first window see at least `context − stride` tokens before them. Where the
//! model's texts begin with a special token, every window begins with it.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::args::{GpuArgs, ModelArgs};
use crate::engine::Engine;
use crate::output;

/// Tokens of a window where the user does not say, as in llama.cpp.
const CONTEXT: usize = 512;

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
    let named = || args.file.display().to_string();
    let text = std::fs::read(&args.file).with_context(named)?;
    let text = String::from_utf8(text).with_context(named)?;
    let engine = Engine::open(&args.gpu, &args.model).await?;
    let tokenizer = engine.model.tokenizer()?;
    let tokens = tokenizer.encode(&text, false, false)?;
    let start_token =
        tokenizer.encode("", true, false)?.into_iter().find(|&t| tokenizer.bos() == Some(t));

    let mut session = engine.session_of(CONTEXT).await?;
    let context = session.context();
    let room = context.saturating_sub(usize::from(start_token.is_some()));
    let stride = args.stride.map_or(room / 2, |n| n as usize);
    if stride == 0 || stride > room {
        bail!("a context of {context} tokens has no room for a stride of {stride}");
    }
    let windows = windows(tokens.len(), room, stride);
    if windows.is_empty() {
        bail!("{}: {} tokens are too few to predict one", named(), tokens.len());
    }

    let start = Instant::now();
    let bar = output::count_bar(windows.len() as u64, "perplexity");
    let mut sum = Sum::default();
    for window in &windows {
        score(&mut session, &tokens, window, start_token, &mut sum).await?;
        bar.inc(1);
        bar.set_message(format!("{:.4}", sum.mean().exp()));
    }
    bar.finish_and_clear();
    let report = Report {
        perplexity: sum.mean().exp(),
        nll: sum.mean(),
        nll_standard_error: sum.standard_error(),
        tokens: tokens.len(),
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

/// A stretch of the text, and the tokens in it that are scored; both as positions in the text.
#[derive(Debug, PartialEq)]
struct Window {
    all: Range<usize>,
    scored: Range<usize>,
}

fn windows(tokens: usize, room: usize, stride: usize) -> Vec<Window> {
    let mut windows = Vec::new();
    let (mut start, mut scored) = (0, 1);
    while scored < tokens {
        let end = (start + room).min(tokens);
        windows.push(Window { all: start..end, scored: scored..end });
        scored = end;
        start += stride;
    }
    windows
}

async fn score(
    session: &mut mantissa::model::Session,
    tokens: &[u32],
    window: &Window,
    start_token: Option<u32>,
    sum: &mut Sum,
) -> Result<()> {
    let input: Vec<u32> =
        start_token.into_iter().chain(tokens[window.all.clone()].iter().copied()).collect();
    let before = input.len() - window.all.len();
    session.truncate(0);
    session
        .logits(&input, &mut |position, row| {
            // Row i predicts token i + 1 of the input.
            let next = window.all.start + (position + 1).saturating_sub(before);
            if position + 1 >= before && window.scored.contains(&next) {
                sum.add(negative_log_likelihood(row, tokens[next]));
            }
        })
        .await?;
    Ok(())
}

/// −ln softmax(row)[token], in f64: ln Σ exp(xᵢ − max) + max − x.
fn negative_log_likelihood(row: &[f32], token: u32) -> f64 {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = row.iter().map(|&x| (f64::from(x) - f64::from(max)).exp()).sum();
    let x = row.get(token as usize).map_or(f64::NAN, |&x| f64::from(x));
    sum.ln() + f64::from(max) - x
}

/// Sums for a mean and its standard error.
#[derive(Default)]
struct Sum {
    count: usize,
    sum: f64,
    squares: f64,
}

impl Sum {
    fn add(&mut self, x: f64) {
        self.count += 1;
        self.sum += x;
        self.squares += x * x;
    }

    fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }

    /// √((E x² − (E x)²) / (n − 1))
    fn standard_error(&self) -> f64 {
        let n = self.count as f64;
        let variance = (self.squares / n - self.mean().powi(2)).max(0.0);
        if self.count > 1 { (variance / (n - 1.0)).sqrt() } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_but_the_first_is_scored_once() {
        for (tokens, room, stride) in [(1000, 512, 256), (2, 512, 256), (513, 512, 512), (40, 7, 3)]
        {
            let windows = windows(tokens, room, stride);
            let scored: Vec<usize> = windows.iter().flat_map(|w| w.scored.clone()).collect();
            assert_eq!(scored, (1..tokens).collect::<Vec<_>>(), "{tokens} {room} {stride}");
            for w in &windows {
                assert!(w.all.len() <= room, "{w:?}");
            }
        }
        assert!(windows(1, 512, 256).is_empty() && windows(0, 512, 256).is_empty());
    }

    #[test]
    fn the_likelihood_of_a_known_row() {
        // softmax([ln 1, ln 2, ln 5]) = [1/8, 2/8, 5/8]
        let row = [0.0, 2.0_f32.ln(), 5.0_f32.ln()];
        for (token, p) in [(0, 0.125_f64), (1, 0.25), (2, 0.625)] {
            // Rounding the logarithms to f32 moves the result by at most 2^-24 · ln 5 each.
            assert!((negative_log_likelihood(&row, token) + p.ln()).abs() < 3e-7);
        }
        let shifted = row.map(|x| x + 512.0);
        assert!((negative_log_likelihood(&shifted, 1) + 0.25_f64.ln()).abs() < 1e-4);
    }

    #[test]
    fn mean_and_standard_error() {
        let mut sum = Sum::default();
        [1.0, 2.0, 3.0, 4.0].into_iter().for_each(|x| sum.add(x));
        assert_eq!(sum.mean(), 2.5);
        // Population variance 1.25, over n − 1 = 3.
        assert!((sum.standard_error() - (1.25_f64 / 3.0).sqrt()).abs() < 1e-15);
    }
}
