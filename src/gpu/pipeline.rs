//! From an operation and a variant of it to a pipeline, made once per device.

use std::borrow::Cow;
use std::sync::Arc;

use super::device::{Caps, Gpu};
use super::link::{Linked, Part, instantiate, part};
use super::texels::{Fetch, SAMPLER, Texel};
use crate::error::{Error, Result};
use crate::formats::{FormatRef, RowScale};
use crate::platform;

/// One GPU operation: one WGSL file in `shaders/ops/`, and what it binds.
#[derive(Debug)]
pub struct Op {
    /// The name of its files, labels and tests.
    pub name: &'static str,
    /// Its own part, then the shared parts that every variant uses.
    pub parts: &'static [Part],
    /// The prefixes under which it links format parts: none where it neither reads nor writes packed
    /// values, `[""]` for one matrix (whose addresses are then those of `lib/layout.wgsl`), and one
    /// for each operand where two formats meet.
    pub formats: &'static [&'static str],
    /// Whether it uses the reductions of `lib/reduce*.wgsl`.
    pub reduces: bool,
    /// Bindings 1.. of group 0; binding 0 is the uniform `params`.
    pub bindings: &'static [Binding],
    /// The layout of `params`.
    pub params: ParamsInfo,
}

/// One binding of an operation, in the order of its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// The variable's name in WGSL.
    pub name: &'static str,
    /// How the kernel uses it.
    pub access: Access,
}

/// How a kernel uses a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// `var<storage, read>`.
    Read,
    /// `var<storage, read_write>`.
    Write,
    /// `var<uniform>`.
    Uniform,
    /// A texture that the kernel writes.
    Texels(Texel),
    /// The same, in variants whose [`textures`](Variant::textures) name it; others have no such binding.
    MaybeTexels(Texel),
}

/// Size and member offsets of an operation's `Params`, to be held against naga's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParamsInfo {
    /// Size in bytes.
    pub size: usize,
    /// Members and their offsets.
    pub fields: &'static [(&'static str, usize)],
}

