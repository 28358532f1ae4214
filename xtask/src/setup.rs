//! What the suites need and a plain machine lacks.

use std::path::PathBuf;
use std::thread;

use crate::report::Report;
use crate::shell::{Result, cargo, command, output, run, target};
use crate::{desktop, drivers, python, system, web};

/// What setting up found; a suite that needs a missing piece fails with its name.
#[derive(Default)]
pub struct Setup {
    pub lavapipe: Option<PathBuf>,
    pub swiftshader: Option<PathBuf>,
    pub python: Option<PathBuf>,
    pub model: Option<PathBuf>,
    pub browsers: Option<()>,
    pub screen: Option<()>,
}

/// Sets it all up: one thread compiles while another waits for the network.
pub fn set_up(report: &mut Report) -> Setup {
    report.run("set up: Rust", system::rust_parts);
    let mut fetching = Report::default();
    let (mut setup, compiling) = thread::scope(|scope| {
        let compiling = scope.spawn(compile);
        let setup = fetch(&mut fetching);
        (setup, compiling.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    report.extend(fetching);
    report.extend(compiling);
    setup.model = report.run("set up: default model", default_model);
    setup
}

fn fetch(report: &mut Report) -> Setup {
    let setup = Setup {
        lavapipe: report.run("set up: lavapipe", drivers::ensure_lavapipe),
        swiftshader: report.run("set up: SwiftShader", drivers::ensure_swiftshader),
        python: report.run("set up: Python packages", python::ensure_venv),
        browsers: report.run("set up: browsers", web::ensure_browsers),
        screen: report.run("set up: virtual screen", desktop::ensure_screen),
        model: None,
    };
    report.run("set up: npm packages", web::ensure_packages);
    python::ensure_pip();
    setup
}

/// With a test beside the program, which brings in what the tests' dependencies ask of ours: see
/// the list of suites.
fn compile() -> Report {
    let mut report = Report::default();
    let build = || run(&mut cargo("build --workspace --bin mantissa --test tidy"));
    report.run("set up: mantissa", build);
    report
}

fn default_model() -> Result<PathBuf> {
    let shown = output(command(binary()).arg("fetch"))?;
    Ok(PathBuf::from(shown.trim()))
}

/// The `mantissa` that the suites call: of the dev profile, which is optimised and checks
/// overflows and debug assertions.
pub fn binary() -> PathBuf {
    target().join("debug/mantissa")
}
