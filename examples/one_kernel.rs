//! One kernel by itself: y = x·Wᵀ on weights that stay packed on the GPU.
//!
//! `cargo run --release --example one_kernel`

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use mantissa::gpu::{Gpu, GpuOptions};
use mantissa::{formats, ops};

/// Prints the product beside that of f64.
pub fn main() -> mantissa::Result<()> {
    let gpu = pollster::block_on(Gpu::request(&GpuOptions::default()))?;
    let format = formats::by_name("q4_1")?;
    let (m, n, k) = (2, 3, 64);
    let w: Vec<f32> = (0..n * k).map(|i| (i as f32 * 0.1).sin()).collect();
    let x: Vec<f32> = (0..m * k).map(|i| (i as f32 * 0.2).cos()).collect();

    let blocks = ops::quantize::reference(format, &w, k)?;
    let y = pollster::block_on(ops::matmul::matmul(&gpu, format, &blocks, (n, k), &x))?;

    println!("{} on {}: {} bytes of weights", format.name(), gpu.info().name, blocks.len());
    for ((y, (exact, _)), i) in
        y.iter().zip(ops::matmul::reference(format, &blocks, (n, k), &x)?).zip(0..)
    {
        println!("y[{}, {}] = {y:10.6}   (f64: {exact:10.6})", i / n, i % n);
    }
    Ok(())
}
