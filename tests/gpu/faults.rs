//! What goes wrong with a device is a typed error, and never an answer. Each trial has a device of
//! its own, since most of them break it.

use std::sync::Arc;

use libtest_mimic::{Failed, Trial};
use mantissa::gpu::{AdapterSummary, Buffer, GpuOptions, PlanBuilder};
use mantissa::ops::softmax::{self, Options, Softmax, Tensors};
use mantissa::{Error, Gpu, formats, ops};
use pollster::block_on;

use crate::support::{self, Outcome, Random, input, output, short_name};

/// Opens a device of the adapter that a trial is for.
type Open = Arc<dyn Fn() -> Result<Gpu, Failed> + Send + Sync>;

/// A trial each, on every adapter.
const CASES: &[(&str, fn(&Open) -> Outcome)] = &[
    ("destroyed_before_submit", destroyed_before_submit),
    ("destroyed_before_read", destroyed_before_read),
    ("destroyed_in_flight", destroyed_in_flight),
    ("lost_behind_our_back", lost_behind_our_back),
    ("a_new_device_goes_on", a_new_device_goes_on),
    ("write_past_the_end", write_past_the_end),
    ("wrong_binding", wrong_binding),
    ("buffer_destroyed", buffer_destroyed),
    ("read_past_the_end", read_past_the_end),
    ("too_much_memory", too_much_memory),
    ("threads", threads),
];

/// The names of the trials, for a machine without adapters.
pub fn names() -> impl Iterator<Item = String> {
    CASES.iter().map(|(name, _)| format!("[no adapter] faults::{name}"))
}

pub fn trials(adapter: &AdapterSummary) -> Vec<Trial> {
    let label = short_name(adapter);
    let name = adapter.info.name.clone();
    let options = GpuOptions { adapter: Some(name), ..GpuOptions::default() };
    let open: Open = Arc::new(move || Ok(block_on(Gpu::request(&options))?));
    let trial = |&(name, case): &(&str, fn(&Open) -> Outcome)| {
        let open = open.clone();
        Trial::test(format!("[{label}] faults::{name}"), move || case(&open))
    };
    CASES.iter().map(trial).collect()
}

/// What needs no adapter.
pub fn without_adapter() -> Vec<Trial> {
    vec![Trial::test("faults::no_such_adapter", no_such_adapter)]
}

fn unexpected<T>(what: &str, got: Result<T, Error>) -> Outcome {
    match got {
        Ok(_) => Err(format!("{what}: went through").into()),
        Err(e) => Err(format!("{what}: {e:?}").into()),
    }
}

fn must_be_lost<T>(what: &str, got: Result<T, Error>) -> Outcome {
    match got {
        Err(Error::DeviceLost { .. }) => Ok(()),
        other => unexpected(what, other),
    }
}

/// A softmax of ones, recorded.
fn plan(gpu: &Gpu, x: &Buffer, y: &Buffer) -> Result<mantissa::gpu::Plan, Error> {
    let mut plan = PlanBuilder::new(gpu, "faults");
    let softmax = block_on(Softmax::new(gpu, (16, 1000), Options::default()))?;
    softmax.record(&mut plan, &Tensors { x, mask: None, y, log_sum_exp: None })?;
    block_on(plan.build(&mut |_, _| {}))
}

fn buffers(gpu: &Gpu) -> Result<(Buffer, Buffer), Failed> {
    Ok((input(gpu, &[1.0f32; 16_000])?, output(gpu, 16_000)?))
}

fn destroyed_before_submit(open: &Open) -> Outcome {
    let gpu = open()?;
    let (x, y) = buffers(&gpu)?;
    let plan = plan(&gpu, &x, &y)?;
    gpu.destroy();
    must_be_lost("submit", plan.submit())?;
    must_be_lost("check", gpu.check())?;
    must_be_lost("new buffer", block_on(Buffer::new(&gpu, "late", 4)))?;
    must_be_lost("softmax", block_on(softmax::softmax(&gpu, &[1.0; 4], 4)))
}

