//! `mantissa bench`: what the adapter can do at best, what each kernel makes of it, and what that
//! comes to for a model.

pub mod clock;
pub mod model;
mod print;
mod report;

use anyhow::Result;
use clap::ValueEnum;
use mantissa::gpu::Class;

use crate::args::{GpuArgs, ModelArgs};
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

    /// Print one JSON object
    #[arg(long)]
    json: bool,

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
    let budget = Budget::of(args.budget);
    let mut report = describe(&args).await?;
    if args.wants(Part::Model) {
        let limits = (args.rounds, budget);
        let left_out = &mut report.left_out;
        let found = model::run((&args.model, &args.gpu), &args.asked, limits, left_out).await?;
        report.model = Some(found);
    }
    if args.json { output::json(&report) } else { print::print(&report) }
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
