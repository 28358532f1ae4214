//! `mantissa-bindgen IN.wasm OUT_FOLDER`: what wasm-bindgen's own program does, for a Worker.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [input, folder] = &args[..] else {
        eprintln!("usage: mantissa-bindgen IN.wasm OUT_FOLDER");
        return ExitCode::from(2);
    };
    let mut bindgen = wasm_bindgen_cli_support::Bindgen::new();
    let made = bindgen.input_path(input).out_name("mantissa").web(true);
    let written = made.and_then(|bindgen| {
        bindgen
            .omit_default_module_path(false)
            .typescript(true)
            .remove_name_section(true)
            .remove_producers_section(true);
        bindgen.generate(folder)
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {input}: {error:?}");
            ExitCode::FAILURE
        }
    }
}
