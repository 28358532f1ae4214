//! Buffers on the device, in whole 32-bit words.

use std::sync::Arc;

use bytemuck::Pod;
use futures_channel::oneshot;

use super::device::Gpu;
use crate::error::{Error, Result};
use crate::platform;

/// A buffer of 32-bit words on a device, zero at first. Cheap to clone; clones share the memory.
#[derive(Debug, Clone)]
pub struct Buffer(Arc<Owned>);

#[derive(Debug)]
struct Owned {
    gpu: Gpu,
    raw: wgpu::Buffer,
    label: String,
    /// Bytes that count as this crate's.
    counted: u64,
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.gpu.count_bytes(-(self.counted as i64));
        platform::free(&self.raw);
    }
}

impl Buffer {
    /// A storage buffer of `words` words (at least 4, rounded up to a multiple of 4 so that it can
    /// be bound as vec4s), filled with zeros.
    ///
    /// # Errors
    /// [`Error::Limit`] where a binding or buffer may not be that large, [`Error::OutOfMemory`].
    pub async fn new(gpu: &Gpu, label: &str, words: usize) -> Result<Self> {
        use wgpu::BufferUsages as U;
        Self::with_usage(gpu, label, words, U::STORAGE | U::COPY_SRC | U::COPY_DST).await
    }

    /// A storage buffer that holds `data`, padded with zeros.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub async fn from_slice<T: Pod>(gpu: &Gpu, label: &str, data: &[T]) -> Result<Self> {
        let bytes: &[u8] = bytemuck::cast_slice(data);
        let buffer = Self::new(gpu, label, bytes.len().div_ceil(4)).await?;
        buffer.write(0, data);
        gpu.check()?;
        Ok(buffer)
    }

    /// A buffer for uniforms of `words` words, such as an operation's `Step`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub async fn uniform(gpu: &Gpu, label: &str, words: usize) -> Result<Self> {
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        Self::with_usage(gpu, label, words, usage).await
    }

    /// A buffer that the host can map to read `words` words.
    pub(crate) async fn staging(gpu: &Gpu, label: &str, words: usize) -> Result<Self> {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        Self::with_usage(gpu, label, words, usage).await
    }

    /// A buffer that query sets are resolved into.
    pub(super) async fn queries(gpu: &Gpu, label: &str, words: usize) -> Result<Self> {
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        Self::with_usage(gpu, label, words, usage).await
    }

    async fn with_usage(
        gpu: &Gpu,
        label: &str,
        words: usize,
        usage: wgpu::BufferUsages,
    ) -> Result<Self> {
        let size = (words.max(1) as u64).next_multiple_of(4) * 4;
        check_limits(gpu, label, size, usage)?;
        platform::check_memory(gpu, label, size)?;
        let descriptor =
            wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        let raw = gpu.scoped(label, size, |device| device.create_buffer(&descriptor)).await?;
        gpu.count_bytes(size as i64);
        Ok(Self(Arc::new(Owned { gpu: gpu.clone(), raw, label: label.into(), counted: size })))
    }

    /// A storage buffer that the program has already, on the same device. Its bytes are not counted
    /// in [`Gpu::allocated_bytes`].
    ///
    /// # Errors
    /// [`Error::Shape`] where it may not be bound as storage, or is no whole number of vec4s.
    pub fn from_wgpu(gpu: &Gpu, raw: wgpu::Buffer) -> Result<Self> {
        let (size, usage) = (raw.size(), raw.usage());
        if !usage.contains(wgpu::BufferUsages::STORAGE) || size == 0 || size % 16 != 0 {
            let expected = "a storage buffer of a multiple of 16 bytes".into();
            let got = format!("{size} bytes with {usage:?}");
            return Err(Error::Shape { op: "buffer", expected, got });
        }
        let label = "the program's buffer".into();
        Ok(Self(Arc::new(Owned { gpu: gpu.clone(), raw, label, counted: 0 })))
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.0.raw.size()
    }

    /// The wgpu buffer, for programs that share the device.
    pub fn raw(&self) -> &wgpu::Buffer {
        &self.0.raw
    }

    /// The device that it lives on.
    pub fn gpu(&self) -> &Gpu {
        &self.0.gpu
    }

    /// Writes `data` from word `at` on, before the next submit. A write past the end is refused by
    /// the device and poisons it; callers check their shapes first.
    pub fn write<T: Pod>(&self, at: usize, data: &[T]) {
        let bytes: &[u8] = bytemuck::cast_slice(data);
        let queue = self.0.gpu.queue();
        let whole = bytes.len() / 4 * 4;
        queue.write_buffer(&self.0.raw, at as u64 * 4, &bytes[..whole]);
        if whole < bytes.len() {
            let mut last = [0; 4];
            last[..bytes.len() - whole].copy_from_slice(&bytes[whole..]);
            queue.write_buffer(&self.0.raw, (at * 4 + whole) as u64, &last);
        }
    }

    /// Reads `len` words from word `at` on, after all that was submitted before.
    ///
    /// # Errors
    /// [`Error::Shape`] past the end; otherwise what the device says.
    pub async fn read<T: Pod>(&self, at: usize, len: usize) -> Result<Vec<T>> {
        if at.checked_add(len).is_none_or(|end| end as u64 > self.size() / 4) {
            let (expected, got) = (format!("≤ {} words", self.size() / 4), format!("{at} + {len}"));
            return Err(Error::Shape { op: "read", expected, got });
        }
        let gpu = &self.0.gpu;
        let staging = Self::staging(gpu, &format!("{} (read)", self.0.label), len).await?;
        let submission = gpu.submit(&self.0.label, |encoder| {
            encoder.copy_buffer_to_buffer(
                &self.0.raw,
                at as u64 * 4,
                &staging.0.raw,
                0,
                len as u64 * 4,
            );
        })?;
        let index = submission.accepted().await?;
        staging.read_mapped(len, index).await
    }

    /// Maps a staging buffer once the submission `index` has run, copies `len` words out, unmaps.
    pub(crate) async fn read_mapped<T: Pod>(
        &self,
        len: usize,
        index: wgpu::SubmissionIndex,
    ) -> Result<Vec<T>> {
        self.map(len).read(index).await
    }

    /// Asks for `len` words of a staging buffer, after all that was submitted before. Nothing may be
    /// submitted that uses the buffer until they are read.
    pub(crate) fn map(&self, len: usize) -> Mapping {
        let (tell, told) = oneshot::channel();
        if len > 0 {
            self.0.raw.slice(..len as u64 * 4).map_async(wgpu::MapMode::Read, move |result| {
                // The receiver is gone only if the read was cancelled.
                let _ = tell.send(result);
            });
        }
        Mapping { buffer: self.clone(), len, told }
    }
}

