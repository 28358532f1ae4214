//! `cargo xtask test`: every suite there is, by name.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::thread;

use crate::report::Report;
use crate::setup::{Setup, binary, set_up};
use crate::shell::{Result, cargo, command, in_one_piece, run as execute, target};
use crate::{desktop, drivers, web};

/// One suite: a name and what it runs.
struct Suite {
    name: String,
    /// Whether another such suite may run at the same time: it compiles none of our code, and how
    /// long things take is not what it is about.
    beside: bool,
    run: Box<Run>,
}

type Run = dyn Fn(&Setup) -> Result<()> + Send + Sync;

/// Runs all suites, or those whose name contains one of `filters`.
pub fn run(filters: &[String]) -> ExitCode {
    let suites = all();
    if filters.iter().any(|f| f == "--list") {
        suites.iter().for_each(|s| println!("{}", s.name));
        return ExitCode::SUCCESS;
    }
    let chosen = |s: &Suite| filters.is_empty() || filters.iter().any(|f| s.name.contains(f));
    let (beside, alone): (Vec<_>, Vec<_>) =
        suites.into_iter().filter(chosen).partition(|suite| suite.beside);
    if beside.is_empty() && alone.is_empty() {
        eprintln!("error: no suite is called {filters:?}; see cargo xtask test --list");
        return ExitCode::from(2);
    }
    let mut report = Report::default();
    let setup = set_up(&mut report);
    // Where nobody watches, what failed is to be found at the end of the log.
    let watched = std::env::var_os("CI").is_none();
    for Suite { name, run, .. } in alone {
        report.run(&name, || match watched {
            true => run(&setup),
            false => in_one_piece(&name, || run(&setup)),
        });
    }
    for pair in in_pairs(beside, &setup) {
        report.extend(pair);
    }
    finish(&report)
}

/// Runs suites two at a time, in their order.
fn in_pairs(suites: Vec<Suite>, setup: &Setup) -> Vec<Report> {
    let queue = Mutex::new(suites.into_iter());
    let next = || queue.lock().ok()?.next();
    let work = || {
        let mut report = Report::default();
        while let Some(suite) = next() {
            let name = &suite.name;
            report.run(name, || in_one_piece(name, || (suite.run)(setup)));
        }
        report
    };
    thread::scope(|scope| {
        let threads = [scope.spawn(work), scope.spawn(work)];
        let joined = threads.map(|thread| thread.join());
        joined.into_iter().map(|r| r.unwrap_or_else(|p| std::panic::resume_unwind(p))).collect()
    })
}

/// Sets up what the suites need and nothing else.
pub fn setup_only() -> ExitCode {
    let mut report = Report::default();
    set_up(&mut report);
    finish(&report)
}