fn destroyed_before_read(open: &Open) -> Outcome {
    let gpu = open()?;
    let (x, y) = buffers(&gpu)?;
    let submission = plan(&gpu, &x, &y)?.submit()?;
    block_on(submission.finish())?;
    gpu.destroy();
    must_be_lost("read", block_on(y.read::<f32>(0, 16_000)))
}

fn destroyed_in_flight(open: &Open) -> Outcome {
    let gpu = open()?;
    let (x, y) = buffers(&gpu)?;
    let submission = plan(&gpu, &x, &y)?.submit()?;
    gpu.destroy();
    must_be_lost("finish", block_on(submission.finish()))?;
    must_be_lost("read", block_on(y.read::<f32>(0, 16_000)))
}

/// As a driver's reset would do it: nobody told our side.
fn lost_behind_our_back(open: &Open) -> Outcome {
    let gpu = open()?;
    let (x, y) = buffers(&gpu)?;
    let plan = plan(&gpu, &x, &y)?;
    gpu.device().destroy();
    let ran = plan.submit().and_then(|s| block_on(s.finish()));
    must_be_lost("run", ran)?;
    must_be_lost("read", block_on(y.read::<f32>(0, 16_000)))
}

fn a_new_device_goes_on(open: &Open) -> Outcome {
    let first = open()?;
    let x = Random::new(40).normals(300, 1.0);
    let before = block_on(softmax::softmax(&first, &x, 300))?;
    first.destroy();
    let second = open()?;
    let after = block_on(softmax::softmax(&second, &x, 300))?;
    if before == after { Ok(()) } else { Err("the same device gave other bits".into()) }
}

/// A write that the device refuses poisons it: nothing read afterwards is passed on.
fn write_past_the_end(open: &Open) -> Outcome {
    let gpu = open()?;
    let buffer = input(&gpu, &[1.0f32; 8])?;
    buffer.write(6, &[2.0f32; 4]);
    for what in ["first", "second"] {
        match block_on(buffer.read::<f32>(0, 8)) {
            Err(Error::Gpu { .. }) => {}
            other => return unexpected(what, other),
        }
    }
    Ok(())
}

/// A bind group that the device refuses is an error of that plan alone.
fn wrong_binding(open: &Open) -> Outcome {
    let gpu = open()?;
    let (x, y) = buffers(&gpu)?;
    // rope's `step` must be a uniform buffer; a storage buffer is refused.
    let params = ops::rope::Params { heads: 1, head_dim: 4, pairs: 2, stride: 4 };
    let mut plan = PlanBuilder::new(&gpu, "faults");
    ops::rope::record(&mut plan, &x, &x, &y, 1, &params, false)?;
    match block_on(plan.run()) {
        Err(Error::Gpu { what, .. }) if what == "rope" => {}
        other => return unexpected("a storage buffer as a uniform", other),
    }
    // A scoped error is told and over: the device is as good as before.
    gpu.check()?;
    block_on(plan_again(&gpu))
}

async fn plan_again(gpu: &Gpu) -> Outcome {
    let y = softmax::softmax(gpu, &[0.0; 4], 4).await?;
    if y == [0.25; 4] { Ok(()) } else { Err(format!("{y:?}").into()) }
}

/// A submission that uses a destroyed buffer is refused as a whole, and the reason told.
fn buffer_destroyed(open: &Open) -> Outcome {
    let gpu = open()?;
    let (x, y) = buffers(&gpu)?;
    let plan = plan(&gpu, &x, &y)?;
    x.raw().destroy();
    match plan.submit().and_then(|s| block_on(s.finish())) {
        Err(Error::Gpu { reason, .. }) if reason.contains("destroyed") => {}
        other => return unexpected("submit", other),
    }
    match block_on(x.read::<f32>(0, 4)) {
        Err(Error::Gpu { reason, .. }) if reason.contains("destroyed") => Ok(()),
        other => unexpected("read", other),
    }
}

