//! Error scopes around everything that wgpu may refuse: without them a refused command is dropped
//! in silence and its output reads as zeros.

use crate::error::Error;
use crate::platform::BoxFuture;

/// The three kinds of error, scoped at once.
pub(super) struct Scope([wgpu::ErrorScopeGuard; 3]);

impl Scope {
    /// Catches what goes wrong on this device from now on.
    pub(super) fn open(device: &wgpu::Device) -> Self {
        use wgpu::ErrorFilter::{Internal, OutOfMemory, Validation};
        Self([Validation, OutOfMemory, Internal].map(|filter| device.push_error_scope(filter)))
    }

    /// Stops catching; the future tells what was caught, the most telling first.
    pub(super) fn close(self) -> BoxFuture<'static, Option<wgpu::Error>> {
        let [validation, memory, internal] = self.0;
        let (internal, memory, validation) = (internal.pop(), memory.pop(), validation.pop());
        Box::pin(async move {
            let (internal, memory, validation) = (internal.await, memory.await, validation.await);
            memory.or(validation).or(internal)
        })
    }
}

/// wgpu's error as ours. `bytes` is what was asked for, if memory was; `in_use` what was taken before.
pub(super) fn to_error(what: &str, (bytes, in_use): (u64, u64), error: &wgpu::Error) -> Error {
    match error {
        wgpu::Error::OutOfMemory { .. } => {
            Error::OutOfMemory { what: what.into(), bytes, limit: in_use }
        }
        wgpu::Error::Validation { source, .. } | wgpu::Error::Internal { source, .. } => {
            Error::Gpu { what: what.into(), reason: with_causes(source.as_ref()) }
        }
    }
}

/// An error and its causes in one line: natively wgpu names the culprit only in the last.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
