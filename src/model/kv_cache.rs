//! Keys and values of all positions so far.

use super::config::ModelConfig;
use crate::error::Result;
use crate::formats::FormatRef;
use crate::gpu::Gpu;
use crate::ops::kv::{Kv, KvShape};
use crate::platform;

/// The keys and values of every layer, in a number format of their own.
#[derive(Debug)]
pub struct KvCache {
    /// Their format: any that [`can_hold`](crate::ops::kv::can_hold) allows.
    pub format: FormatRef,
    /// Heads, their width, and positions.
    pub shape: KvShape,
    /// (keys, values) per layer.
    pub layers: Vec<(Kv, Kv)>,
}

impl KvCache {
    /// An empty cache.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory) or [`Error::Limit`](crate::Error::Limit)
    /// where the context is too long for the device, [`Error::InvalidOption`](crate::Error::InvalidOption)
    /// for a format that cannot be appended to on a device.
    pub async fn new(
        gpu: &Gpu,
        config: &ModelConfig,
        positions: usize,
        format: FormatRef,
    ) -> Result<Self> {
        let shape = KvShape { heads: config.kv_heads, head_dim: config.head_size, positions };
        let label = format!("KV cache of {positions} positions in {}", format.name());
        platform::check_memory(gpu, &label, Self::bytes_of(config, positions, format))?;
        let mut layers = Vec::with_capacity(config.layers);
        for _ in 0..config.layers {
            let keys = Kv::keys(gpu, format, shape).await?;
            layers.push((keys, Kv::values(gpu, format, shape).await?));
        }
        Ok(Self { format, shape, layers })
    }

    /// Bytes that such a cache takes on a device.
    pub fn bytes_of(config: &ModelConfig, positions: usize, format: FormatRef) -> u64 {
        let shape = KvShape { heads: config.kv_heads, head_dim: config.head_size, positions };
        Kv::bytes(format, shape).saturating_mul(2 * config.layers as u64)
    }

    /// Bytes of the device that it takes.
    pub fn bytes(&self) -> u64 {
        self.layers.iter().map(|(k, v)| k.matrix.bytes() + v.matrix.bytes()).sum()
    }
}
