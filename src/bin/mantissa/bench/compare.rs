//! An earlier report beside this one.

use std::path::Path;

use anyhow::{Context, Result};

use super::report::Report;
use crate::output::{self, table};

/// Reads what `--json` printed earlier.
pub fn read(path: &Path) -> Result<Report> {
    let name = || path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(name)?;
    serde_json::from_str(&text).with_context(|| format!("{}: no report of bench --json", name()))
}

/// Prints what both have, with how many times as fast it is now.
pub fn print(old: &Report, new: &Report) -> Result<()> {
    if old.adapter != new.adapter {
        output::note(format_args!("the earlier report is of {}", old.adapter));
    }
    let before = figures(old);
    let mut table = table(&["", "before", "now", "times as fast"], &[1, 2, 3]);
    for (name, seconds) in figures(new) {
        if let Some((_, earlier)) = before.iter().find(|(other, _)| *other == name) {
            let ratio = earlier / seconds.max(f64::MIN_POSITIVE);
            let ms = |seconds: f64| format!("{:.4} ms", 1e3 * seconds);
            table.add_row([name, ms(*earlier), ms(seconds), format!("{ratio:.3}")]);
        }
    }
    output::line(table.trim_fmt())?;
    Ok(())
}

/// Everything by name, as seconds: of a rate, those of a billion.
fn figures(report: &Report) -> Vec<(String, f64)> {
    let mut all = Vec::new();
    for c in &report.ceilings {
        let seconds = if c.unit == "µs" { c.value / 1e6 } else { 1.0 / c.value };
        all.push((format!("ceiling {}", c.name), seconds));
    }
    for k in &report.kernels {
        let name = format!("{} {} {} m {}", k.op, k.format, k.shape, k.m);
        all.push((name, k.seconds));
    }
    if let Some(m) = &report.model {
        all.push(("load".into(), m.load_seconds));
        all.push(("warm-up".into(), m.warm_up_seconds));
        all.push(("first token".into(), m.first_token_seconds));
        all.extend(m.prefill.iter().map(|p| (format!("prefill of {}", p.tokens), p.seconds)));
        let decode = m.decode.iter();
        all.extend(decode.map(|d| {
            (format!("decode at {}, {} in flight", d.context, d.in_flight), d.seconds_per_token)
        }));
        let batch = m.batch.iter();
        all.extend(batch.map(|b| (format!("a step of {}", b.sequences), b.seconds_per_step)));
    }
    all
}
