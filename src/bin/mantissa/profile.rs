//! `mantissa profile`: where the time of a step goes, operation by operation.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use mantissa::model::{OpTime, Session, StepProfile};
use serde::Serialize;

use crate::args::{GpuArgs, ModelArgs};
use crate::bench::clock::median;
use crate::bench::model::tokens;
use crate::engine::Engine;
use crate::output::{self, table};

const AFTER_HELP: &str = "\
Each dispatch runs in a pass of its own between two timestamps, so their sum is more than the step \
takes; both are told. Where the adapter has no timestamps there is only the step's time.";

/// The flags of `profile`.
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Tokens before the one that is decoded
    #[arg(long, value_name = "N", default_value_t = 128)]
    at: usize,

    /// Tokens of the prompt that is processed as one chunk; 0 leaves it out [default: --chunk]
    #[arg(long, value_name = "N")]
    rows: Option<usize>,

    /// How often each is measured; medians are told
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,

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
    adapter: &'a str,
    driver: &'a str,
    rounds: u32,
    steps: Vec<Step>,
}

/// A step taken apart.
#[derive(Serialize)]
struct Step {
    /// `decode` or `prefill`.
    step: &'static str,
    /// Tokens before it.
    context: usize,
    rows: usize,
    dispatches: usize,
    /// As one pass: from the submit to the end by the host's clock, and by the device's.
    seconds: f64,
    device_seconds: Option<f64>,
    /// The longest first.
    ops: Vec<Op>,
}

/// All dispatches of an operation on operands of the same kind.
#[derive(Serialize)]
struct Op {
    op: &'static str,
    /// Formats, and rows × columns of the weights.
    operands: String,
    dispatches: usize,
    seconds: f64,
    /// Of all dispatches' time.
    share: f64,
}

/// Takes a decode step and a chunk of a prompt apart.
pub async fn run(args: Args) -> Result<()> {
    let engine = Engine::open(&args.gpu, &args.model).await?;
    let chunk = usize::from(args.model.chunk);
    let rows = args.rows.unwrap_or(chunk).min(engine.model.config().context);
    ensure!(rows <= chunk, "--rows {rows} are more than a chunk of {chunk} holds (--chunk)");
    let mut session = engine.session_of(args.at.saturating_add(1).max(rows)).await?;
    let context = session.context();
    ensure!(args.at < context, "--at {} leaves no place in a context of {context}", args.at);
    let mut steps = Vec::new();
    if rows > 0 {
        steps.push(step("prefill", &mut session, (0, rows), args.rounds).await?);
    }
    steps.push(step("decode", &mut session, (args.at, 1), args.rounds).await?);
    let (adapter, driver) = (&engine.adapter, &engine.driver);
    let report = Report { adapter, driver, rounds: args.rounds, steps };
    if args.json { output::json(&report) } else { print(&report) }
}

async fn step(
    name: &'static str,
    session: &mut Session,
    (context, rows): (usize, usize),
    rounds: u32,
) -> Result<Step> {
    let vocabulary = session.model().config().vocabulary;
    session.truncate(0);
    session.append_uncomputed(&tokens(vocabulary, context + rows))?;
    // The first compiles, and touches memory that nothing has touched.
    session.profile_rows(rows).await?;
    let mut profiles = Vec::new();
    for _ in 0..rounds {
        profiles.push(session.profile_rows(rows).await?);
    }
    let of = |value: fn(&StepProfile) -> f64| median(profiles.iter().map(value));
    let timed = profiles.iter().all(|p| p.device_seconds.is_some());
    Ok(Step {
        step: name,
        context,
        rows,
        dispatches: profiles.first().map_or(0, |p| p.dispatch_count),
        seconds: of(|p| p.seconds),
        device_seconds: timed.then(|| of(|p| p.device_seconds.unwrap_or_default())),
        ops: ops(&profiles),
    })
}

/// The medians of each operation's sums.
fn ops(profiles: &[StepProfile]) -> Vec<Op> {
    let mut sums: BTreeMap<(&str, String), Vec<OpTime>> = BTreeMap::new();
    for op in profiles.iter().flat_map(StepProfile::by_operands) {
        sums.entry((op.op, op.operands.to_string())).or_default().push(op);
    }
    let medians = sums.into_iter().map(|((op, operands), times)| Op {
        op,
        operands,
        dispatches: times.first().map_or(0, |t| t.dispatches),
        seconds: median(times.iter().map(|t| t.seconds)),
        share: 0.0,
    });
    let mut ops: Vec<Op> = medians.collect();
    let all: f64 = ops.iter().map(|op| op.seconds).sum();
    ops.iter_mut().for_each(|op| op.share = op.seconds / all.max(f64::MIN_POSITIVE));
    ops.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    ops
}

fn print(report: &Report<'_>) -> Result<()> {
    for step in &report.steps {
        output::line(headline(step))?;
        let mut table =
            table(&["op", "operands", "dispatches", "ms", "each µs", "share"], &[2, 3, 4, 5]);
        for op in &step.ops {
            table.add_row([
                op.op.to_owned(),
                op.operands.clone(),
                op.dispatches.to_string(),
                format!("{:.3}", 1e3 * op.seconds),
                format!("{:.1}", 1e6 * op.seconds / op.dispatches.max(1) as f64),
                format!("{:.1} %", 100.0 * op.share),
            ]);
        }
        output::line(table.trim_fmt())?;
    }
    output::note(format_args!("medians of {} on {}", report.rounds, report.adapter));
    Ok(())
}

fn headline(step: &Step) -> String {
    let device = match step.device_seconds {
        Some(seconds) => format!(", {:.3} ms of them on the device", 1e3 * seconds),
        None => ", the adapter has no timestamps".into(),
    };
    let apart: f64 = step.ops.iter().map(|op| op.seconds).sum();
    format!(
        "{} of {} at {}: {} dispatches, {:.3} ms{device}; taken apart {:.3} ms",
        step.step,
        step.rows,
        step.context,
        step.dispatches,
        1e3 * step.seconds,
        1e3 * apart
    )
}
