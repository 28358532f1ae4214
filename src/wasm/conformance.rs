//! The conformance suite, a case at a time.

use serde::Serialize;
use wasm_bindgen::prelude::*;

use super::device::Device;
use super::error::Thrown;
use super::{JsResult, to_json};
use crate::conformance::{Case, Outcome, cases};
use crate::error::Error;

#[derive(Serialize)]
struct Listed {
    op: &'static str,
}

#[derive(Serialize)]
struct Row {
    op: &'static str,
    format: Option<&'static str>,
    shape: String,
    error: Option<f64>,
    passed: bool,
    detail: String,
}

/// The cases in their order, as JSON.
#[wasm_bindgen(js_name = conformanceCases)]
pub fn list() -> JsResult<String> {
    to_json(&cases().iter().map(|case| Listed { op: case.op }).collect::<Vec<_>>())
}

#[wasm_bindgen]
impl Device {
    /// Runs the case at this place of the list; a row, as JSON.
    #[wasm_bindgen(js_name = conformanceCase)]
    pub async fn conformance_case(&self, index: usize) -> JsResult<String> {
        let cases = cases();
        let unknown = || Thrown::invalid("index", format!("{index} of {}", cases.len()));
        let case: &Case = cases.get(index).ok_or_else(unknown)?;
        // A device that refuses a kernel is a finding, not the end of the suite.
        let failed = |e: Error| Outcome { error: None, passed: false, detail: format!("{e}") };
        let Outcome { error, passed, detail } = case.run(&self.gpu).await.unwrap_or_else(failed);
        to_json(&Row {
            op: case.op,
            format: case.format.map(|f| f.name()),
            shape: case.to_string(),
            error: error.filter(|e| e.is_finite()),
            passed,
            detail,
        })
    }
}
