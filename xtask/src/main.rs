//! `cargo xtask`: sets up what is missing, runs the demo and every test.

mod demo;
mod desktop;
mod drivers;
mod python;
mod report;
mod setup;
mod shell;
mod suites;
mod system;
mod web;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

Commands:
  demo [PROMPT...] [-- FLAGS...]
          Set up what is missing (a software Vulkan driver, the default model), then answer
          PROMPT (\"Why is the sky blue?\") with SmolLM2-135M-Instruct. FLAGS go to `mantissa run`,
          for instance: cargo xtask demo \"Tell me a joke\" -- --temperature 0.8 --seed 7
  demo --desktop [MODEL]
          Set up what is missing (the same, and what a window needs), then open the chat window
          of examples/desktop.
  test [NAME...]
          Set up what is missing, then run every suite of the repository, or those whose name
          contains one of NAME. Prints a table and, last, `N passed, N failed`; exit code 1 if
          a suite fails. A failing suite does not stop the others.
  test --list
          Print the names of the suites.
  setup   Only set up: rustup components, both software Vulkan drivers, browsers, a virtual screen,
          Python and npm packages, the model.
  help    Print this.

What it changes: packages of the distribution (apt-get, as root or with sudo; only what is
missing), rustup components, target/, node_modules/ and dist/ of this repository, and the user's cache folder
(the model; MANTISSA_CACHE names another folder).
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match args.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &args[..]),
    };
    let asks_help = rest.iter().take_while(|a| *a != "--").any(|a| a == "--help" || a == "-h");
    if asks_help || matches!(command, "help" | "--help" | "-h") {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    shell::enter_repository();
    match command {
        "demo" if rest == ["--web"] => finish(web::build().and_then(|()| web::serve(None))),
        "demo" => finish(demo::run(rest)),
        "setup" if rest.is_empty() => suites::setup_only(),
        "test" => suites::run(rest),
        _ => {
            eprint!("error: unknown command {:?}\n\n{HELP}", args.join(" "));
            ExitCode::from(2)
        }
    }
}

fn finish(result: shell::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
