//! Model files in a browser.

use std::borrow::Cow;
use std::io;

use js_sys::Uint8Array;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::Blob;

use crate::error::{Error, Result};
use crate::model::source::{BoxFuture, ByteSource, past_end};

/// A `Blob`, or a `File`: picked, dropped, or kept in the origin's private file system.
#[derive(Debug, Clone)]
pub struct BlobSource {
    name: String,
    blob: Blob,
    len: u64,
}

impl BlobSource {
    /// A source called `name` in messages.
    pub fn new(name: impl Into<String>, blob: Blob) -> Self {
        let len = blob.size() as u64;
        Self { name: name.into(), blob, len }
    }

    async fn bytes(&self, offset: u64, len: usize) -> Result<Vec<u8>> {
        let end = offset.checked_add(len as u64).filter(|end| *end <= self.len);
        let end = end.ok_or_else(|| past_end(&self.name, offset, len, self.len))?;
        let failed = |error: JsValue| {
            let reason = error.dyn_into::<js_sys::Error>();
            let reason = reason.map_or_else(|e| format!("{e:?}"), |e| String::from(e.message()));
            Error::io(&self.name, io::Error::other(reason))
        };
        let slice = self.blob.slice_with_f64_and_f64(offset as f64, end as f64).map_err(failed)?;
        let buffer = JsFuture::from(slice.array_buffer()).await.map_err(failed)?;
        Ok(Uint8Array::new(&buffer).to_vec())
    }
}

impl ByteSource for BlobSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn read(&self, offset: u64, len: usize) -> BoxFuture<'_, Result<Cow<'_, [u8]>>> {
        Box::pin(async move { self.bytes(offset, len).await.map(Cow::Owned) })
    }
}
