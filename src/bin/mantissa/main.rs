//! `mantissa`: run a language model on any GPU, and hold its kernels against numpy.
//!
//! A file per subcommand; what they share is in `args`, `engine`, `npy`, `output` and
//! `windows`.

mod args;
mod bench;
mod chat;
mod default_model;
mod devices;
mod engine;
mod eval;
mod fetch;
mod inspect;
mod interrupt;
mod logits;
mod npy;
mod op;
mod output;
mod perplexity;
mod profile;
mod quantize;
mod run;
mod tune;
mod windows;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Low-precision inference on any GPU, through WebGPU.
#[derive(Parser)]
#[command(name = "mantissa", version, propagate_version = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted.
Environment: MANTISSA_CACHE is the folder that holds the default model and what `tune` measured \
(default: the user's cache folder); RUST_LOG=warn shows what the GPU library has to say.";

#[derive(Subcommand)]
enum Command {
    /// Answer one prompt
    Run(run::Args),
    /// Converse; keeps the conversation in the KV cache
    Chat(chat::Args),
    /// Print a model file's metadata and tensors
    Inspect(inspect::Args),
    /// Print the adapters of this machine with their features and limits
    Devices(devices::Args),
    /// Write the logits of every position to a .npy file
    Logits(logits::Args),
    /// Measure how well the model predicts a text
    Perplexity(perplexity::Args),
    /// Put a model file's weights into another number format
    Quantize(quantize::Args),
    /// Compare number formats on a text: size, perplexity, divergence
    Eval(eval::Args),
    /// Measure the adapter's ceilings, each kernel, and a model as a whole
    Bench(bench::Args),
    /// Print where a token's time goes, operation by operation
    Profile(profile::Args),
    /// Measure which layouts of work suit the adapter, for commands to come
    Tune(tune::Args),
    /// Run one kernel on .npy files
    #[command(subcommand)]
    Op(op::Command),
    /// Fetch the default model if it is not there yet, and print where it is
    Fetch(fetch::Args),
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("off")).init();
    let command = Cli::parse().command;
    output::exit_code(pollster::block_on(dispatch(command)))
}

async fn dispatch(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run(args) => run::run(args).await,
        Command::Chat(args) => chat::run(args).await,
        Command::Inspect(args) => inspect::run(args).await,
        Command::Devices(args) => devices::run(args).await,
        Command::Logits(args) => logits::run(args).await,
        Command::Perplexity(args) => perplexity::run(args).await,
        Command::Quantize(args) => quantize::run(args).await,
        Command::Eval(args) => eval::run(args).await,
        Command::Bench(args) => bench::run(args).await,
        Command::Profile(args) => profile::run(args).await,
        Command::Tune(args) => tune::run(args).await,
        Command::Op(command) => op::run(command).await,
        Command::Fetch(args) => fetch::run(args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
