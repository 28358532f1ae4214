//! `cargo xtask test`: every suite there is, by name.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::report::Report;
use crate::setup::{Setup, binary, set_up};
use crate::shell::{Result, cargo, command, in_one_piece, run as execute, succeeds, target};
use crate::{desktop, drivers, web};

/// One suite: a name and what it runs.
struct Suite {
    name: String,
    when: When,
    run: Box<Run>,
}

/// What may run at the same time.
#[derive(Clone, Copy, PartialEq)]
enum When {
    /// Nothing: it has our code compiled, which takes all cores.
    Alone,
    /// One that stands back: it looks at how quick a page is.
    Ahead,
    /// Any other such: how long things take is not what it is about.
    Beside,
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
    let chosen: Vec<_> = suites.into_iter().filter(chosen).collect();
    if chosen.is_empty() {
        eprintln!("error: no suite is called {filters:?}; see cargo xtask test --list");
        return ExitCode::from(2);
    }
    let (alone, others): (Vec<_>, Vec<_>) = chosen.into_iter().partition(|s| s.when == When::Alone);
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
    for pair in in_pairs(others, &setup) {
        report.extend(pair);
    }
    finish(&report)
}

/// Runs suites two at a time, in their order. What starts while there is one that goes ahead stands
/// back to its end.
fn in_pairs(suites: Vec<Suite>, setup: &Setup) -> [Report; 2] {
    let (ahead, beside): (Vec<_>, Vec<_>) = suites.into_iter().partition(|s| s.when == When::Ahead);
    let ahead_left = AtomicUsize::new(ahead.len());
    let queue = Mutex::new(beside.into_iter());
    let next = || queue.lock().ok()?.next();
    let one = |suite: &Suite, report: &mut Report| {
        let name = &suite.name;
        report.run(name, || in_one_piece(name, || (suite.run)(setup)));
    };
    let first = || {
        let mut report = Report::default();
        for suite in &ahead {
            one(suite, &mut report);
            ahead_left.fetch_sub(1, Ordering::Relaxed);
        }
        std::iter::from_fn(next).for_each(|suite| one(&suite, &mut report));
        report
    };
    let second = || {
        let mut report = Report::default();
        for suite in std::iter::from_fn(next) {
            let stands_back = ahead_left.load(Ordering::Relaxed) > 0;
            // In a thread of its own, since only root takes back what is given away.
            thread::scope(|scope| {
                scope.spawn(|| {
                    if stands_back {
                        stand_back();
                    }
                    one(&suite, &mut report);
                });
            });
        }
        report
    };
    thread::scope(|scope| {
        let threads = [scope.spawn(first), scope.spawn(second)];
        threads.map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Lets others go first, before this thread and all programs that it starts. Where that is not
/// possible, nothing is lost but the other's quiet.
fn stand_back() {
    let thread = std::fs::read_link("/proc/thread-self").unwrap_or_default();
    if let Some(id) = thread.file_name() {
        succeeds(command("renice").args(["-n", "10", "-p"]).arg(id));
    }
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
    suites.push(on_lavapipe(None));
    suites.extend(browsers().unwrap_or_else(|error| vec![missing("web", error)]));
    suites.push(on_swiftshader());
    suites.extend([Some(4), Some(16)].map(on_lavapipe));
    suites.extend(peers().unwrap_or_else(|error| vec![missing("peers", error)]));
    suites
}

fn new(
    name: impl Into<String>,
    run: impl Fn(&Setup) -> Result<()> + Send + Sync + 'static,
) -> Suite {
    Suite { name: name.into(), when: When::Alone, run: Box::new(run) }
}

fn plain(name: &str, args: &str) -> Suite {
    let args = args.to_owned();
    new(name, move |_| execute(&mut cargo(&args)))
}

/// With both drivers on offer: GPU tests run on each adapter they see, and fail if one that
/// `MANTISSA_REQUIRE_ADAPTERS` names is not there.
fn on_both_drivers(name: &str, args: &str) -> Suite {
    let args = args.to_owned();
    let run = move |setup: &Setup| execute(with_drivers(unoptimised(&mut cargo(&args)), setup)?);
    new(name, run)
}

/// tests/gpu on SwiftShader.
fn on_swiftshader() -> Suite {
    let run = |setup: &Setup| {
        let swiftshader = present(&setup.swiftshader, "SwiftShader")?;
        execute(&mut gpu_tests("SwiftShader", swiftshader)?)
    };
    Suite { when: When::Beside, ..new("gpu (SwiftShader)", run) }
}

/// tests/gpu on lavapipe, whose subgroup is as wide as the vectors it compiles for: 8 by itself on
/// most machines, 4 and 16 where asked, with which what uses subgroups is tried again.
fn on_lavapipe(lanes: Option<u32>) -> Suite {
    let run = move |setup: &Setup| {
        let mut tests = gpu_tests("llvmpipe", present(&setup.lavapipe, "lavapipe")?)?;
        unoptimised(&mut tests);
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
    Suite { when: When::Beside, ..new(name, run) }
}

/// tests/gpu with one driver. In a process of its own, since lavapipe compiles one shader at a time
/// in each; with half of the cores, since another suite has the others.
fn gpu_tests(adapter: &str, driver: &Path) -> Result<Command> {
    let threads = thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
    let mut tests = cargo(&format!("test --workspace --test gpu -- --test-threads {threads}"));
    tests
        .env("VK_ICD_FILENAMES", driver)
        .env("MANTISSA_REQUIRE_ADAPTERS", adapter)
        .env("XDG_RUNTIME_DIR", runtime_dir()?);
    Ok(tests)
}

/// Tells lavapipe to leave LLVM's passes out, which take a third of the time where a kernel runs but a
/// few times; the browsers and the peers run what is optimised.
fn unoptimised(tests: &mut Command) -> &mut Command {
    tests.env("GALLIVM_PERF", "nopt")
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
    // The others look at how quick the page is.
    let when = if file == "package" { When::Beside } else { When::Ahead };
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
    Suite { when, ..new(name, run) }
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
    Suite { when: When::Beside, ..new(name, run) }
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
