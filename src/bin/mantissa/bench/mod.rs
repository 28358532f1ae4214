//! `mantissa bench`: what the adapter can do at best, what each kernel makes of it, and what that
//! comes to for a model.

mod around;
mod batch;
mod cached;
mod case;
mod ceilings;
mod chart;
pub mod clock;
mod compare;
mod kernels;
pub mod model;
mod print;
mod report;
mod timed;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::ValueEnum;
use mantissa::gpu::Class;

use crate::args::{GpuArgs, ModelArgs, chart_path};
use crate::engine::{driver, open_gpu};
use crate::output;
use clock::Budget;
use report::Report;

/// The flags of `bench`.
#[derive(clap::Args)]
pub struct Args {
    /// What is measured [default: all]
    #[arg(long, value_name = "PARTS", value_delimiter = ',')]
    only: Vec<Part>,

    /// How often each is measured, the things that are compared in turn; medians are told
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,

    /// Seconds that the whole may take, about; what does not fit is named. 0: no end
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    budget: u64,

    /// Few formats, shapes and rows of x for the kernels
    #[arg(long)]
    quick: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    /// Also print how this compares with what --json printed earlier
    #[arg(long, value_name = "OLD.json", conflicts_with = "json")]
    compare: Option<PathBuf>,

    /// Draw the model's decoding and prompts into an SVG file
    #[arg(long, value_name = "FILE", value_parser = chart_path)]
    svg: Option<PathBuf>,

    #[command(flatten)]
    kernels: kernels::KernelBench,
    #[command(flatten)]
    asked: model::ModelBench,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    gpu: GpuArgs,
}

/// A part of what can be measured.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// What the adapter can do at best
    Ceilings,
    /// Each kernel, with the ceilings
    Kernels,
    /// Load, prompts and tokens of a model
    Model,
}

impl Args {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

/// Measures, and prints what was measured.
pub async fn run(args: Args) -> Result<()> {
    let old = args.compare.as_deref().map(compare::read).transpose()?;
    let budget = Budget::of(args.budget);
    let mut report = describe(&args).await?;
    if args.wants(Part::Model) {
        let part = if args.wants(Part::Kernels) { budget.share(0.5) } else { budget };
        let limits = (args.rounds, part);
        let left_out = &mut report.left_out;
        let found = model::run((&args.model, &args.gpu), &args.asked, limits, left_out).await?;
        report.model = Some(found);
    }
    if args.wants(Part::Ceilings) || args.wants(Part::Kernels) {
        measure_kernels(&args, budget, &mut report).await?;
    }
    if let Some(path) = &args.svg {
        chart::write(path, &report).with_context(|| path.display().to_string())?;
    }
    if args.json {
        return output::json(&report);
    }
    print::print(&report)?;
    old.map_or(Ok(()), |old| compare::print(&old, &report))
}

/// The ceilings, and the kernels beside them.
async fn measure_kernels(args: &Args, budget: Budget, report: &mut Report) -> Result<()> {
    let gpu = open_gpu(&args.gpu).await?;
    let (found, mut ceilings) = ceilings::measure(&gpu, args.rounds).await?;
    report.ceilings = found;
    if args.wants(Part::Kernels) {
        let limits = (args.quick, args.rounds, budget);
        let left_out = &mut report.left_out;
        report.kernels = kernels::run(&gpu, &args.kernels, &mut ceilings, limits, left_out).await?;
    }
    Ok(())
}

/// The device, which is closed again: the model's time begins with opening it.
async fn describe(args: &Args) -> Result<Report> {
    let gpu = open_gpu(&args.gpu).await?;
    let class = match gpu.caps().class {
        Class::Software => "software",
        Class::Gpu => "gpu",
    };
    Ok(Report {
        version: env!("CARGO_PKG_VERSION").into(),
        adapter: gpu.info().name.clone(),
        driver: driver(gpu.info()),
        class: class.into(),
        timestamps: gpu.has_timestamps(),
        rounds: args.rounds,
        ..Report::default()
    })
}
