//! Pipelines, compiled without holding up the page.

use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::{BoxFuture, browser};

/// A pipeline that the browser has made.
pub(crate) struct Compiled(JsValue);

impl Compiled {
    /// Makes the next `create_compute_pipeline` of this thread return it.
    pub(crate) fn give(&self) {
        browser::give(&self.0);
    }
}

/// Compiles what `create` asks wgpu for by the asynchronous constructor (`browser.js` says how). The
/// error is the browser's reason.
pub(crate) async fn compile(
    create: impl Fn() -> wgpu::ComputePipeline,
) -> Result<Compiled, String> {
    // What wgpu makes of the first call is no pipeline, and is dropped.
    let promise = browser::compile(&mut || drop(create()));
    match JsFuture::from(promise).await {
        Ok(pipeline) => Ok(Compiled(pipeline)),
        Err(error) => Err(match error.dyn_into::<js_sys::Error>() {
            Ok(error) => String::from(error.message()),
            Err(other) => format!("{other:?}"),
        }),
    }
}

/// How many pipelines are compiled at a time.
pub(crate) fn lanes() -> usize {
    (browser::cores() as usize).clamp(1, 4)
}

/// Work between the caller's. Nothing waits for its end.
pub(crate) struct Beside;

/// Begins work beside the caller's.
pub(crate) fn beside(work: BoxFuture<'static, ()>) -> Option<Beside> {
    wasm_bindgen_futures::spawn_local(work);
    Some(Beside)
}
