//! Textures of vec4s: what kernels only read, on drivers that load texels faster than words of a buffer.

use std::sync::Arc;

use super::buffer::Buffer;
use super::device::Gpu;
use super::link::Part;
use crate::error::{Error, Result};
use crate::platform;

/// Texels in a row of a texture; vec4 i is texel (i mod 1024, i / 1024). The same as in
/// `shaders/lib/*_sampled.wgsl`, `*_nearest.wgsl` and `*_stored.wgsl`.
pub const TEXEL_ROW: usize = 1024;

/// Where kernels bind the sampler, as `shaders/lib/nearest.wgsl` has it.
pub const SAMPLER: usize = 15;

/// What a texel is to a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Texel {
    /// `vec4<u32>`.
    Uint,
    /// `vec4<f32>`.
    Float,
}

/// How kernels read texels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fetch {
    /// As a sampler does, from a level of its choice: `texture_2d`.
    Sampled,
    /// By way of a sampler that takes the nearest texel, where bounds are held before each load, at the
    /// cost of one. No sampler reads integers: words are floats of the same bits.
    Nearest,
    /// From the only level: a storage texture, `texture_storage_2d<…, read>`.
    Stored,
}

impl Fetch {
    /// What this driver does faster, as measured: SwiftShader reads storage textures at half the rate of
    /// sampled ones, lavapipe at twice. A browser on SwiftShader tells that its subgroups have four lanes; it
    /// is Chromium.
    pub(super) fn of(info: &wgpu::AdapterInfo) -> Self {
        let of_four = (info.subgroup_min_size, info.subgroup_max_size) == (4, 4);
        let in_browser = info.backend == wgpu::Backend::BrowserWebGpu;
        if in_browser && of_four {
            Self::Nearest
        } else if info.name.contains("SwiftShader") || !platform::reads_storage_textures() {
            Self::Sampled
        } else {
            Self::Stored
        }
    }

    /// The part that reads so.
    pub(crate) fn part(self, [sampled, nearest, stored]: [Part; 3]) -> Part {
        match self {
            Self::Sampled => sampled,
            Self::Nearest => nearest,
            Self::Stored => stored,
        }
    }
}

impl Texel {
    fn format(self, fetch: Fetch) -> wgpu::TextureFormat {
        match (self, fetch) {
            (Self::Uint, Fetch::Sampled | Fetch::Stored) => wgpu::TextureFormat::Rgba32Uint,
            (Self::Float, _) | (Self::Uint, Fetch::Nearest) => wgpu::TextureFormat::Rgba32Float,
        }
    }

    /// The binding of a texture that a kernel reads.
    pub(super) fn read(self, fetch: Fetch) -> wgpu::BindingType {
        if fetch == Fetch::Stored {
            return self.stored(fetch, wgpu::StorageTextureAccess::ReadOnly);
        }
        let sample_type = match self.format(fetch) {
            wgpu::TextureFormat::Rgba32Uint => wgpu::TextureSampleType::Uint,
            _ => wgpu::TextureSampleType::Float { filterable: false },
        };
        let view_dimension = wgpu::TextureViewDimension::D2;
        wgpu::BindingType::Texture { sample_type, view_dimension, multisampled: false }
    }

    /// The binding of a texture that a kernel writes.
    pub(super) fn write(self) -> wgpu::BindingType {
        self.stored(Fetch::Stored, wgpu::StorageTextureAccess::WriteOnly)
    }

    fn stored(self, fetch: Fetch, access: wgpu::StorageTextureAccess) -> wgpu::BindingType {
        wgpu::BindingType::StorageTexture {
            access,
            format: self.format(fetch),
            view_dimension: wgpu::TextureViewDimension::D2,
        }
    }
}

/// A texture of vec4s on a device. Cheap to clone; clones share the memory.
#[derive(Debug, Clone)]
pub struct Texels(Arc<Owned>);

