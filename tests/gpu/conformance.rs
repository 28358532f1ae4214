//! The conformance suite that visitors run in a browser, here on every adapter. It is the library's
//! (`src/conformance/`), with bounds of its own; the trials beside this one go further.

use mantissa::Gpu;
use mantissa::conformance::cases;
use mantissa::formats::FormatRef;
use pollster::block_on;

use crate::support::{Case, Outcome, case};

/// What reads and writes no packed values.
pub fn trials() -> Vec<(String, Case)> {
    vec![case("no_format", |gpu| cases_of(gpu, None))]
}

/// What is done with a format.
pub fn format_trials(format: FormatRef) -> Vec<(String, Case)> {
    vec![case(format.name(), move |gpu| cases_of(gpu, Some(format)))]
}

fn cases_of(gpu: &Gpu, format: Option<FormatRef>) -> Outcome {
    let name = format.map(|f| f.name());
    let mut mine = cases();
    mine.retain(|case| case.format.map(|f| f.name()) == name);
    if mine.is_empty() {
        return Err("there is no case".into());
    }
    let mut failures = Vec::new();
    for case in mine {
        let outcome = block_on(case.run(gpu))?;
        if !outcome.passed {
            failures.push(format!("{} {case}: {}", case.op, outcome.detail));
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n").into()) }
}