fn read_past_the_end(open: &Open) -> Outcome {
    let gpu = open()?;
    let buffer = input(&gpu, &[1.0f32; 8])?;
    for (at, len) in [(0, 9), (8, 1), (9, 0), (usize::MAX, 1), (1, usize::MAX), (usize::MAX / 4, 4)]
    {
        match block_on(buffer.read::<f32>(at, len)) {
            Err(Error::Shape { op: "read", .. }) => {}
            other => return unexpected(&format!("{at} + {len}"), other),
        }
    }
    gpu.check()?;
    match block_on(buffer.read::<f32>(8, 0))?.len() {
        0 => Ok(()),
        n => Err(format!("{n} words of nothing").into()),
    }
}

/// Asking for more than there is says so, whichever of limit and memory comes first, and leaves
/// the device and its count of bytes as they were.
fn too_much_memory(open: &Open) -> Outcome {
    let gpu = open()?;
    let limits = gpu.limits();
    let binding = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
    match block_on(Buffer::new(&gpu, "beyond", (binding / 4 + 4) as usize)) {
        Err(Error::Limit { needed, available, .. }) if needed > available => {}
        other => return unexpected("beyond the limit", other),
    }
    // SwiftShader allows a gigabyte and has none; others may give it.
    let largest = block_on(Buffer::new(&gpu, "largest", (binding / 4) as usize));
    match &largest {
        Ok(buffer) if buffer.size() <= binding => {}
        Err(Error::OutOfMemory { bytes, .. }) if *bytes > binding - 16 => {}
        other => return Err(format!("the largest: {other:?}").into()),
    }
    let is_swiftshader = gpu.info().name.contains("SwiftShader");
    if is_swiftshader && largest.is_ok() {
        return Err("SwiftShader has given a gigabyte: another way is needed to test this".into());
    }
    drop(largest);
    match gpu.allocated_bytes() {
        0 => block_on(plan_again(&gpu)),
        n => Err(format!("{n} bytes are still counted").into()),
    }
}

fn no_such_adapter() -> Outcome {
    let options = GpuOptions { adapter: Some("Voodoo 2".into()), ..GpuOptions::default() };
    let names: Vec<String> =
        block_on(mantissa::gpu::adapters()).into_iter().map(|a| a.info.name).collect();
    match block_on(Gpu::request(&options)) {
        Err(Error::NoAdapter { wanted, found })
            if wanted == "Voodoo 2" && names.iter().all(|n| found.contains(n)) =>
        {
            Ok(())
        }
        other => unexpected("Voodoo 2", other),
    }
}

/// One device used from several threads: compiling the same pipelines, running, reading.
fn threads(open: &Open) -> Outcome {
    let gpu = open()?;
    let work = &|seed: u64| -> Outcome {
        let format = formats::by_name("f32")?;
        for round in 0..5 {
            let mut random = Random::new(seed * 100 + round);
            let (n, k) = (9, 64);
            let (blocks, x) = (random.blocks(format, (n, k))?, random.normals(2 * k, 1.0));
            let y = block_on(ops::matmul::matmul(&gpu, format, &blocks, (n, k), &x))?;
            let exact = ops::matmul::reference(format, &blocks, (n, k), &x)?;
            let near = |(y, (exact, size)): (&f32, &(f64, f64))| {
                (f64::from(*y) - exact).abs() <= support::gamma(k + 2) * size
            };
            if y.len() != exact.len() || !y.iter().zip(&exact).all(near) {
                return Err(format!("thread {seed}, round {round}").into());
            }
        }
        Ok(())
    };
    let failures: Vec<Failed> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|seed| scope.spawn(move || work(seed))).collect();
        let outcomes =
            threads.into_iter().map(|t| t.join().unwrap_or_else(|_| Err("panic".into())));
        outcomes.filter_map(Result::err).collect()
    });
    gpu.check()?;
    failures.into_iter().next().map_or(Ok(()), Err)
}
