//! `mantissa logits`: what the model predicts at every position.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::args::{GpuArgs, ModelArgs};
use crate::engine::Engine;
use crate::{npy, output};

/// The flags of `logits`.
#[derive(clap::Args)]
pub struct Args {
    /// Token ids, separated by commas
    #[arg(long, value_name = "IDS", value_delimiter = ',', required_unless_present = "prompt")]
    tokens: Vec<u32>,

    /// A plain text, tokenized as `run --raw` does
    #[arg(long, value_name = "TEXT", conflicts_with = "tokens")]
    prompt: Option<String>,

    /// Where to write float32 [positions, vocabulary]
    #[arg(long, value_name = "FILE.npy")]
    out: PathBuf,

    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    gpu: GpuArgs,
}

/// Writes a row of logits per token: row i predicts token i + 1.
pub async fn run(args: Args) -> Result<()> {
    let engine = Engine::open(&args.gpu, &args.model).await?;
    let tokens = match &args.prompt {
        Some(text) => engine.model.tokenizer()?.encode(text, true, true)?,
        None => args.tokens,
    };
    if tokens.is_empty() {
        bail!("there is no token to predict from");
    }
    let vocabulary = engine.model.config().vocabulary;
    let mut session = engine.session_of(tokens.len()).await?;
    let mut writer = npy::Writer::create(&args.out, &[tokens.len(), vocabulary])?;
    let bar = output::count_bar(tokens.len() as u64, "logits");
    // The callback cannot stop the run; the first failure is kept and told at the end.
    let mut written = Ok(());
    session
        .logits(&tokens, &mut |_, row| {
            if written.is_ok() {
                written = writer.extend(row);
            }
            bar.inc(1);
        })
        .await?;
    bar.finish_and_clear();
    written?;
    writer.finish()
}
