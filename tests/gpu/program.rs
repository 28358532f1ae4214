//! What a program around a model needs: its own device and buffers shared, a load given up, a step's
//! time taken apart.

use std::sync::Arc;

use libtest_mimic::Failed;
use mantissa::gpu::{Buffer, Gpu, Without};
use mantissa::model::{
    Bytes, Cancel, GenerateOptions, LoadOptions, Model, OpTime, Progress, SamplerOptions, Session,
    SessionOptions, Stage,
};
use mantissa::{Error, wgpu};
use pollster::block_on;

use crate::support::{Case, Outcome, case};

pub fn trials() -> Vec<(String, Case)> {
    let all: [(&str, fn(&Gpu) -> Outcome); 8] = [
        ("a device of the program's is as good", shared_device),
        ("a device with too little is refused", poor_device),
        ("a buffer that cannot be storage is refused", foreign_buffer),
        ("a load can be given up between tensors", cancelled),
        ("a warm-up can be given up between pipelines", cancelled_compiling),
        ("after a warm-up an answer compiles nothing", warm),
        ("a profile leaves the conversation as it was", profiled),
        ("memory is told by use", memory),
    ];
    all.map(|(name, work)| case(name, work)).into()
}

fn source() -> Arc<Bytes> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/models/tied_q4_1.gguf");
    Arc::new(Bytes::new("golden", std::fs::read(folder).unwrap()))
}

fn session(gpu: &Gpu) -> mantissa::Result<Session> {
    let model = block_on(Model::load(gpu, source(), &mut |_| {}))?;
    let options = SessionOptions { context: Some(64), ..Default::default() };
    block_on(model.session(&options))
}

fn greedy(session: &mut Session, prompt: &[u32]) -> mantissa::Result<Vec<u32>> {
    block_on(async {
        let options = GenerateOptions { max_tokens: 8, ..Default::default() };
        let mut generation = session.generate(prompt, options);
        let mut ids = Vec::new();
        while let Some(id) = generation.next().await? {
            ids.push(id);
        }
        Ok(ids)
    })
}

/// The adapter behind a device, in an instance of the program's own.
fn adapter(gpu: &Gpu) -> wgpu::Adapter {
    let instance = wgpu::Instance::default();
    let all = block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
    all.into_iter().find(|a| a.get_info().name == gpu.info().name).unwrap()
}

/// Another device like it: the trials share one, and whoever counts bytes or pipelines must be alone.
fn another(gpu: &Gpu) -> Result<Gpu, Failed> {
    let adapter = adapter(gpu);
    let without = Without { f16: !gpu.caps().f16, subgroups: !gpu.caps().subgroups, limits: false };
    let descriptor = Gpu::descriptor(&adapter, without);
    let (device, queue) = block_on(adapter.request_device(&descriptor))?;
    Ok(block_on(Gpu::from_wgpu(device, queue))?)
}

fn shared_device(gpu: &Gpu) -> Outcome {
    let shared = another(gpu)?;
    assert_eq!(shared.caps(), gpu.caps());
    assert_eq!(
        greedy(&mut session(&shared)?, &[1, 2, 3])?,
        greedy(&mut session(gpu)?, &[1, 2, 3])?
    );
    Ok(())
}

