//! What differs between native programs and the browser; the only `cfg(target_arch)` in the crate.
//! Both modules offer the same names.

#[cfg(not(target_arch = "wasm32"))]
mod native;
#[cfg(not(target_arch = "wasm32"))]
pub use native::*;

#[cfg(target_arch = "wasm32")]
mod web;
#[cfg(target_arch = "wasm32")]
pub use web::*;

#[cfg(all(feature = "cli", not(target_arch = "wasm32")))]
mod program_native;
#[cfg(all(feature = "cli", not(target_arch = "wasm32")))]
pub use program_native::*;

#[cfg(all(feature = "cli", target_arch = "wasm32"))]
mod program_web;
#[cfg(all(feature = "cli", target_arch = "wasm32"))]
pub use program_web::*;

#[cfg(all(feature = "download", not(target_arch = "wasm32")))]
mod download_native;
#[cfg(all(feature = "download", not(target_arch = "wasm32")))]
pub use download_native::*;

#[cfg(all(feature = "download", target_arch = "wasm32"))]
mod download_web;
#[cfg(all(feature = "download", target_arch = "wasm32"))]
pub use download_web::*;