fn finish(report: &Report) -> ExitCode {
    print!("{}", report.table());
    if report.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// All but the documentation's examples, which cargo runs only by themselves, the benches, and the
/// trials of tests/gpu on a device. Of `examples/`, all are built with the window's, and run by
/// tests/examples.rs.
const TESTS: &str = "test --workspace --lib --bins --tests --no-fail-fast -- --skip [Vulkan/";

/// THE list of suites, in the order in which they run: what fails fast comes first.
///
/// Cargo gives a dependency the features that the *chosen* packages and targets ask for. So every
/// suite chooses the whole workspace and at least one target with the tests' dependencies: else
/// naga, wgpu and all above them are compiled again for each other choice.
fn all() -> Vec<Suite> {
    let wasm = "--target wasm32-unknown-unknown";
    let mut suites = vec![
        plain("rustfmt", "fmt --all --check"),
        plain("clippy (native)", "clippy --workspace --all-targets -- -D warnings"),
        plain("clippy (model_text)", "clippy --workspace --test model_text -- -D warnings"),
        plain("clippy (wasm32)", &format!("clippy --all-targets {wasm} -- -D warnings")),
        plain(
            "clippy (wasm32, package)",
            &format!(
                "clippy -p mantissa --lib --no-default-features --features web {wasm} -- -D warnings"
            ),
        ),
        // Code is made of the larger set of features, by `web: build`.
        plain(
            "check (wasm32, library)",
            &format!("check -p mantissa --lib --no-default-features {wasm}"),
        ),
        plain("check (native, library)", "check -p mantissa --lib --no-default-features"),
        on_both_drivers("cargo test", TESTS),
        plain("cargo test --doc", "test --workspace --doc"),
        documentation(),
        model_suite(),
        desktop_suite(),
    ];
    suites.push(new("web: build", |_| web::build()));
    suites.push(new("web: size", |_| web::budget()));
    suites.extend(browsers().unwrap_or_else(|error| vec![missing("web", error)]));
    suites.push(on_swiftshader());
    suites.extend([None, Some(4), Some(16)].map(on_lavapipe));
    suites.extend(peers().unwrap_or_else(|error| vec![missing("peers", error)]));
    suites
}

fn new(
    name: impl Into<String>,
    run: impl Fn(&Setup) -> Result<()> + Send + Sync + 'static,
) -> Suite {
    Suite { name: name.into(), beside: false, run: Box::new(run) }
}

fn plain(name: &str, args: &str) -> Suite {
    let args = args.to_owned();
    new(name, move |_| execute(&mut cargo(&args)))
}

/// With both drivers on offer: GPU tests run on each adapter they see, and fail if one that
/// `MANTISSA_REQUIRE_ADAPTERS` names is not there.
fn on_both_drivers(name: &str, args: &str) -> Suite {
    let args = args.to_owned();
    let run = move |setup: &Setup| execute(with_drivers(&mut cargo(&args), setup)?);
    new(name, run)
}

/// tests/gpu on SwiftShader.
fn on_swiftshader() -> Suite {
    let run = |setup: &Setup| {
        let swiftshader = present(&setup.swiftshader, "SwiftShader")?;
        execute(&mut gpu_tests("SwiftShader", swiftshader)?)
    };
    Suite { beside: true, ..new("gpu (SwiftShader)", run) }
}

/// tests/gpu on lavapipe, whose subgroup is as wide as the vectors it compiles for: 8 by itself on
/// most machines, 4 and 16 where asked, with which what uses subgroups is tried again.
fn on_lavapipe(lanes: Option<u32>) -> Suite {
    let run = move |setup: &Setup| {
        let mut tests = gpu_tests("llvmpipe", present(&setup.lavapipe, "lavapipe")?)?;
        if let Some(lanes) = lanes {
            tests
                .env("MANTISSA_SUBGROUPS", lanes.to_string())
                .env("LP_NATIVE_VECTOR_WIDTH", (32 * lanes).to_string());
        }
        execute(&mut tests)
    };
    let name = match lanes {
        Some(lanes) => format!("gpu (lavapipe, subgroups of {lanes})"),
        None => "gpu (lavapipe)".into(),
    };
    Suite { beside: true, ..new(name, run) }
}

/// tests/gpu with one driver. In a process of its own, since lavapipe compiles one shader at a time
/// in each.
fn gpu_tests(adapter: &str, driver: &Path) -> Result<Command> {
    let mut tests = cargo("test --workspace --test gpu");
    tests
        .env("VK_ICD_FILENAMES", driver)
        .env("MANTISSA_REQUIRE_ADAPTERS", adapter)
        .env("XDG_RUNTIME_DIR", runtime_dir()?);
    Ok(tests)
}

fn documentation() -> Suite {
    // What `doc` takes by itself, and an example, for its features.
    let targets = "--lib --bin xtask --bin mantissa-bindgen --example softmax";
    let run = move |_: &Setup| {
        let mut doc = cargo(&format!("doc --workspace --no-deps {targets}"));
        execute(doc.env("RUSTDOCFLAGS", "-D warnings"))
    };
    new("cargo doc", run)
}

/// Tests in Rust that read the default model.
fn model_suite() -> Suite {
    let run = |setup: &Setup| {
        let mut cargo = cargo("test --workspace --test model_text");
        let model = present(&setup.model, "the default model")?;
        execute(with_drivers(cargo.env("MANTISSA_MODEL", model), setup)?)
    };
    new("model_text", run)
}

/// The window of examples/desktop on a virtual screen, with the default model.
fn desktop_suite() -> Suite {
    let run = |setup: &Setup| {
        present(&setup.screen, "the virtual screen")?;
        let model = present(&setup.model, "the default model")?;
        let lavapipe = present(&setup.lavapipe, "lavapipe")?;
        let runtime = runtime_dir()?;
        let drivers = |command: &mut Command| {
            command.env("VK_ICD_FILENAMES", lavapipe).env("XDG_RUNTIME_DIR", &runtime);
        };
        desktop::end_to_end(model, &binary(), &drivers)
    };
    new("desktop (window under Xvfb)", run)
}

/// A suite that cannot even be listed: it fails, so that it is not overlooked.
fn missing(name: &str, error: String) -> Suite {
    new(name, move |_| Err(error.clone()))
}

/// A suite for each file of tests that hold our program against llama.cpp, gguf and numpy.
fn peers() -> Result<Vec<Suite>> {
    let folder = "tests/peers";
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{folder}: {e}"))?;
    let mut files: Vec<String> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("test_") && name.ends_with(".py"))
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(format!("{folder}: no test_*.py"));
    }
    Ok(files.into_iter().map(|file| pytest(format!("{folder}/{file}"))).collect())
}

