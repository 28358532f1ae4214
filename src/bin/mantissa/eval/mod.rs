//! `mantissa eval`: what number formats cost a model, and what they save.
//!
//! The model is run on a text as its file has it, then once in each format; what it predicts at
//! every scored position is compared with what the file predicts there. With `--activations q8` each
//! is run with exact activations and with rounded ones.

mod chart;
mod compare;

use std::path::PathBuf;

use anyhow::{Context, Result};
use mantissa::formats::FormatRef;
use mantissa::quantize::{Because, Plan, Recipe};
use serde::Serialize;

use crate::args::{ActivationsArg, GpuArgs, ModelArgs, chart_path, format};
use crate::engine::{Engine, open_gpu};
use crate::interrupt::{self, Interrupted};
use crate::output::{self, table};
use crate::windows::{CONTEXT, Text};
use compare::{Comparison, Reference, compare};

/// The flags of `eval`.
#[derive(clap::Args)]
pub struct Args {
    /// The formats to try, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',', required = true, value_parser = format)]
    formats: Vec<FormatRef>,

    /// A text in UTF-8
    #[arg(long, value_name = "TEXT")]
    file: PathBuf,

    /// How many tokens of the text are used; more take longer and say more
    #[arg(long, value_name = "N", default_value = "512", value_parser = clap::value_parser!(u32).range(2..))]
    tokens: u32,

    /// Tokens that the window moves on by, as in `perplexity`
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    stride: Option<u32>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    /// Draw bits per weight against divergence into an SVG file
    #[arg(long, value_name = "FILE", value_parser = chart_path)]
    svg: Option<PathBuf>,

    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    gpu: GpuArgs,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    tokens: usize,
    scored_tokens: usize,
    context: usize,
    stride: usize,
    /// The file's own formats first, then one for each that was asked for.
    rows: Vec<Row>,
    adapter: String,
    driver: String,
}

/// A row of the table.
#[derive(Serialize)]
struct Row {
    /// The format, or `(file)`.
    format: String,
    activations: ActivationsArg,
    /// Over matrices only.
    matrix_bits_per_weight: f64,
    /// Over all tensors.
    bits_per_weight: f64,
    #[serde(flatten)]
    comparison: Comparison,
    /// What the weights take on the device.
    gpu_bytes: u64,
    /// Matrices that got another format than was asked for, and why.
    fallbacks: Vec<String>,
}

impl Row {
    /// What it is called in tables and charts.
    fn name(&self) -> String {
        match self.activations {
            ActivationsArg::F32 => self.format.clone(),
            ActivationsArg::Q8 => format!("{}, q8", self.format),
        }
    }
}

/// The name of the first row.
const FILE: &str = "(file)";

/// Tries the formats.
pub async fn run(args: Args) -> Result<()> {
    interrupt::install();
    let text = Text::read(&args.file)?;
    let gpu = open_gpu(&args.gpu).await?;
    let running = interrupt::Generating::begin();
    let mut stop = || running.should_stop();

    let engine = Engine::load(&gpu, &args.model, None).await?;
    let text = text.tokens(engine.model.tokenizer()?, args.tokens as usize)?;
    let context = args.model.context.map_or(CONTEXT, Into::into);
    let context = context.min(engine.model.config().context);
    let cut = text.windows(context, args.stride)?;
    let mut report = Report {
        tokens: text.len(),
        scored_tokens: 0,
        context,
        stride: cut.1,
        rows: Vec::new(),
        adapter: engine.adapter.clone(),
        driver: engine.driver.clone(),
    };
    let mut reference = Reference::create()?;
    let passes = compare::Passes { text: &text, windows: &cut.0, chunk: args.model.chunk.into() };
    let recipes = args.formats.iter().map(|&f| (f.name(), Some(Recipe::new(f))));
    let kinds: &[_] = match args.model.activations {
        ActivationsArg::F32 => &[ActivationsArg::F32],
        ActivationsArg::Q8 => &[ActivationsArg::F32, ActivationsArg::Q8],
    };
    let mut loaded = Some(engine);
    'models: for (name, recipe) in std::iter::once((FILE, None)).chain(recipes) {
        // One model at a time: the last one's memory is free by now.
        let mut engine = match loaded.take() {
            Some(engine) => engine,
            None => Engine::load(&gpu, &args.model, recipe.as_ref()).await?,
        };
        for &activations in kinds {
            let mut row = describe((name, activations), &engine, recipe.as_ref())?;
            engine.set_activations(activations.into());
            let mut session = engine.session_of(context).await?;
            let name = row.name();
            match compare(&name, &passes, &mut session, &mut reference, &mut stop).await? {
                Some(comparison) => row.comparison = comparison,
                None => break 'models,
            }
            report.scored_tokens = row.comparison.scored;
            report.rows.push(row);
        }
    }
    if let Some(path) = &args.svg {
        chart::write(path, &report.rows).with_context(|| path.display().to_string())?;
    }
    if args.json {
        output::json(&report)?
    } else {
        print(&report)?
    }
    let wanted = (args.formats.len() + 1) * kinds.len();
    if report.rows.len() < wanted { Err(Interrupted.into()) } else { Ok(()) }
}