fn poor_device(gpu: &Gpu) -> Outcome {
    let limits = wgpu::Limits { max_storage_buffers_per_shader_stage: 4, ..Default::default() };
    let descriptor = wgpu::DeviceDescriptor { required_limits: limits, ..Default::default() };
    let (device, queue) = block_on(adapter(gpu).request_device(&descriptor))?;
    match block_on(Gpu::from_wgpu(device, queue)) {
        Err(Error::Limit { limit: "max_storage_buffers_per_shader_stage", .. }) => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

fn foreign_buffer(gpu: &Gpu) -> Outcome {
    use wgpu::BufferUsages as U;
    let gpu = &another(gpu)?;
    let make = |size, usage| {
        let label = Some("the program's");
        let descriptor = wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false };
        Buffer::from_wgpu(gpu, gpu.device().create_buffer(&descriptor))
    };
    let before = gpu.allocated_bytes();
    let good = make(64, U::STORAGE)?;
    assert_eq!((good.size(), gpu.allocated_bytes()), (64, before));
    assert!(matches!(make(64, U::UNIFORM), Err(Error::Shape { .. })));
    assert!(matches!(make(20, U::STORAGE), Err(Error::Shape { .. })));
    drop(good);
    assert_eq!(gpu.allocated_bytes(), before);
    Ok(())
}

fn cancelled(gpu: &Gpu) -> Outcome {
    let gpu = &another(gpu)?;
    let (before, cancel, mut heard) = (gpu.allocated_bytes(), Cancel::default(), 0);
    let options = LoadOptions { cancel: Some(&cancel), recipe: None };
    let mut progress = |_| {
        heard += 1;
        cancel.cancel();
    };
    let result = block_on(Model::load_with(gpu, source(), options, &mut progress));
    assert!(matches!(result, Err(Error::Cancelled { .. })), "{result:?}");
    assert_eq!((heard, gpu.allocated_bytes()), (1, before), "nothing more is loaded, or kept");
    Ok(())
}

fn cancelled_compiling(gpu: &Gpu) -> Outcome {
    let gpu = &another(gpu)?;
    let (mut session, cancel, mut heard) = (session(gpu)?, Cancel::default(), Vec::new());
    let mut progress = |step: Progress| {
        heard.push((step.stage, step.done));
        cancel.cancel();
    };
    let result = block_on(
        cancel.during("loading", session.warm_up(&GenerateOptions::default(), &mut progress)),
    );
    assert!(matches!(result, Err(Error::Cancelled { .. })), "{result:?}");
    assert_eq!(heard, [(Stage::Compile, 1)], "nothing more is compiled");
    let (mut done, mut total) = (0, 0);
    let mut count = |step: Progress| (done, total) = (step.done, step.total);
    block_on(session.warm_up(&GenerateOptions::default(), &mut count))?;
    assert!(done == total && total > 7, "{done} of {total}");
    assert_eq!(greedy(&mut session, &[1, 2, 3])?.len(), 8, "it goes on as if nothing had been");
    Ok(())
}

/// Each way of choosing, warmed up with the rest or behind it; a device of its own each, since
/// pipelines stay with the device. What draws is compiled behind a greedy answer, in one of those.
fn warm(gpu: &Gpu) -> Outcome {
    let drawing = SamplerOptions::default();
    let wide = SamplerOptions { top_k: 200, ..drawing.clone() };
    let by_host = SamplerOptions { repeat_penalty: 1.1, ..drawing.clone() };
    let of = |sampler| GenerateOptions { max_tokens: 3, sampler, ..Default::default() };
    let drawn = [drawing, wide, by_host].map(of);
    let greedy = of(SamplerOptions::greedy());
    for (options, all_behind) in
        drawn.iter().map(|with| (with, &[][..])).chain([(&greedy, &drawn[..])])
    {
        let gpu = &another(gpu)?;
        let mut session = session(gpu)?;
        block_on(session.warm_up(options, &mut |_| {}))?;
        answer_compiles_nothing(gpu, &mut session, options)?;
        for behind in all_behind {
            let before = gpu.compiled_pipelines();
            block_on(session.warm_up_choice(behind)?)?;
            assert!(gpu.compiled_pipelines() > before, "{behind:?}");
            answer_compiles_nothing(gpu, &mut session, behind)?;
        }
    }
    let bad = SamplerOptions { temperature: -1.0, ..Default::default() };
    let options = GenerateOptions { sampler: bad, ..Default::default() };
    let refused = block_on(session(gpu)?.warm_up(&options, &mut |_| {}));
    assert!(matches!(refused, Err(Error::InvalidOption { .. })), "{refused:?}");
    Ok(())
}

fn answer_compiles_nothing(gpu: &Gpu, session: &mut Session, options: &GenerateOptions) -> Outcome {
    let before = gpu.compiled_pipelines();
    for rows in [1, 2, 5, 33] {
        session.truncate(0);
        block_on(async {
            let mut generation = session.generate(&[1; 33][..rows], options.clone());
            while generation.next().await?.is_some() {}
            Ok::<_, Error>(())
        })?;
        assert_eq!(gpu.compiled_pipelines(), before, "{rows} tokens, {options:?}");
    }
    Ok(())
}

fn profiled(gpu: &Gpu) -> Outcome {
    let mut plain = session(gpu)?;
    let expected = (greedy(&mut plain, &[1, 2, 3])?, greedy(&mut plain, &[4, 5])?);
    let mut taken_apart = session(gpu)?;
    assert!(matches!(block_on(taken_apart.profile_step()), Err(Error::Shape { .. })));
    let first = greedy(&mut taken_apart, &[1, 2, 3])?;
    assert!(matches!(block_on(taken_apart.profile_rows(1000)), Err(Error::Shape { .. })));
    let profile = block_on(taken_apart.profile_step())?;
    assert_eq!((first, greedy(&mut taken_apart, &[4, 5])?), expected);
    assert!(profile.seconds > 0.0);
    let ops = profile.by_op();
    assert_eq!(ops.is_empty(), !gpu.has_timestamps());
    if gpu.has_timestamps() {
        let matmul = ops.iter().find(|op| op.op == "matmul").unwrap();
        assert!(matmul.seconds > 0.0 && matmul.dispatches > 7, "{ops:?}");
        let sum: usize = ops.iter().map(|op| op.dispatches).sum();
        assert_eq!(sum, profile.dispatches.len());
        assert_eq!(sum, profile.dispatch_count);
        // A token's launches: six for each layer, and one where its heads are so few that the context is
        // split; its embedding, which may be staged; the head, and the choice.
        let layers = block_on(Model::load(gpu, source(), &mut |_| {}))?.config().layers;
        let split = ops.iter().any(|op| op.op == "attention_combine");
        assert!(sum <= (6 + usize::from(split)) * layers + 4, "{ops:?}");
        let operands = profile.by_operands();
        let dispatches: usize = operands.iter().map(|op| op.dispatches).sum();
        assert_eq!(dispatches, sum);
        // The formats and shapes of its weights tell one multiplication from another.
        let named = |op: &&OpTime| op.op == "matmul" && op.operands.contains('×');
        assert!(operands.iter().filter(named).count() > 1, "{operands:?}");
        assert!(profile.device_seconds.is_some_and(|s| s > 0.0), "{profile:?}");
        // Microseconds of a step are no years: the clock's unit is right.
        assert!(profile.dispatches.iter().all(|d| (0.0..60.0).contains(&d.seconds)), "{profile:?}");
    }
    Ok(())
}

fn memory(gpu: &Gpu) -> Outcome {
    let gpu = &another(gpu)?;
    let before = gpu.allocated_bytes();
    let model = block_on(Model::load(gpu, source(), &mut |_| {}))?;
    assert_eq!(gpu.allocated_bytes() - before, model.bytes());
    let options = SessionOptions { context: Some(64), ..Default::default() };
    let session = block_on(model.session(&options))?;
    let memory = session.memory();
    assert_eq!(gpu.allocated_bytes() - before, model.bytes() + memory.kv_cache + memory.scratch);
    Ok(())
}
