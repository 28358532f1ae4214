//! Low-precision inference on any GPU, through WebGPU.
//!
//! Weights stay in their block format on the device and are decoded inside the multiplication, by
//! WGSL kernels that need neither f16 nor subgroups. Everything that waits for a device is async;
//! a native program blocks at its edge, with `pollster` or any other executor.
//!
//! # A model
//! ```no_run
//! # async fn tour() -> mantissa::Result<()> {
//! use mantissa::gpu::{Gpu, GpuOptions};
//! use mantissa::model::{GenerateOptions, Model, SessionOptions};
//!
//! let gpu = Gpu::request(&GpuOptions::default()).await?;
//! let file = mantissa::platform::open_model("model.gguf")?;
//! let model = Model::load(&gpu, file, &mut |_progress| {}).await?;
//! let mut session = model.session(&SessionOptions::default()).await?;
//!
//! let prompt = model.tokenizer()?.encode("The sea is", true, false)?;
//! let mut generation = session.generate(&prompt, GenerateOptions::default());
//! while let Some(_token) = generation.next().await? {}
//! # Ok(())
//! # }
//! ```
//! [`model`] reads files and generates; a [`Session`](model::Session) keeps a conversation and its
//! KV cache, and can be rebuilt on another device when one is lost.
//!
//! # One kernel
//! ```no_run
//! # async fn tour(gpu: &mantissa::Gpu) -> mantissa::Result<()> {
//! use mantissa::{formats, ops};
//!
//! let q4_1 = formats::by_name("q4_1")?;
//! let blocks = ops::quantize::quantize(gpu, q4_1, &[0.5; 3 * 64], 64).await?;
//! let y = ops::matmul::matmul(gpu, q4_1, &blocks, (3, 64), &[1.0; 64]).await?;
//! assert_eq!(y.len(), 3);
//! # Ok(())
//! # }
//! ```
//! [`ops`] has the operations, each with its f64 reference beside it; [`formats`] the number formats
//! and where their words lie on the device; [`gpu`] the device, plans of dispatches, and the linker
//! that joins WGSL files.

pub mod conformance;
#[cfg(feature = "download")]
pub mod download;
pub mod error;
pub mod formats;
pub mod gpu;
pub mod model;
pub mod ops;
pub mod platform;
pub mod probes;
pub mod quantize;
pub mod tune;
#[cfg(feature = "web")]
mod wasm;

pub use error::{Error, Result};
pub use gpu::Gpu;
/// The version of wgpu whose devices and buffers this crate shares with a program.
pub use wgpu;

/// The README's examples compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
