//! `mantissa quantize`: a model file's weights in another number format.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use mantissa::formats::FormatRef;
use mantissa::model::Checkpoint;
use mantissa::platform;
use mantissa::quantize::{Conversion, FileKind, Plan, Recipe, Report, Rule, Summary};
use serde::Serialize;
use tempfile::NamedTempFile;

use crate::args::format;
use crate::interrupt::{self, Interrupted};
use crate::output::{self, table};

/// The flags of `quantize`.
#[derive(clap::Args)]
pub struct Args {
    /// A GGUF or safetensors file, or the folder of a Hugging Face model
    #[arg(value_name = "IN")]
    input: PathBuf,

    /// The format of all matrices; norms, biases and rotary factors stay f32
    #[arg(long, value_name = "NAME", value_parser = format)]
    format: FormatRef,

    /// Another format for the matrices whose name REGEX matches; may be given several times, the
    /// first that matches decides
    #[arg(long, value_name = "REGEX=FORMAT", value_parser = |rule: &str| rule.parse::<Rule>())]
    only: Vec<Rule>,

    /// The file to write: *.gguf, or *.safetensors, which holds formats that GGUF has no type for
    #[arg(long, value_name = "OUT")]
    out: PathBuf,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Summed {
    input: String,
    output: String,
    /// The size of the file that was written.
    bytes: u64,
    groups: Vec<Group>,
    total: Group,
    fallbacks: Vec<Fallback>,
    /// Patterns of `--only` that no matrix's name matches.
    unused_rules: Vec<String>,
    seconds: f64,
    peak_memory_bytes: Option<u64>,
}

/// A row of the closing table.
#[derive(Serialize)]
struct Group {
    name: String,
    tensors: usize,
    weights: u64,
    /// Format names, and how many tensors have each.
    formats: Vec<(String, usize)>,
    bytes: u64,
    bits_per_weight: f64,
    /// Root of the mean squared error, and the same relative to the weights' own root mean square.
    rms_error: f64,
    relative_rms_error: f64,
}

#[derive(Serialize)]
struct Fallback {
    wanted: String,
    format: String,
    k: usize,
    tensors: usize,
}

/// Converts the file.
pub async fn run(args: Args) -> Result<()> {
    let start = Instant::now();
    interrupt::install();
    let kind = FileKind::of(&args.out)?;
    let model = Checkpoint::open(platform::open_model(&args.input)?).await?;
    let recipe = Recipe { format: args.format, rules: args.only };
    let mut plan = Plan::new(&model.tensors, &recipe)?;
    kind.check(&plan)?;
    kind.arrange(&mut plan);
    let file = begin(&args.input, &args.out)?;
    for fallback in plan.fallbacks() {
        output::note(fallback);
    }
    for rule in plan.unused_rules() {
        output::note(format_args!("--only {rule}: the name of no matrix matches"));
    }

    let out = args.out.display().to_string();
    let sink = kind.sink(&out, &model.metadata, &plan, BufWriter::new(file.as_file()))?;
    let mut conversion = Conversion::new(&model, &plan, sink);
    let bar = output::byte_bar(plan.source_bytes(), "quantizing");
    let running = interrupt::Generating::begin();
    while let Some(step) = conversion.step().await? {
        bar.set_position(step.done);
        if running.should_stop() {
            return Err(Interrupted.into());
        }
    }
    let report = conversion.finish()?;
    bar.finish_and_clear();
    let bytes = file.as_file().metadata().with_context(|| out.clone())?.len();
    file.persist(&args.out).map_err(|e| e.error).with_context(|| out.clone())?;

    if !args.json {
        return print(&report, &out, bytes);
    }
    output::json(&Summed {
        input: args.input.display().to_string(),
        output: out,
        bytes,
        groups: report.groups().iter().map(group).collect(),
        total: group(&report.total()),
        fallbacks: plan.fallbacks().iter().map(fallback).collect(),
        unused_rules: plan.unused_rules().into_iter().map(str::to_owned).collect(),
        seconds: start.elapsed().as_secs_f64(),
        peak_memory_bytes: platform::peak_memory_bytes(),
    })
}

/// A file beside `out`, which takes its place at the end and goes away where there is no end: a
/// file that is there is complete.
fn begin(input: &Path, out: &Path) -> Result<NamedTempFile<File>> {
    let named = || out.display().to_string();
    let folder = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let input = fs::canonicalize(input).with_context(named)?;
    let is_input = |path| fs::canonicalize(path).is_ok_and(|path| path == input);
    if is_input(out) || is_input(folder) {
        bail!("{}: this is (in) the input, which is never written to", named());
    }
    if out.is_dir() {
        bail!("{}: this is a folder", named());
    }
    if out.exists() && !out.is_file() {
        bail!("{}: this is a device or a pipe; name a file", named());
    }
    let name = out.file_name().with_context(named)?.to_string_lossy().into_owned();
    let prefix = format!(".{name}.");
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix(&prefix).suffix(".part");
    // Opened by ourselves, so that the user's umask holds for it.
    builder.make_in(folder, |path| File::create_new(path)).with_context(named)
}

fn group(summary: &Summary) -> Group {
    Group {
        name: summary.name.clone(),
        tensors: summary.tensors,
        weights: summary.weights,
        formats: summary.formats.clone(),
        bytes: summary.bytes,
        bits_per_weight: summary.bits_per_weight(),
        rms_error: summary.rms_error(),
        relative_rms_error: summary.relative_error(),
    }
}

fn fallback(fallback: &mantissa::quantize::Fallback) -> Fallback {
    Fallback {
        wanted: fallback.wanted.name().into(),
        format: fallback.format.name().into(),
        k: fallback.k,
        tensors: fallback.tensors,
    }
}

fn print(report: &Report, out: &str, bytes: u64) -> Result<()> {
    let header =
        ["tensors", "count", "weights", "format", "bytes", "bits/weight", "RMS error", "relative"];
    let mut table = table(&header, &[1, 2, 4, 5, 6, 7]);
    for g in report.groups().iter().chain([&report.total()]).map(group) {
        let formats = match g.formats.as_slice() {
            [(only, _)] => only.clone(),
            several => {
                let each = several.iter().map(|(name, count)| format!("{count} {name}"));
                each.collect::<Vec<_>>().join(", ")
            }
        };
        table.add_row([
            g.name,
            g.tensors.to_string(),
            g.weights.to_string(),
            formats,
            g.bytes.to_string(),
            format!("{:.3}", g.bits_per_weight),
            format!("{:.3e}", g.rms_error),
            format!("{:.3} %", 100.0 * g.relative_rms_error),
        ]);
    }
    output::line(table.trim_fmt())?;
    output::line(format_args!("\n{out}: {:.1} MB", bytes as f64 / 1e6))?;
    Ok(())
}
