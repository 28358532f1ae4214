//! The conformance suite that visitors run in a browser, here on every adapter. It is the library's
//! (`src/conformance/`), with bounds of its own; the trials beside this one go further.

use mantissa::Gpu;
use mantissa::conformance::cases;
use pollster::block_on;

use crate::support::{Case, Outcome, case};

pub fn trials() -> Vec<(String, Case)> {
    vec![case("every_case", every_case)]
}

fn every_case(gpu: &Gpu) -> Outcome {
    let mut failures = Vec::new();
    for case in cases() {
        let outcome = block_on(case.run(gpu))?;
        if !outcome.passed {
            let format = case.format.map_or("", |f| f.name());
            failures.push(format!("{} {format} {case}: {}", case.op, outcome.detail));
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n").into()) }
}
