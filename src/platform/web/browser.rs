//! The functions of `browser.js`.

use js_sys::Promise;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "/src/platform/web/browser.js")]
extern "C" {
    pub(super) fn tick(milliseconds: f64) -> Promise;
    pub(super) fn compile(create: &mut dyn FnMut()) -> Promise;
    pub(super) fn give(pipeline: &JsValue);
    pub(super) fn cores() -> u32;
    #[wasm_bindgen(js_name = askForSubgroups)]
    pub(super) fn ask_for_subgroups(want: bool);
    #[wasm_bindgen(js_name = askedForSubgroups)]
    pub(super) fn asked_for_subgroups() -> bool;
    #[wasm_bindgen(js_name = readsStorageTextures)]
    pub(super) fn reads_storage_textures() -> bool;
}
