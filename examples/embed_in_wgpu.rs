//! Mantissa in a program that has a wgpu device and buffers of its own: the kernel is encoded into
//! the program's command buffer, between its own commands, and reads and writes its buffers.
//!
//! `cargo run --release --example embed_in_wgpu`

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use mantissa::gpu::{Buffer, PlanBuilder, Without};
use mantissa::ops::{self, Matrix, matmul};
use mantissa::{Gpu, formats, wgpu};
use wgpu::BufferUsages as U;

const N: usize = 8;
const K: usize = 64;

/// Prints what the program reads back from its own buffer.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    pollster::block_on(run())
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    // The program's own device. `descriptor` asks for all that kernels can use; the default
    // descriptor would do as well.
    let instance = wgpu::Instance::default();
    let adapter = instance.request_adapter(&wgpu::RequestAdapterOptions::default()).await?;
    let descriptor = Gpu::descriptor(&adapter, Without::default());
    let (device, queue) = adapter.request_device(&descriptor).await?;
    let buffer = |label, size: usize, usage| {
        let size = size as u64 * 4;
        let descriptor = wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false };
        device.create_buffer(&descriptor)
    };
    let x = buffer(Some("activations"), K, U::STORAGE | U::COPY_DST);
    let y = buffer(Some("result"), N, U::STORAGE | U::COPY_SRC);
    let read = buffer(Some("read"), N, U::MAP_READ | U::COPY_DST);

    // Once: weights in a block format, and a plan that multiplies them with the program's buffer.
    let gpu = Gpu::from_wgpu(device.clone(), queue.clone()).await?;
    let format = formats::by_name("q8_0")?;
    let weights: Vec<f32> = (0..N * K).map(|i| (i as f32 * 0.1).sin()).collect();
    let blocks = ops::quantize::reference(format, &weights, K)?;
    let matrix = Matrix::upload(&gpu, "weights", format, (N, K), &blocks).await?;
    let (from, to) = (Buffer::from_wgpu(&gpu, x.clone())?, Buffer::from_wgpu(&gpu, y.clone())?);
    let mut plan = PlanBuilder::new(&gpu, "y = x·Wᵀ");
    let out = matmul::Output { y: &to, stride: N, at: 0, accumulate: false };
    matmul::record(&mut plan, &matrix, (&from, 0, 1), None, out)?;
    let plan = plan.build(&mut |_, _| {}).await?;

    // As often as wanted: the program's commands, the plan, the program's commands.
    let values: Vec<f32> = (0..K).map(|i| (i as f32 * 0.2).cos()).collect();
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    queue.write_buffer(&x, 0, &bytes);
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    plan.encode(&mut encoder);
    encoder.copy_buffer_to_buffer(&y, 0, &read, 0, read.size());
    queue.submit([encoder.finish()]);
    read.map_async(wgpu::MapMode::Read, .., |_| {});
    device.poll(wgpu::PollType::wait_indefinitely())?;
    gpu.check()?;

    let result = read.get_mapped_range(..)?;
    let exact = matmul::reference(format, &blocks, (N, K), &values)?;
    for (y, (exact, bound)) in result.chunks_exact(4).zip(exact) {
        let y = f32::from_le_bytes(y.try_into()?);
        println!("{y:10.6}   (f64: {exact:10.6})");
        if (f64::from(y) - exact).abs() > 1e-5 * bound {
            return Err("the kernel and f64 disagree".into());
        }
    }
    Ok(())
}