#[derive(Debug)]
struct Owned {
    gpu: Gpu,
    raw: wgpu::Texture,
    view: wgpu::TextureView,
    label: String,
    bytes: u64,
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.gpu.count_bytes(-(self.bytes as i64));
        platform::free_texture(&self.raw);
    }
}

impl Texels {
    /// Bytes that a texture may take on this device.
    pub fn most_bytes(gpu: &Gpu) -> u64 {
        u64::from(gpu.limits().max_texture_dimension_2d) * TEXEL_ROW as u64 * 16
    }

    /// Zeros, to be read and written by kernels. They are written here, since behind a clearing by wgpu
    /// lavapipe's timestamps no longer tell what ran between them.
    ///
    /// # Errors
    /// [`Error::Limit`] where a texture may not be that large, [`Error::OutOfMemory`].
    pub async fn zeros(gpu: &Gpu, label: &str, vec4s: usize) -> Result<Self> {
        let made = Self::new(gpu, label, Texel::Float, vec4s).await?;
        made.write(0, &vec![0; made.0.bytes as usize / 4]);
        gpu.check()?;
        Ok(made)
    }

    /// Texels that hold `words`, padded with zeros.
    ///
    /// # Errors
    /// As [`zeros`](Self::zeros).
    pub async fn from_words(gpu: &Gpu, label: &str, words: &[u32]) -> Result<Self> {
        let made = Self::new(gpu, label, Texel::Uint, words.len().div_ceil(4)).await?;
        let (whole, last) = words.split_at(words.len() / (TEXEL_ROW * 4) * TEXEL_ROW * 4);
        made.write(0, whole);
        if !last.is_empty() {
            let mut padded = last.to_vec();
            padded.resize(TEXEL_ROW * 4, 0);
            made.write(whole.len() / (TEXEL_ROW * 4), &padded);
        }
        gpu.check()?;
        Ok(made)
    }

    /// Room for `vec4s` texels, in whole rows.
    ///
    /// # Errors
    /// [`Error::Limit`] where a texture may not be that large, [`Error::OutOfMemory`].
    async fn new(gpu: &Gpu, label: &str, texel: Texel, vec4s: usize) -> Result<Self> {
        use wgpu::TextureUsages as U;
        let rows = vec4s.div_ceil(TEXEL_ROW).max(1) as u64;
        let bytes = rows * TEXEL_ROW as u64 * 16;
        let available = Self::most_bytes(gpu);
        if bytes > available {
            let limit = "max_texture_dimension_2d";
            return Err(Error::Limit { what: label.into(), needed: bytes, limit, available });
        }
        platform::check_memory(gpu, label, bytes)?;
        let descriptor = wgpu::TextureDescriptor {
            label: Some(label),
            size: size(rows as u32),
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: texel.format(gpu.caps().fetch),
            usage: U::TEXTURE_BINDING | U::COPY_SRC | U::COPY_DST | U::STORAGE_BINDING,
            view_formats: &[],
        };
        let raw = gpu.scoped(label, bytes, |device| device.create_texture(&descriptor)).await?;
        gpu.count_bytes(bytes as i64);
        let view = raw.create_view(&wgpu::TextureViewDescriptor::default());
        Ok(Self(Arc::new(Owned { gpu: gpu.clone(), raw, view, label: label.into(), bytes })))
    }

    /// Size in bytes, padding included.
    pub fn size(&self) -> u64 {
        self.0.bytes
    }

    /// How kernels of its device read it.
    pub(crate) fn fetch(&self) -> Fetch {
        self.0.gpu.caps().fetch
    }

    pub(super) fn view(&self) -> &wgpu::TextureView {
        &self.0.view
    }

    /// Writes whole rows of texels, from row `row` on.
    fn write(&self, row: usize, words: &[u32]) {
        let rows = (words.len() / (TEXEL_ROW * 4)) as u32;
        if rows == 0 {
            return;
        }
        let to = self.rows_from(row);
        let bytes = bytemuck::cast_slice(words);
        self.0.gpu.queue().write_texture(to, bytes, layout(), size(rows));
    }

