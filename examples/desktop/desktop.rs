//! A chat window around a model on the GPU.
//!
//! `cargo run --release --example desktop [-- MODEL]`

#![cfg_attr(target_family = "wasm", no_main)]
#![cfg(not(target_family = "wasm"))]

use std::process::ExitCode;

fn main() -> ExitCode {
    env_logger::init();
    let model = std::env::args_os().nth(1).map(Into::into);
    match desktop::run(model) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
