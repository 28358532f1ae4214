//! The browser: WebGPU through wasm-bindgen.