/// Words that were asked for.
#[derive(Debug)]
pub(crate) struct Mapping {
    buffer: Buffer,
    len: usize,
    told: oneshot::Receiver<std::result::Result<(), wgpu::BufferAsyncError>>,
}

impl Mapping {
    /// Waits for the submission behind which they were asked for, copies them out, unmaps.
    pub(crate) async fn read<T: Pod>(self, index: wgpu::SubmissionIndex) -> Result<Vec<T>> {
        if self.len == 0 {
            return Ok(Vec::new());
        }
        let Owned { gpu, raw, label, .. } = &*self.buffer.0;
        let failed = |reason: String| Error::Gpu { what: label.clone(), reason };
        let mapped = platform::told(gpu, label, index, self.told).await?;
        let mapped = mapped.map_err(|_| failed("mapping was dropped".into()))?;
        if mapped.is_err() {
            // The news that the device is gone may come behind the failure that it caused.
            platform::settle(gpu);
        }
        gpu.check()?;
        mapped.map_err(|e| failed(e.to_string()))?;
        let slice = raw.slice(..self.len as u64 * 4);
        let view = slice.get_mapped_range().map_err(|e| failed(e.to_string()))?;
        let words = bytemuck::pod_collect_to_vec(&view[..]);
        drop(view);
        raw.unmap();
        Ok(words)
    }
}

fn check_limits(gpu: &Gpu, label: &str, size: u64, usage: wgpu::BufferUsages) -> Result<()> {
    let limits = gpu.limits();
    let binding = usage.contains(wgpu::BufferUsages::STORAGE);
    let checks = [
        ("max_buffer_size", limits.max_buffer_size, true),
        ("max_storage_buffer_binding_size", limits.max_storage_buffer_binding_size, binding),
    ];
    for (limit, available, applies) in checks {
        if applies && size > available {
            return Err(Error::Limit { what: label.into(), needed: size, limit, available });
        }
    }
    Ok(())
}
