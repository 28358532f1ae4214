//! Low-precision inference on any GPU, through WebGPU.

pub mod error;
pub mod formats;
pub mod model;
pub mod platform;

pub use error::{Error, Result};
