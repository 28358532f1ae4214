//! A device, its capabilities, and its health.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::adapter::{self, Class, GpuOptions, Without};
use super::pipeline::{Pipeline, PipelineKey};
use super::scope::{Scope, to_error};
use super::texels::Fetch;
use crate::error::{Error, Result};
use crate::platform::{self, BoxFuture, Pace};
use crate::tune::{DeviceKey, Tuning};

/// What kernels may use on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Caps {
    /// `enable f16`.
    pub f16: bool,
    /// Subgroup operations in compute shaders.
    pub subgroups: bool,
    /// Lanes of the largest subgroup, where all have at least eight; else 0.
    pub subgroup: u32,
    /// Whether all subgroups have as many as that.
    pub even_subgroups: bool,
    /// Lanes of the largest subgroup, where all have at least four; else 0.
    pub quads: u32,
    /// The kind of machine behind the device.
    pub class: Class,
    /// How kernels read texels.
    pub fetch: Fetch,
}

/// How lanes share what all of them need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sharing {
    /// Lanes of a workgroup that is whole subgroups, as small as is sensible.
    pub lanes: usize,
    /// Whether eight lanes of a subgroup can pass values round.
    pub by_subgroup: bool,
    /// Whether four can.
    pub by_quad: bool,
}

impl Caps {
    /// A machine of this class that can do nothing more.
    pub const fn plain(class: Class) -> Self {
        Self {
            f16: false,
            subgroups: false,
            subgroup: 0,
            even_subgroups: false,
            quads: 0,
            class,
            fetch: Fetch::Sampled,
        }
    }

    /// What its subgroups allow.
    pub fn sharing(self) -> Sharing {
        let lanes = self.subgroup.max(self.quads).max(8) as usize;
        Sharing { lanes, by_subgroup: self.subgroup > 0, by_quad: self.quads > 0 }
    }
}

/// A GPU device that kernels run on. Cheap to clone; all clones are the same device.
#[derive(Debug, Clone)]
pub struct Gpu(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: wgpu::AdapterInfo,
    limits: wgpu::Limits,
    caps: Caps,
    pace: Pace,
    fault: Arc<Mutex<Option<Fault>>>,
    pipelines: Mutex<HashMap<PipelineKey, Arc<Pipeline>>>,
    allocated: AtomicU64,
    memory_limit: Option<u64>,
    tuning: Mutex<Option<Arc<Tuning>>>,
}

/// The first thing that went wrong with the device outside any scope. It stays: what the device
/// says afterwards is not to be believed.
#[derive(Debug, Clone)]
enum Fault {
    Lost(String),
    Uncaptured(String),
}

impl Gpu {
    /// Opens the device that `options` ask for, with all the adapter's limits.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] where nothing matches, [`Error::NoDevice`] where the driver refuses.
    pub async fn request(options: &GpuOptions) -> Result<Self> {
        let adapter = adapter::pick(options).await?;
        Self::open(&adapter, options).await
    }

    /// Opens a device of its own on an adapter of the program's instance, with all the adapter's
    /// limits.
    ///
    /// # Errors
    /// [`Error::NoDevice`] where the driver refuses.
    pub async fn request_on(adapter: &wgpu::Adapter, without: Without) -> Result<Self> {
        Self::open(adapter, &GpuOptions { without, ..GpuOptions::default() }).await
    }

    async fn open(adapter: &wgpu::Adapter, options: &GpuOptions) -> Result<Self> {
        let name = adapter.get_info().name;
        let refused = |e| Error::NoDevice { adapter: name, reason: format!("{e}") };
        let descriptor = Self::descriptor(adapter, options.without);
        platform::ask_for_subgroups(!options.without.subgroups);
        let opening = adapter.request_device(&descriptor);
        let subgroups = platform::asked_for_subgroups();
        let (device, queue) = opening.await.map_err(refused)?;
        Self::assemble(device, queue, options, subgroups).await
    }

    /// Uses a device that the program has already, with as many capabilities as it was opened with:
    /// ask for those in [`descriptor`](Self::descriptor) to leave none unused. Its handlers of loss
    /// and of uncaptured errors are replaced by those of this crate, which never panic; from the
    /// first such error on, whoever caused it, every call on this `Gpu` fails.
    ///
    /// # Errors
    /// [`Error::Limit`] where the device was opened with less than WebGPU's default of a limit that
    /// kernels need.
    pub async fn from_wgpu(device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        check_limits(&device.limits())?;
        Self::assemble(device, queue, &GpuOptions::default(), false).await
    }