/// A suite for each file of browser tests and each browser.
fn browsers() -> Result<Vec<Suite>> {
    let files = web::tests()?;
    let of_file =
        |file: &String| ["chromium", "firefox"].map(|browser| in_browser(file.clone(), browser));
    Ok(files.iter().flat_map(of_file).collect())
}

fn in_browser(file: String, browser: &'static str) -> Suite {
    let name = format!("web: {file} ({browser})");
    let beside = file == "package";
    let run = move |setup: &Setup| {
        present(&setup.browsers, "browsers")?;
        let mut node = command("node");
        node.args([
            "--test",
            "--test-timeout=2400000",
            "--test-reporter=spec",
            &format!("web/tests/{file}.test.mjs"),
        ])
        .env("MANTISSA_BROWSERS", browser)
        .env("MANTISSA_LAVAPIPE_ICD", present(&setup.lavapipe, "lavapipe")?)
        .env("MANTISSA_SWIFTSHADER_ICD", present(&setup.swiftshader, "SwiftShader")?)
        .env("MANTISSA_BIN", binary())
        .env("MANTISSA_MODEL", present(&setup.model, "the default model")?)
        .env("XDG_RUNTIME_DIR", runtime_dir()?);
        execute(&mut node)
    };
    // The others look at how quick the page is.
    Suite { beside, ..new(name, run) }
}

fn pytest(file: String) -> Suite {
    let name = file.trim_start_matches("tests/").trim_end_matches(".py").replace("/test_", ": ");
    let run = move |setup: &Setup| {
        let mut pytest = command(present(&setup.python, "Python packages")?);
        pytest
            .args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations=5", &file])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("MANTISSA_LAVAPIPE_ICD", present(&setup.lavapipe, "lavapipe")?)
            .env("MANTISSA_SWIFTSHADER_ICD", present(&setup.swiftshader, "SwiftShader")?)
            .env("MANTISSA_BIN", binary())
            .env("MANTISSA_MODEL", present(&setup.model, "the default model")?);
        execute(with_drivers(&mut pytest, setup)?)
    };
    Suite { beside: true, ..new(name, run) }
}

fn with_drivers<'a>(command: &'a mut Command, setup: &Setup) -> Result<&'a mut Command> {
    let lavapipe = present(&setup.lavapipe, "lavapipe")?;
    let swiftshader = present(&setup.swiftshader, "SwiftShader")?;
    Ok(command
        .env("VK_ICD_FILENAMES", drivers::icd_filenames(&[lavapipe, swiftshader]))
        .env("MANTISSA_REQUIRE_ADAPTERS", "llvmpipe,SwiftShader")
        .env("XDG_RUNTIME_DIR", runtime_dir()?))
}

fn present<'a, T>(thing: &'a Option<T>, name: &str) -> Result<&'a T> {
    thing.as_ref().ok_or_else(|| format!("{name} could not be set up; see above"))
}

/// Mesa complains on standard error where this folder is not set.
fn runtime_dir() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("XDG_RUNTIME_DIR") {
        return Ok(dir.into());
    }
    let dir = target().join("runtime");
    std::fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    Ok(dir)
}