/// Declares an operation's uniform struct, four bytes a member, and what a test needs to hold it
/// against the WGSL.
macro_rules! params {
    // Of an operation on packed weights: where a shard's words are comes first (lib/layout.wgsl).
    (packed: $($rest:tt)*) => {
        $crate::gpu::params! {
            /// Chunks in a row.
            chunks: u32,
            /// First word of plane 1.
            plane1: u32,
            /// First word of plane 2.
            plane2: u32,
            /// First word of the rows' scales.
            scales: u32,
            /// First word of the format's table.
            table: u32,
            $($rest)*
        }

        impl Params {
            /// Those of a shard, and 0 for what is the operation's own.
            fn of(shard: &$crate::ops::matrix::Shard) -> Self {
                let [chunks, plane1, plane2, scales, table] = shard.addresses();
                Self { chunks, plane1, plane2, scales, table, ..Self::default() }
            }
        }
    };
    ($($(#[$doc:meta])* $field:ident: $ty:ty),+ $(,)?) => {
        /// The operation's uniforms; the same struct as `Params` in its WGSL.
        #[repr(C)]
        #[derive(Debug, Clone, Copy, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        pub struct Params {
            $($(#[$doc])* pub $field: $ty,)+
        }

        impl Params {
            /// Size and offsets.
            pub const INFO: $crate::gpu::ParamsInfo = $crate::gpu::ParamsInfo {
                size: size_of::<Self>(),
                fields: &[$((stringify!($field), std::mem::offset_of!(Self, $field)),)+],
            };
        }
    };
}
pub(crate) use params;

/// What distinguishes one pipeline of an operation from another.
#[derive(Debug, Clone, Default)]
pub struct Variant {
    /// The formats of packed operands, one for each of [`Op::formats`].
    pub formats: Vec<FormatRef>,
    /// Values of `override` constants.
    pub constants: Vec<(Cow<'static, str>, f64)>,
    /// Parts chosen among several with the same names.
    pub parts: Vec<Part>,
    /// Bindings that are textures here, which the chosen parts declare as such.
    pub textures: Vec<(&'static str, Texel, Fetch)>,
}

impl Variant {
    /// A variant without a format.
    pub fn of(constants: &[(&'static str, f64)]) -> Self {
        Self::default().and(constants)
    }

    /// The same with these constants too.
    pub fn and(mut self, constants: &[(&'static str, f64)]) -> Self {
        self.constants.extend(constants.iter().map(|&(name, value)| (name.into(), value)));
        self
    }

    /// The same with these parts.
    pub fn with(mut self, parts: &[Part]) -> Self {
        self.parts.extend_from_slice(parts);
        self
    }

    /// The same, by way of the part that declares this binding as a texture: of those in the order of
    /// [`Fetch`], that which is to be read so ([`Caps::fetch`]).
    pub fn with_texels(
        mut self,
        parts: [Part; 3],
        fetch: Fetch,
        (binding, texel): (&'static str, Texel),
    ) -> Self {
        self.parts.push(fetch.part(parts));
        self.textures.push((binding, texel, fetch));
        self
    }

    /// Whether it has this binding.
    pub(super) fn binds(&self, binding: &Binding) -> bool {
        let named = || self.textures.iter().any(|(name, ..)| *name == binding.name);
        !matches!(binding.access, Access::MaybeTexels(_)) || named()
    }

    /// Whether it has a sampler.
    pub(super) fn samples(&self) -> bool {
        self.textures.iter().any(|(.., fetch)| *fetch == Fetch::Nearest)
    }

    /// The same for weights in `format`.
    pub fn packed(self, format: FormatRef) -> Self {
        let scaled = format.row_scale() != RowScale::None;
        let constants: &[_] = if scaled { &[("ROW_SCALED", 1.0)] } else { &[] };
        self.packed_as("", format).and(constants)
    }

    /// The same for an operand in `format`, whose parts are linked under `prefix`: the next of
    /// [`Op::formats`].
    pub fn packed_as(mut self, prefix: &'static str, format: FormatRef) -> Self {
        self.formats.push(format);
        let named = |&(name, value): &(&str, f64)| (format!("{prefix}{name}").into(), value);
        self.constants.extend(format.overrides().iter().map(named));
        self
    }
}

/// Pipelines are equal if all of this is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct PipelineKey {
    op: &'static str,
    formats: Vec<&'static str>,
    caps: Caps,
    constants: Vec<(Cow<'static, str>, u64)>,
    parts: Vec<&'static str>,
    textures: Vec<(&'static str, Texel, Fetch)>,
}

/// A compute pipeline with its bind group layout.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) raw: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
}

/// The text of one operation, in the form without parts to choose, for one format.
pub fn link_op(op: &Op, format: Option<FormatRef>, caps: Caps) -> Linked {
    link_parts(op, &format.into_iter().collect::<Vec<_>>(), &[], caps)
}

/// The same with the parts that a variant chooses, and a format for each of [`Op::formats`].
pub fn link_parts(op: &Op, formats: &[FormatRef], parts: &[Part], caps: Caps) -> Linked {
    let mut linked = Linked::default();
    let enable = platform::enable_directives(caps);
    if !enable.is_empty() {
        linked.push("(enable)", &enable);
    }
    let mut push = |part: &Part| linked.push(part.path, part.text);
    op.parts[1..].iter().for_each(&mut push);
    if op.reduces {
        push(if caps.subgroups { &REDUCE_SUBGROUP } else { &REDUCE });
    }
    if op.formats == [""] {
        push(&LAYOUT);
    }
    if !op.formats.is_empty() {
        [VEC8, F32_BITS, ROUND, INTEGERS].iter().for_each(&mut push);
    }
    for (prefix, format) in op.formats.iter().zip(formats) {
        let codes: &[Part] = if format.has_codes() { &[] } else { &[CODES_DECODED] };
        for (path, text) in instantiate(&[codes, format.shader()].concat(), prefix) {
            linked.push(path, &text);
        }
    }
    if parts.iter().any(|part| part.path.ends_with("_nearest.wgsl")) {
        linked.push(NEAREST.path, NEAREST.text);
    }
    // The op's own part comes last, behind those that read its variables: naga 30 resolves
    // override-sized arrays wrongly where a type that a constant is made of is declared behind them.
    for part in parts.iter().chain(&op.parts[..1]) {
        linked.push(part.path, part.text);
    }
    linked
}

const REDUCE: Part = part!("lib/reduce.wgsl");
const REDUCE_SUBGROUP: Part = part!("lib/reduce_subgroup.wgsl");
const CODES_DECODED: Part = part!("lib/codes_decoded.wgsl");
const NEAREST: Part = part!("lib/nearest.wgsl");
const LAYOUT: Part = part!("lib/layout.wgsl");
pub(crate) const VEC8: Part = part!("lib/vec8.wgsl");
pub(crate) const F32_BITS: Part = part!("lib/f32_bits.wgsl");
const ROUND: Part = part!("lib/round.wgsl");
const INTEGERS: Part = part!("lib/integers.wgsl");

impl Gpu {
    pub(super) fn pipeline_key(&self, op: &Op, variant: &Variant) -> PipelineKey {
        PipelineKey {
            op: op.name,
            formats: variant.formats.iter().map(|f| f.name()).collect(),
            caps: self.caps(),
            constants: variant.constants.iter().map(|(n, v)| (n.clone(), v.to_bits())).collect(),
            parts: variant.parts.iter().map(|part| part.path).collect(),
            textures: variant.textures.clone(),
        }
    }

    /// The pipeline of this variant, compiled if this device has not met it yet.
    pub(super) async fn pipeline(&self, op: &Op, variant: &Variant) -> Result<Arc<Pipeline>> {
        let key = self.pipeline_key(op, variant);
        if let Some(found) = self.pipelines().get(&key) {
            return Ok(found.clone());
        }
        let linked = link_parts(op, &variant.formats, &variant.parts, self.caps());
        let names = std::iter::once(op.name).chain(variant.formats.iter().map(|f| f.name()));
        let what = names.collect::<Vec<_>>().join(" ");
        let parts =
            self.scoped(&what, 0, |device| Parts::new(device, op, variant, &what, &linked)).await?;
        let create = || parts.pipeline(self.device(), &what, variant);
        let refused = |reason| Error::Gpu { what: what.clone(), reason };
        let compiled = platform::compile(create).await.map_err(refused)?;
        let given = |_: &wgpu::Device| {
            compiled.give();
            create()
        };
        let raw = self.scoped(&what, 0, given).await?;
        let made = Arc::new(Pipeline { raw, layout: parts.layout });
        self.pipelines().insert(key, made.clone());
        Ok(made)
    }
}

/// What a pipeline is made of.
struct Parts {
    module: wgpu::ShaderModule,
    layout: wgpu::BindGroupLayout,
    pipeline_layout: wgpu::PipelineLayout,
}

impl Parts {
    fn new(device: &wgpu::Device, op: &Op, variant: &Variant, what: &str, linked: &Linked) -> Self {
        let module = platform::shader_module(device, what, &linked.text);
        let layout = bind_group_layout(device, op, variant, what);
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(what),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        Self { module, layout, pipeline_layout }
    }

    fn pipeline(
        &self,
        device: &wgpu::Device,
        what: &str,
        variant: &Variant,
    ) -> wgpu::ComputePipeline {
        let constants: Vec<_> = variant.constants.iter().map(|(n, v)| (n.as_ref(), *v)).collect();
        device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(what),
            layout: Some(&self.pipeline_layout),
            module: &self.module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants,
                // Kernels write workgroup memory before they read it; zeroing it costs seconds in FXC.
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        })
    }
}

fn bind_group_layout(
    device: &wgpu::Device,
    op: &Op,
    variant: &Variant,
    what: &str,
) -> wgpu::BindGroupLayout {
    let entry = |binding: usize, ty| wgpu::BindGroupLayoutEntry {
        binding: binding as u32,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty,
        count: None,
    };
    let buffer =
        |ty| wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None };
    let ty = |binding: &Binding| {
        let texture = variant.textures.iter().find(|(name, ..)| *name == binding.name);
        match (binding.access, texture) {
            (Access::Texels(texel) | Access::MaybeTexels(texel), _) => texel.write(),
            (Access::Write, Some((_, texel, _))) => texel.write(),
            (_, Some((_, texel, fetch))) => texel.read(*fetch),
            (Access::Read, None) => buffer(wgpu::BufferBindingType::Storage { read_only: true }),
            (Access::Write, None) => buffer(wgpu::BufferBindingType::Storage { read_only: false }),
            (Access::Uniform, None) => buffer(wgpu::BufferBindingType::Uniform),
        }
    };
    let mut entries = vec![entry(0, buffer(wgpu::BufferBindingType::Uniform))];
    let numbered = op.bindings.iter().zip(1..).filter(|(binding, _)| variant.binds(binding));
    entries.extend(numbered.map(|(binding, i)| entry(i, ty(binding))));
    if variant.samples() {
        let nearest = wgpu::BindingType::Sampler(wgpu::SamplerBindingType::NonFiltering);
        entries.push(entry(SAMPLER, nearest));
    }
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some(what),
        entries: &entries,
    })
}
