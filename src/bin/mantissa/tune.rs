//! `mantissa tune`: measures which layouts of work suit the adapter, and keeps what it finds.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use mantissa::Gpu;
use mantissa::ops::matmul::Share;
use mantissa::tune::file::{self, Loaded};
use mantissa::tune::{Choice, DeviceKey, Options, Tuning};
use serde::Serialize;

use crate::args::{GpuArgs, ModelArgs};
use crate::engine::{Engine, LoadingBar, open_gpu};
use crate::output::{self, table};

const AFTER_HELP: &str = "\
Each shape of the model's matrices is multiplied in a few layouts in turn, those first that take most \
of a token's time; a layout replaces the default only where it is faster by more than a tenth. What is \
found is kept for this adapter, driver and version in tuning.json in the cache folder, and used by \
every command that runs a model, unless it is told --no-tune. What did not fit the budget is measured \
by the next `mantissa tune`.";

/// The flags of `tune`.
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Measure again what was measured before
    #[arg(long)]
    force: bool,

    /// Seconds that measuring may take
    #[arg(long, value_name = "S", default_value_t = 1.5, value_parser = seconds, allow_negative_numbers = true)]
    budget: f64,

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
    /// Seconds that measuring took.
    seconds: f64,
    /// Shapes that were measured now.
    measured: usize,
    /// Where it is kept.
    file: PathBuf,
    /// All that is known of this adapter.
    choices: &'a [Choice],
}

/// Measures and keeps.
pub async fn run(args: Args) -> Result<()> {
    ensure!(!args.model.no_tune, "--no-tune says not to use what `tune` measures");
    let path = file::default_path()?;
    let gpu = open_gpu(&args.gpu).await?;
    let mut store = load(&path).store;
    if args.force {
        store.forget(&DeviceKey::of(&gpu));
    }
    let mut untuned = args.model.clone();
    untuned.no_tune = true;
    use_known(&gpu, &store);
    let engine = Engine::load(&gpu, &untuned, None).await?;
    let options = Options {
        budget: Duration::from_secs_f64(args.budget),
        rows: vec![1, args.model.chunk.into()],
    };
    let (start, mut bar) = (Instant::now(), LoadingBar::default());
    let found = engine.model.tune(&options, &mut |progress| bar.show(progress)).await?;
    drop(bar);
    let (seconds, measured) = (start.elapsed().as_secs_f64(), found.choices.len());
    store.put(found);
    file::save(&path, &store)?;
    let none = Tuning::new(&gpu);
    let all = store.find(&none.device).unwrap_or(&none);
    let (adapter, driver, choices) = (&engine.adapter, &engine.driver, &all.choices);
    let report = Report { adapter, driver, seconds, measured, file: path, choices };
    if args.json { output::json(&report) } else { print(&report) }
}

/// Uses what was measured on this device before, if anything was. Its file is no reason to fail.
pub fn apply(gpu: &Gpu) {
    // Without a folder for caches there is nothing in it.
    if let Ok(path) = file::default_path() {
        use_known(gpu, &load(&path).store);
    }
}

fn use_known(gpu: &Gpu, store: &mantissa::tune::Store) {
    if let Some(tuning) = store.find(&DeviceKey::of(gpu)) {
        gpu.set_tuning(tuning.clone());
    }
}

fn load(path: &std::path::Path) -> Loaded {
    let loaded = file::load(path);
    if let Some(warning) = &loaded.warning {
        output::note(format_args!("warning: {warning}"));
    }
    loaded
}

fn print(report: &Report<'_>) -> Result<()> {
    let header = ["format", "N up to", "K up to", "rows of x", "default µs", "best µs", "layout"];
    let mut table = table(&header, &[1, 2, 4, 5]);
    for choice in report.choices {
        let (class, power) = (&choice.class, |log: u32| 2f64.powi(log as i32).to_string());
        table.add_row([
            class.format.clone(),
            power(class.log_n),
            power(class.log_k),
            format!("{:?}", class.rows).to_lowercase(),
            format!("{:.1}", 1e6 * choice.default_seconds),
            format!("{:.1}", 1e6 * choice.seconds),
            layout(choice),
        ]);
    }
    output::line(table.trim_fmt())?;
    output::note(format_args!(
        "{} shapes measured in {:.1} s on {}, kept in {}",
        report.measured,
        report.seconds,
        report.adapter,
        report.file.display()
    ));
    Ok(())
}

fn layout(choice: &Choice) -> String {
    let Some(tile) = choice.tile else { return "default".into() };
    let codes = if tile.codes { ", codes" } else { "" };
    let share = match tile.share {
        Share::Lane => "",
        Share::Quad => ", x by quad",
        Share::Subgroup => ", x by subgroup",
        Share::Workgroup => ", x by workgroup",
    };
    let staged = if tile.staged { ", x staged" } else { "" };
    format!(
        "{} lanes, {} to a row, {}×{} each{share}{staged}{codes}",
        tile.lanes, tile.split, tile.rows, tile.m
    )
}

/// More than nothing, and less than a day.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(s) if s > 0.0 && s <= 86_400.0 => Ok(s),
        _ => Err("must be a number of seconds, more than 0 and at most 86400".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_positive_seconds() {
        assert_eq!(seconds("1.5"), Ok(1.5));
        for bad in ["0", "-1", "nan", "inf", "1e9", "soon", ""] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
