//! Low-precision inference on any GPU, through WebGPU.

pub mod error;
pub mod formats;
pub mod gpu;
pub mod model;
pub mod ops;
pub mod platform;

pub use error::{Error, Result};
pub use gpu::Gpu;

/// The README's examples compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
