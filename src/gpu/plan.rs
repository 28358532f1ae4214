//! Plans: dispatches recorded once, with their pipelines, bind groups and uniforms, and run as
//! often as wanted in one compute pass each time.

use std::sync::Arc;

use bytemuck::Pod;

use super::buffer::Buffer;
use super::compile::{Wanted, pause};
use super::device::{Gpu, Submission};
use super::pipeline::{Op, Pipeline, Variant};
use super::texels::{Bind, Bound, SAMPLER, Slot, Texels};
use crate::error::{Error, Result};
use crate::formats::CHUNK;

/// Workgroups in x, y and z.
pub type Grid = [u32; 3];

/// A recorded sequence of dispatches. Each sees what those before it wrote.
#[derive(Debug)]
pub struct Plan {
    pub(super) gpu: Gpu,
    pub(super) label: String,
    pub(super) dispatches: Vec<Dispatch>,
    /// The uniforms of all dispatches.
    _arena: Buffer,
}

#[derive(Debug)]
pub(super) struct Dispatch {
    pub(super) op: &'static str,
    pub(super) operands: Arc<str>,
    pipeline: Arc<Pipeline>,
    bind_group: wgpu::BindGroup,
    grid: Grid,
    /// What it binds, which lives as long as the plan.
    _operands: Vec<Bound>,
}

/// Records a [`Plan`].
#[derive(Debug)]
pub struct PlanBuilder {
    gpu: Gpu,
    label: String,
    recorded: Vec<Recorded>,
    uniforms: Vec<u8>,
    /// Texels that each [`Slot`] has room for.
    scratch: [usize; Slot::COUNT],
}

#[derive(Debug)]
struct Recorded {
    op: &'static Op,
    variant: Variant,
    params_at: u64,
    operands: Arc<str>,
    bound: Vec<Bound>,
    grid: Grid,
}

impl PlanBuilder {
    /// An empty plan on this device.
    pub fn new(gpu: &Gpu, label: &str) -> Self {
        Self {
            gpu: gpu.clone(),
            label: label.into(),
            recorded: Vec::new(),
            uniforms: Vec::new(),
            scratch: [0; Slot::COUNT],
        }
    }

    /// The device that the plan is for.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Sees to it that a slot has room for so many texels.
    pub(crate) fn scratch(&mut self, slot: Slot, vec4s: usize) {
        let room = &mut self.scratch[slot.index()];
        *room = vec4s.max(*room);
    }

    /// Appends one dispatch: `bound` in the order of the op's bindings.
    ///
    /// # Errors
    /// [`Error::Limit`] where the grid has more workgroups than the device takes.
    pub fn dispatch<P: Pod>(
        &mut self,
        op: &'static Op,
        variant: Variant,
        params: &P,
        bound: &[&dyn Bind],
        grid: Grid,
    ) -> Result<()> {
        debug_assert_eq!(size_of::<P>(), op.params.size, "{}", op.name);
        debug_assert_eq!(bound.len(), op.bindings.len(), "{}", op.name);
        let available = self.gpu.limits().max_compute_workgroups_per_dimension;
        if let Some(&needed) = grid.iter().find(|&&n| n > available) {
            return Err(Error::Limit {
                what: op.name.into(),
                needed: needed.into(),
                limit: "max_compute_workgroups_per_dimension",
                available: available.into(),
            });
        }
        if grid.contains(&0) {
            return Ok(());
        }
        let alignment = self.gpu.limits().min_uniform_buffer_offset_alignment as usize;
        self.uniforms.resize(self.uniforms.len().next_multiple_of(alignment), 0);
        let params_at = self.uniforms.len() as u64;
        self.uniforms.extend_from_slice(bytemuck::bytes_of(params));
        let bound = bound.iter().map(|b| b.bound()).collect();
        let operands = operands(op, &variant, bytemuck::bytes_of(params)).into();
        self.recorded.push(Recorded { op, variant, params_at, operands, bound, grid });
        Ok(())
    }

    /// Compiles what is missing, uploads the uniforms, makes the bind groups. `progress` hears of
    /// each pipeline that was missing and of each dispatch (done, of all); between two of them the
    /// future may be dropped.
    ///
    /// # Errors
    /// What the device says.
    pub async fn build(self, progress: &mut (dyn FnMut(u64, u64) + Send)) -> Result<Plan> {
        let words = self.uniforms.len().div_ceil(4);
        let arena = Buffer::uniform(&self.gpu, "uniforms", words).await?;
        arena.write(0, &self.uniforms);
        let own = Own::new(&self.gpu, self.scratch).await?;
        let unmet = self.unmet();
        let (mut done, total) = (0, (unmet.len() + self.recorded.len()) as u64);
        let mut hear = || {
            done += 1;
            progress(done, total);
        };
        self.gpu.compile_all(unmet, &mut hear).await?;
        let mut dispatches = Vec::with_capacity(self.recorded.len());
        for mut recorded in self.recorded {
            recorded.give(&own);
            let pipeline = self.gpu.pipeline(recorded.op, &recorded.variant).await?;
            let bind = |device: &wgpu::Device| recorded.bind(device, &pipeline, &arena, &own);
            let bind_group = self.gpu.scoped(recorded.op.name, 0, bind).await?;
            let op = recorded.op.name;
            let Recorded { grid, bound, operands, .. } = recorded;
            let _operands = bound;
            dispatches.push(Dispatch { op, operands, pipeline, bind_group, grid, _operands });
            hear();
            pause().await;
        }
        Ok(Plan { gpu: self.gpu, label: self.label, dispatches, _arena: arena })
    }

