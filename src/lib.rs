//! Low-precision inference on any GPU, through WebGPU.

pub mod error;
// TEMPORARY, not to be merged: stands in for the engine while it is being built elsewhere.
mod engine_stub;
pub use engine_stub::{gpu, gpu::Gpu, ops};
pub mod formats;
pub mod model;
pub mod platform;

pub use error::{Error, Result};