    /// What to ask an adapter for, so that kernels can use all it has.
    pub fn descriptor(
        adapter: &wgpu::Adapter,
        without: Without,
    ) -> wgpu::DeviceDescriptor<'static> {
        let mut unused = wgpu::Features::empty();
        unused.set(wgpu::Features::SHADER_F16, without.f16);
        unused.set(wgpu::Features::SUBGROUP, without.subgroups);
        let required_limits = if without.limits {
            wgpu::Limits::default().or_worse_values_from(&adapter.limits())
        } else {
            adapter.limits()
        };
        wgpu::DeviceDescriptor {
            label: Some("mantissa"),
            required_features: (adapter.features() & USEFUL) - unused,
            required_limits,
            ..Default::default()
        }
    }

    async fn assemble(
        device: wgpu::Device,
        queue: wgpu::Queue,
        options: &GpuOptions,
        subgroups: bool,
    ) -> Result<Self> {
        Ok(Self(Arc::new(Inner {
            fault: watch(&device),
            info: device.adapter_info(),
            limits: device.limits(),
            caps: caps(&device, options.without, subgroups),
            pace: Pace::measure(&queue).await,
            device,
            queue,
            pipelines: Mutex::default(),
            allocated: AtomicU64::new(0),
            memory_limit: options.memory_limit,
            tuning: Mutex::default(),
        })))
    }

    /// The adapter's name, driver and kind.
    pub fn info(&self) -> &wgpu::AdapterInfo {
        &self.0.info
    }

    /// The device's limits.
    pub fn limits(&self) -> &wgpu::Limits {
        &self.0.limits
    }

    /// How it has to be waited for.
    pub(crate) fn pace(&self) -> &Pace {
        &self.0.pace
    }

    /// What kernels may use.
    pub fn caps(&self) -> Caps {
        self.0.caps
    }

    /// What was measured on such a device and is used on this one.
    pub fn tuning(&self) -> Option<Arc<Tuning>> {
        lock(&self.0.tuning).clone()
    }

    /// Uses what was measured, from the next plan on; `false`, and nothing changes, where it was
    /// measured on another device, by another driver or with other kernels.
    pub fn set_tuning(&self, tuning: Tuning) -> bool {
        let fits = tuning.device == DeviceKey::of(self);
        if fits {
            *lock(&self.0.tuning) = Some(Arc::new(tuning.legal(self)));
        }
        fits
    }

    /// Whether the device can tell when a dispatch began and ended.
    pub fn has_timestamps(&self) -> bool {
        self.0.device.features().contains(wgpu::Features::TIMESTAMP_QUERY)
    }

    /// Bytes that live buffers of this device take.
    pub fn allocated_bytes(&self) -> u64 {
        self.0.allocated.load(Ordering::Relaxed)
    }

    /// Pipelines that were compiled for this device so far.
    pub fn compiled_pipelines(&self) -> usize {
        self.pipelines().len()
    }

    /// The wgpu device, for programs that share it.
    pub fn device(&self) -> &wgpu::Device {
        &self.0.device
    }

    /// The wgpu queue, for programs that share it.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.0.queue
    }

    /// Gives the device up; whatever still uses it fails with [`Error::DeviceLost`].
    pub fn destroy(&self) {
        self.0.device.destroy();
        self.set_lost("destroyed by the program");
    }

    /// Whether the device is still to be believed.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], or [`Error::Gpu`] once any command failed outside an error scope.
    pub fn check(&self) -> Result<()> {
        match lock(&self.0.fault).clone() {
            None => Ok(()),
            Some(Fault::Lost(reason)) => Err(Error::DeviceLost { reason }),
            Some(Fault::Uncaptured(reason)) => Err(Error::Gpu { what: "device".into(), reason }),
        }
    }

    /// Refuses what does not fit the program's own budget.
    pub(crate) fn check_budget(&self, what: &str, bytes: u64) -> Result<()> {
        let Some(limit) = self.0.memory_limit else { return Ok(()) };
        if self.allocated_bytes().saturating_add(bytes) <= limit {
            return Ok(());
        }
        Err(Error::OutOfMemory { what: what.into(), bytes, limit })
    }

    /// Runs `work`, and turns what wgpu says against it into an error. A lost device outranks it.
    pub(super) async fn scoped<T>(
        &self,
        what: &str,
        bytes: u64,
        work: impl FnOnce(&wgpu::Device) -> T,
    ) -> Result<T> {
        self.check()?;
        let scope = Scope::open(&self.0.device);
        let made = work(&self.0.device);
        let caught = scope.close().await;
        self.check()?;
        let bytes = (bytes, self.allocated_bytes());
        caught.map_or(Ok(made), |e| Err(to_error(what, bytes, &e)))
    }

    /// Encodes and submits one command buffer. The returned [`Submission`] must be finished to
    /// know whether the commands were accepted.
    pub fn submit(
        &self,
        what: &str,
        encode: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> Result<Submission> {
        self.check()?;
        let scope = Scope::open(&self.0.device);
        let descriptor = wgpu::CommandEncoderDescriptor { label: Some(what) };
        let mut encoder = self.0.device.create_command_encoder(&descriptor);
        encode(&mut encoder);
        let index = self.0.queue.submit([encoder.finish()]);
        let errors = scope.close();
        Ok(Submission { gpu: self.clone(), what: what.into(), index, errors })
    }

    pub(super) fn pipelines(&self) -> MutexGuard<'_, HashMap<PipelineKey, Arc<Pipeline>>> {
        lock(&self.0.pipelines)
    }

    pub(super) fn count_bytes(&self, bytes: i64) {
        if bytes >= 0 {
            self.0.allocated.fetch_add(bytes.unsigned_abs(), Ordering::Relaxed);
        } else {
            self.0.allocated.fetch_sub(bytes.unsigned_abs(), Ordering::Relaxed);
        }
    }

    fn set_lost(&self, reason: &str) {
        lock(&self.0.fault).get_or_insert(Fault::Lost(reason.into()));
    }
}

