//! Standard output, errors and exit codes.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::interrupt::{self, Interrupted};

/// Writes a piece of text to standard output at once.
pub fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes a line to standard output.
pub fn line(text: impl std::fmt::Display) -> std::io::Result<()> {
    print(&format!("{text}\n"))
}

/// Writes one JSON value and a newline to standard output.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string_pretty(value)?)?;
    Ok(())
}

/// Writes one JSON value on a line of its own to standard output.
pub fn json_line(value: &impl Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string(value)?)?;
    Ok(())
}

/// Writes a line to standard error. Nobody may be reading it, which is no failure.
pub fn note(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Prints an error with its causes, and gives the exit code of the program.
pub fn exit_code(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    if is_broken_pipe(&error) {
        // `mantissa run | head -1`: the reader has what it wanted.
        return ExitCode::SUCCESS;
    }
    report(&error);
    match error.is::<Interrupted>() {
        true => ExitCode::from(interrupt::EXIT),
        false => ExitCode::FAILURE,
    }
}

/// Prints an error with its causes on standard error.
pub fn report(error: &anyhow::Error) {
    note(format_args!("error: {}", chain(error)));
}

/// The error's text and those causes that it does not quote already.
fn chain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}\n  caused by: {cause}");
        }
    }
    // A file may hold a name of any length.
    const MOST: usize = 1500;
    if let Some((end, _)) = text.char_indices().nth(MOST) {
        text.truncate(end);
        text.push('…');
    }
    text
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    // Only our own standard output: the library's errors wrap theirs in `mantissa::Error`.
    error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe)
}

/// A bar on standard error (none where that is not a terminal), counting bytes.
pub fn byte_bar(total: u64, what: &str) -> ProgressBar {
    bar(total, what, "{prefix} {wide_bar:.cyan/blue} {bytes}/{total_bytes}")
}

/// A bar on standard error (none where that is not a terminal), counting things.
pub fn count_bar(total: u64, what: &str) -> ProgressBar {
    bar(total, what, "{prefix} {wide_bar:.cyan/blue} {pos}/{len} {msg}")
}

fn bar(total: u64, what: &str, template: &str) -> ProgressBar {
    let bar = ProgressBar::new(total).with_prefix(what.to_owned());
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// A table without borders, so that its columns can be cut; `right` names columns of numbers.
pub fn table(header: &[&str], right: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    for &index in right {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_once() {
        let io = || std::io::Error::new(ErrorKind::NotFound, "no such file");
        let quoted = anyhow::Error::new(mantissa::Error::io("x.gguf", io()));
        assert_eq!(chain(&quoted), "x.gguf: no such file");
        let wrapped = anyhow::Error::new(io()).context("reading the model");
        assert_eq!(chain(&wrapped), "reading the model\n  caused by: no such file");
    }

    #[test]
    fn only_our_own_broken_pipe_is_silent() {
        let pipe = || std::io::Error::from(ErrorKind::BrokenPipe);
        assert!(is_broken_pipe(&pipe().into()));
        assert!(!is_broken_pipe(&mantissa::Error::io("a file", pipe()).into()));
    }
}
