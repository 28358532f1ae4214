//! The examples run: each is compiled into this test, and its `main`, or what `main` calls with the
//! words of the command line, is called on this machine's best adapter.

use std::path::Path;

use libtest_mimic::{Arguments, Failed, Trial};

#[path = "../examples/custom_format.rs"]
#[expect(dead_code, reason = "its main would read the command line of this test")]
mod custom_format;
#[path = "../examples/embed_in_wgpu.rs"]
mod embed_in_wgpu;
#[path = "../examples/generate.rs"]
#[expect(dead_code, reason = "its main would read the command line of this test")]
mod generate;
#[path = "../examples/one_kernel.rs"]
mod one_kernel;
#[path = "../examples/softmax.rs"]
mod softmax;

/// A model with a tokenizer and a chat template; what it says means nothing.
const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/models/tied_q4_1.gguf");

type Outcome = Result<(), Box<dyn std::error::Error>>;

const EXAMPLES: &[(&str, fn() -> Outcome)] = &[
    ("custom_format", || {
        pollster::block_on(custom_format::try_format(5, 32, None))?;
        pollster::block_on(custom_format::try_format(8, 16, Some(MODEL)))
    }),
    ("embed_in_wgpu", embed_in_wgpu::main),
    ("generate", || Ok(pollster::block_on(generate::answer(MODEL, "Why?"))?)),
    ("one_kernel", || Ok(one_kernel::main()?)),
    ("softmax", || Ok(softmax::main()?)),
];

const MAX_LINES: usize = 80;

fn main() {
    let no_adapter = pollster::block_on(mantissa::gpu::adapters()).is_empty();
    let run = |(name, example): &(&str, fn() -> Outcome)| {
        let example = *example;
        let run = move || example().map_err(|e| Failed::from(e.to_string()));
        Trial::test(*name, run).with_ignored_flag(no_adapter)
    };
    let mut trials: Vec<Trial> = EXAMPLES.iter().map(run).collect();
    trials.push(Trial::test("all of them are here, and short", all_are_here));
    // An example is a program: it has the machine to itself.
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    libtest_mimic::run(&arguments, trials).exit();
}

fn all_are_here() -> Result<(), Failed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|e| e != "rs") {
            continue;
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !EXAMPLES.iter().any(|(known, _)| *known == name) {
            return Err(format!("{name} is not run").into());
        }
        let lines = std::fs::read_to_string(&path)?.lines().count();
        if lines >= MAX_LINES {
            return Err(format!(
                "{name} has {lines} lines; an example is shorter than {MAX_LINES}"
            )
            .into());
        }
    }
    Ok(())
}