/// Commands on their way through the GPU.
#[must_use = "a submission's errors are only known once it is finished"]
pub struct Submission {
    gpu: Gpu,
    what: String,
    index: wgpu::SubmissionIndex,
    errors: BoxFuture<'static, Option<wgpu::Error>>,
}

impl fmt::Debug for Submission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submission").field("what", &self.what).finish_non_exhaustive()
    }
}

impl Submission {
    /// Whether the device accepted the commands. Does not wait for them to run.
    ///
    /// # Errors
    /// [`Error::Gpu`], [`Error::OutOfMemory`] or [`Error::DeviceLost`].
    pub async fn accepted(self) -> Result<wgpu::SubmissionIndex> {
        let caught = self.errors.await;
        self.gpu.check()?;
        caught.map_or(Ok(self.index), |e| {
            Err(to_error(&self.what, (0, self.gpu.allocated_bytes()), &e))
        })
    }

    /// Waits until the commands have run.
    ///
    /// # Errors
    /// As [`accepted`](Self::accepted), and [`Error::Timeout`].
    pub async fn finish(self) -> Result<()> {
        let (gpu, what) = (self.gpu.clone(), self.what.clone());
        let index = self.accepted().await?;
        platform::wait(&gpu, &what, index).await?;
        gpu.check()
    }
}

/// Optional features that something here uses.
const USEFUL: wgpu::Features = wgpu::Features::SHADER_F16
    .union(wgpu::Features::SUBGROUP)
    .union(wgpu::Features::TIMESTAMP_QUERY);

/// `subgroups`: that the device has them, whatever it says.
fn caps(device: &wgpu::Device, without: Without, subgroups: bool) -> Caps {
    let features = device.features();
    let info = device.adapter_info();
    let cpu = info.device_type == wgpu::DeviceType::Cpu;
    let subgroups =
        (features.contains(wgpu::Features::SUBGROUP) || subgroups) && !without.subgroups;
    let of_at_least = |lanes| match info.subgroup_min_size >= lanes && subgroups {
        true => info.subgroup_max_size,
        false => 0,
    };
    let subgroup = of_at_least(8);
    Caps {
        f16: features.contains(wgpu::Features::SHADER_F16) && !without.f16,
        subgroups,
        subgroup,
        even_subgroups: subgroup > 0 && subgroup == info.subgroup_min_size,
        quads: of_at_least(4),
        class: if cpu { Class::Software } else { Class::Gpu },
        fetch: Fetch::of(&info),
    }
}

/// Kernels take WebGPU's default limits for granted; a program's device may have been opened with
/// less.
fn check_limits(has: &wgpu::Limits) -> Result<()> {
    let needs = wgpu::Limits::default();
    macro_rules! check {
        ($($limit:ident),*) => { [$((stringify!($limit), u64::from(needs.$limit), u64::from(has.$limit))),*] };
    }
    let checks = check!(
        max_storage_buffers_per_shader_stage,
        max_storage_textures_per_shader_stage,
        max_storage_buffer_binding_size,
        max_uniform_buffer_binding_size,
        max_bindings_per_bind_group,
        max_compute_workgroup_storage_size,
        max_compute_invocations_per_workgroup,
        max_compute_workgroup_size_x,
        max_compute_workgroups_per_dimension
    );
    match checks.into_iter().find(|(_, needed, available)| available < needed) {
        Some((limit, needed, available)) => {
            Err(Error::Limit { what: "the program's device".into(), needed, limit, available })
        }
        None => Ok(()),
    }
}

/// Remembers the first loss or uncaptured error of a device.
fn watch(device: &wgpu::Device) -> Arc<Mutex<Option<Fault>>> {
    let fault = Arc::new(Mutex::new(None));
    let lost = fault.clone();
    device.set_device_lost_callback(move |_, message| {
        lock(&lost).get_or_insert(Fault::Lost(message));
    });
    let uncaptured = fault.clone();
    device.on_uncaptured_error(Arc::new(move |error| {
        let text = to_error("device", (0, 0), &error).to_string();
        lock(&uncaptured).get_or_insert(Fault::Uncaptured(text));
    }));
    fault
}

/// A lock that outlives a panic elsewhere: the data behind these locks is never half-written.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
