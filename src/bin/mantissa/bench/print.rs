//! What was measured, as tables.

use anyhow::Result;

use super::report::{Ceiling, Kernel, Model, Report};
use crate::output::{self, table};

/// Prints all parts that there are.
pub fn print(report: &Report) -> Result<()> {
    if !report.ceilings.is_empty() {
        print_ceilings(&report.ceilings)?;
    }
    if !report.kernels.is_empty() {
        print_kernels(&report.kernels)?;
    }
    if let Some(model) = &report.model {
        print_model(model)?;
    }
    for left_out in &report.left_out {
        output::note(format_args!("left out: {left_out}"));
    }
    output::note(format_args!("medians of {} on {}", report.rounds, report.adapter));
    Ok(())
}

fn print_ceilings(ceilings: &[Ceiling]) -> Result<()> {
    let mut table = table(&["ceiling", "", "", "layout"], &[1]);
    for c in ceilings {
        let value = format!("{:.2}", c.value);
        table.add_row([c.name.clone(), value, c.unit.clone(), c.layout.clone()]);
    }
    output::line(table.trim_fmt())?;
    Ok(())
}

fn print_kernels(kernels: &[Kernel]) -> Result<()> {
    let header = ["op", "format", "shape", "m", "ms", "GB/s", "GFLOP/s", "share", "of"];
    let mut table = table(&header, &[3, 4, 5, 6, 7]);
    for k in kernels {
        table.add_row([
            k.op.clone(),
            k.format.clone(),
            k.shape.clone(),
            k.m.to_string(),
            format!("{:.4}", 1e3 * k.seconds),
            format!("{:.2}", k.gigabytes_per_second),
            format!("{:.2}", k.gigaflops),
            format!("{:.1} %", 100.0 * k.share),
            k.bound.clone(),
        ]);
    }
    output::line(table.trim_fmt())?;
    Ok(())
}

fn print_model(m: &Model) -> Result<()> {
    let all = m.open_seconds + m.load_seconds + m.warm_up_seconds + m.first_token_seconds;
    output::line(format_args!(
        "{}: open {:.2} s, load {:.2} s, warm-up {:.2} s, first token of {} after {:.2} s: {all:.2} s",
        m.name,
        m.open_seconds,
        m.load_seconds,
        m.warm_up_seconds,
        m.first_token_prompt,
        m.first_token_seconds
    ))?;
    let peak = m.peak_memory_bytes.map_or("unknown".into(), megabytes);
    output::line(format_args!(
        "tensors {}, on the device {}, peak of the process {peak}, with room for {} tokens",
        megabytes(m.file_bytes),
        megabytes(m.gpu_bytes),
        m.memory_context
    ))?;
    let mut prefill = table(&["prefill", "tok/s", "s", "rounds"], &[0, 1, 2, 3]);
    for p in &m.prefill {
        prefill.add_row([
            p.tokens.to_string(),
            format!("{:.1}", p.tokens_per_second),
            format!("{:.3}", p.seconds),
            p.rounds.to_string(),
        ]);
    }
    output::line(prefill.trim_fmt())?;
    let header =
        ["decode at", "in flight", "tok/s", "ms", "device ms", "host ms", "dispatches", "rounds"];
    let mut decode = table(&header, &[0, 1, 2, 3, 4, 5, 6, 7]);
    let ms = |seconds: Option<f64>| seconds.map_or("?".into(), |s| format!("{:.2}", 1e3 * s));
    for d in &m.decode {
        decode.add_row([
            d.context.to_string(),
            d.in_flight.to_string(),
            format!("{:.1}", d.tokens_per_second),
            ms(Some(d.seconds_per_token)),
            ms(d.device_seconds_per_token),
            ms(d.host_seconds_per_token),
            d.dispatches_per_token.to_string(),
            d.rounds.to_string(),
        ]);
    }
    output::line(decode.trim_fmt())?;
    let header = ["sequences", "at", "tok/s", "ms a step", "beside one alone", "rounds"];
    let mut batch = table(&header, &[0, 1, 2, 3, 4, 5]);
    let alone = m.batch.iter().find(|b| b.sequences == 1).map(|b| b.seconds_per_step);
    for b in &m.batch {
        let beside =
            alone.map_or("?".into(), |alone| format!("{:.2} x", b.seconds_per_step / alone));
        batch.add_row([
            b.sequences.to_string(),
            b.context.to_string(),
            format!("{:.1}", b.tokens_per_second),
            ms(Some(b.seconds_per_step)),
            beside,
            b.rounds.to_string(),
        ]);
    }
    if !m.batch.is_empty() {
        output::line(batch.trim_fmt())?;
    }
    Ok(())
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
