//! SHA-256 of a stream: the browser's own takes only what lies in memory whole.

use sha2::{Digest, Sha256 as Hasher};
use wasm_bindgen::prelude::*;

/// A hash in the making.
#[wasm_bindgen]
pub struct Sha256(Hasher);

#[wasm_bindgen]
impl Sha256 {
    /// Of nothing yet.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self(Hasher::new())
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash in lower-case hexadecimal.
    pub fn digest(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