    /// Compiles what is missing, and nothing else: a plan of the same dispatches is then built at once.
    ///
    /// # Errors
    /// What the device says.
    pub async fn compile(&self) -> Result<()> {
        self.gpu.compile_all(self.unmet(), &mut || ()).await
    }

    fn unmet(&self) -> Vec<Wanted> {
        self.gpu.unmet(self.recorded.iter().map(|recorded| (recorded.op, &recorded.variant)))
    }

    /// Builds the plan, runs it once and waits for it.
    ///
    /// # Errors
    /// What the device says.
    pub async fn run(self) -> Result<()> {
        self.build(&mut |_, _| {}).await?.submit()?.finish().await
    }
}

/// What a dispatch is told apart by in a profile: its formats, and the rows × columns of a shard,
/// which are in the params of every operation on packed weights.
fn operands(op: &Op, variant: &Variant, params: &[u8]) -> String {
    let field = |wanted| {
        let &(_, at) = op.params.fields.iter().find(|(name, _)| *name == wanted)?;
        let word = params.get(at..at + 4)?;
        Some(u32::from_ne_bytes(word.try_into().ok()?) as usize)
    };
    let mut words: Vec<String> = variant.formats.iter().map(|f| f.name().to_owned()).collect();
    words.dedup();
    if let (Some(rows), Some(chunks)) = (field("rows"), field("chunks")) {
        words.push(format!("{rows}×{}", chunks * CHUNK));
    }
    words.join(" ")
}

/// What a plan binds that nobody else has.
struct Own {
    scratch: [Bound; Slot::COUNT],
    nothing: Buffer,
    nearest: wgpu::Sampler,
}

impl Own {
    async fn new(gpu: &Gpu, rooms: [usize; Slot::COUNT]) -> Result<Self> {
        let nothing = Buffer::new(gpu, "nothing", 4).await?;
        let mut scratch = [(); Slot::COUNT].map(|()| nothing.bound());
        for (slot, vec4s) in scratch.iter_mut().zip(rooms).filter(|(_, vec4s)| *vec4s > 0) {
            *slot = Texels::zeros(gpu, "x as texels", vec4s).await?.bound();
        }
        let descriptor = wgpu::SamplerDescriptor::default();
        let nearest = gpu.scoped("nearest", 0, |device| device.create_sampler(&descriptor)).await?;
        Ok(Self { scratch, nothing, nearest })
    }
}

impl Recorded {
    /// Puts what is the plan's own where it is asked for.
    fn give(&mut self, own: &Own) {
        for bound in &mut self.bound {
            match bound {
                Bound::Scratch(slot) => *bound = own.scratch[slot.index()].bound(),
                Bound::Nothing => *bound = own.nothing.bound(),
                Bound::Buffer(_) | Bound::Texels(_) => {}
            }
        }
    }

    fn bind(
        &self,
        device: &wgpu::Device,
        pipeline: &Pipeline,
        arena: &Buffer,
        own: &Own,
    ) -> wgpu::BindGroup {
        let params = wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: arena.raw(),
            offset: self.params_at,
            size: std::num::NonZero::new(self.op.params.size as u64),
        });
        let named = self.bound.iter().zip(self.op.bindings).zip(1..);
        let there = named.filter(|((_, binding), _)| self.variant.binds(binding));
        let whole = there.filter_map(|((bound, _), at)| match bound {
            Bound::Buffer(buffer) => Some((buffer.raw().as_entire_binding(), at)),
            Bound::Texels(texels) => Some((wgpu::BindingResource::TextureView(texels.view()), at)),
            Bound::Scratch(_) | Bound::Nothing => None,
        });
        let nearest = || wgpu::BindingResource::Sampler(&own.nearest);
        let sampler = self.variant.samples().then(|| (nearest(), SAMPLER as u32));
        let numbered = std::iter::once((params, 0)).chain(whole).chain(sampler);
        let entries: Vec<_> = numbered
            .map(|(resource, binding)| wgpu::BindGroupEntry { binding, resource })
            .collect();
        device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(self.op.name),
            layout: &pipeline.layout,
            entries: &entries,
        })
    }
}

impl Dispatch {
    pub(super) fn encode(&self, pass: &mut wgpu::ComputePass<'_>) {
        let [x, y, z] = self.grid;
        pass.set_pipeline(&self.pipeline.raw);
        pass.set_bind_group(0, &self.bind_group, &[]);
        pass.dispatch_workgroups(x, y, z);
    }
}

impl Plan {
    /// How many dispatches it has.
    pub fn len(&self) -> usize {
        self.dispatches.len()
    }

    /// Whether it does nothing.
    pub fn is_empty(&self) -> bool {
        self.dispatches.is_empty()
    }

    /// Appends the plan to an encoder, as one compute pass.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        let descriptor =
            wgpu::ComputePassDescriptor { label: Some(&self.label), timestamp_writes: None };
        self.encode_in(&mut encoder.begin_compute_pass(&descriptor));
    }

    pub(super) fn encode_in(&self, pass: &mut wgpu::ComputePass<'_>) {
        for dispatch in &self.dispatches {
            dispatch.encode(pass);
        }
    }

    /// Submits the plan by itself.
    ///
    /// # Errors
    /// [`Error::DeviceLost`]; the rest is told by the [`Submission`].
    pub fn submit(&self) -> Result<Submission> {
        self.gpu.submit(&self.label, |encoder| self.encode(encoder))
    }
}