/// The row's sizes. Nothing but the weights is on the device yet.
fn describe(
    (name, activations): (&str, ActivationsArg),
    engine: &Engine,
    recipe: Option<&Recipe>,
) -> Result<Row> {
    // Any recipe tells matrices from vectors.
    let any = Recipe::new(mantissa::formats::by_name("f32")?);
    let plan = Plan::new(&engine.model.checkpoint().tensors, recipe.unwrap_or(&any))?;
    let sizes = plan.tensors.iter().map(|t| {
        let bytes = if recipe.is_some() { t.bytes } else { t.tensor.bytes };
        (t.choice.because != Because::Vector, bytes, t.tensor.elements())
    });
    let bits = |matrices_only: bool| {
        let counted = sizes.clone().filter(|(is_matrix, ..)| *is_matrix || !matrices_only);
        let sum = counted.fold((0, 0), |(b, w), (_, bytes, weights)| (b + bytes, w + weights));
        8.0 * sum.0 as f64 / sum.1.max(1) as f64
    };
    Ok(Row {
        format: name.into(),
        activations,
        matrix_bits_per_weight: bits(true),
        bits_per_weight: bits(false),
        comparison: Comparison::default(),
        gpu_bytes: engine.model.gpu().allocated_bytes(),
        fallbacks: match recipe {
            Some(_) => plan.fallbacks().iter().map(ToString::to_string).collect(),
            None => Vec::new(),
        },
    })
}

fn print(report: &Report) -> Result<()> {
    let header = [
        "format",
        "bits/matrix",
        "bits/model",
        "perplexity",
        "mean KL",
        "99 % KL",
        "top-1",
        "GPU MB",
        "tok/s",
    ];
    let mut table = table(&header, &(1..header.len()).collect::<Vec<_>>());
    for r in &report.rows {
        let c = &r.comparison;
        table.add_row([
            r.name(),
            format!("{:.3}", r.matrix_bits_per_weight),
            format!("{:.3}", r.bits_per_weight),
            format!("{:.4}", c.perplexity),
            format!("{:.3e}", c.kl),
            format!("{:.3e}", c.kl_99_percent),
            format!("{:.2} %", 100.0 * c.top_1_agreement),
            format!("{:.1}", r.gpu_bytes as f64 / 1e6),
            format!("{:.1}", c.tokens_per_second),
        ]);
    }
    output::line(table.trim_fmt())?;
    let notes = report.rows.iter().flat_map(|r| &r.fallbacks);
    notes.for_each(output::note);
    output::note(format_args!(
        "KL in nats per token over {} tokens (windows of {}, stride {}), on {}",
        report.scored_tokens, report.context, report.stride, report.adapter
    ));
    Ok(())
}