    /// Reads `len` words from word `at` on, after all that was submitted before.
    ///
    /// # Errors
    /// [`Error::Shape`] past the end; otherwise what the device says.
    pub async fn read(&self, at: usize, len: usize) -> Result<Vec<u32>> {
        let end = at.saturating_add(len);
        if end as u64 > self.0.bytes / 4 {
            let (expected, got) =
                (format!("≤ {} words", self.0.bytes / 4), format!("{at} + {len}"));
            return Err(Error::Shape { op: "read", expected, got });
        }
        let Owned { gpu, label, .. } = &*self.0;
        let row_words = TEXEL_ROW * 4;
        let first = at / row_words;
        let rows = end.div_ceil(row_words) - first;
        if rows == 0 || len == 0 {
            return Ok(Vec::new());
        }
        let words = rows * row_words;
        let staging = Buffer::staging(gpu, &format!("{label} (read)"), words).await?;
        let submission = gpu.submit(label, |encoder| {
            let to = wgpu::TexelCopyBufferInfo { buffer: staging.raw(), layout: layout() };
            encoder.copy_texture_to_buffer(self.rows_from(first), to, size(rows as u32));
        })?;
        let index = submission.accepted().await?;
        let read: Vec<u32> = staging.read_mapped(words, index).await?;
        Ok(read[at - first * row_words..end - first * row_words].to_vec())
    }

    fn rows_from(&self, row: usize) -> wgpu::TexelCopyTextureInfo<'_> {
        let origin = wgpu::Origin3d { x: 0, y: row as u32, z: 0 };
        wgpu::TexelCopyTextureInfo { origin, ..self.0.raw.as_image_copy() }
    }
}

fn size(rows: u32) -> wgpu::Extent3d {
    wgpu::Extent3d { width: TEXEL_ROW as u32, height: rows, depth_or_array_layers: 1 }
}

fn layout() -> wgpu::TexelCopyBufferLayout {
    let bytes_per_row = Some(TEXEL_ROW as u32 * 16);
    wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row, rows_per_image: None }
}

/// What a dispatch binds.
#[derive(Debug, Clone)]
pub enum Bound {
    /// A whole buffer.
    Buffer(Buffer),
    /// A texture.
    Texels(Texels),
    /// Texels of the plan's own.
    Scratch(Slot),
    /// A buffer of the plan's own that the kernel does not look at.
    Nothing,
}

impl Bound {
    /// Words that it has room for; a plan makes room for what is its own.
    pub(crate) fn words(&self) -> Option<u64> {
        match self {
            Self::Buffer(buffer) => Some(buffer.size() / 4),
            Self::Texels(texels) => Some(texels.size() / 4),
            Self::Scratch(_) | Self::Nothing => None,
        }
    }
}

/// Which of a plan's own texels: what one of its dispatches leaves there, the next one reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(usize);

impl Slot {
    /// What `stage` leaves.
    pub(crate) const STAGED: Self = Self(0);
    /// What a dispatch leaves that may itself read the other slot.
    pub(crate) const HANDED_ON: Self = Self(1);
    /// What a multiplication leaves that may read what was handed on, for others that leave such.
    pub(crate) const SCALED: Self = Self(2);
    pub(super) const COUNT: usize = 3;

    pub(super) fn index(self) -> usize {
        self.0
    }
}

impl Bind for Slot {
    fn bound(&self) -> Bound {
        Bound::Scratch(*self)
    }
}

/// What a dispatch can bind.
pub trait Bind: std::fmt::Debug {
    /// A handle that lives as long as the plan.
    fn bound(&self) -> Bound;
}

impl Bind for Buffer {
    fn bound(&self) -> Bound {
        Bound::Buffer(self.clone())
    }
}

impl Bind for Texels {
    fn bound(&self) -> Bound {
        Bound::Texels(self.clone())
    }
}

impl Bind for Bound {
    fn bound(&self) -> Bound {
        self.clone()
    }
}
