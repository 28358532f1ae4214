//! Keys and values of all positions so far.

use super::config::ModelConfig;
use crate::error::Result;
use crate::gpu::{Buffer, Gpu};
use crate::platform;

/// A buffer of keys and one of values per layer, each [context, kv_heads · head_size] in f32.
#[derive(Debug)]
pub struct KvCache {
    /// Positions that it holds.
    pub context: usize,
    /// (keys, values) per layer.
    pub layers: Vec<(Buffer, Buffer)>,
}

impl KvCache {
    /// An empty cache.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory) or [`Error::Limit`](crate::Error::Limit)
    /// where the context is too long for the device.
    pub async fn new(gpu: &Gpu, config: &ModelConfig, context: usize) -> Result<Self> {
        let words = context.saturating_mul(config.kv_width());
        let bytes = (words as u64).saturating_mul(8 * config.layers as u64);
        let label = format!("KV cache of {context} positions");
        platform::check_memory(gpu, &label, bytes)?;
        let mut layers = Vec::with_capacity(config.layers);
        for _ in 0..config.layers {
            let k = Buffer::new(gpu, &label, words).await?;
            let v = Buffer::new(gpu, &label, words).await?;
            layers.push((k, v));
        }
        Ok(Self { context, layers })
    }

    /// Bytes of the device that it takes.
    pub fn bytes(&self) -> u64 {
        self.layers.iter().map(|(k, v)| k.size() + v.size()).sum()
    }
}
