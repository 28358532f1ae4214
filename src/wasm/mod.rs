//! What the npm package calls: handles, and async functions that take and give plain values. It runs
//! in a Worker; `web/src/worker.ts` is on the other side.
//!
//! Structured values cross as JSON, numbers as typed arrays, errors as objects with a `code`.

mod bench;
mod conformance;
mod device;
mod error;
mod formats;
mod generate;
mod model;
mod sha256;
mod tuning;

use wasm_bindgen::prelude::*;

use error::Thrown;

/// What an exported function returns.
type JsResult<T> = std::result::Result<T, Thrown>;

/// A panic would leave promises open for ever; as an exception it reaches the Worker's error handler,
/// which ends the Worker.
#[wasm_bindgen(start)]
fn start() {
    std::panic::set_hook(Box::new(|info| wasm_bindgen::throw_str(&info.to_string())));
}

/// The package's version.
#[wasm_bindgen]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").into()
}

/// Bytes of this module's memory.
#[wasm_bindgen(js_name = wasmBytes)]
pub fn wasm_bytes() -> f64 {
    let memory: js_sys::WebAssembly::Memory = wasm_bindgen::memory().unchecked_into();
    let buffer: js_sys::ArrayBuffer = memory.buffer().unchecked_into();
    f64::from(buffer.byte_length())
}

/// JSON of what the page is told.
fn to_json(value: &impl serde::Serialize) -> JsResult<String> {
    serde_json::to_string(value).map_err(|e| Thrown::invalid("result", e))
}

/// What the page has told.
fn from_json<'a, T: serde::Deserialize<'a>>(json: &'a str) -> JsResult<T> {
    serde_json::from_str(json).map_err(|e| Thrown::invalid("options", e))
}
