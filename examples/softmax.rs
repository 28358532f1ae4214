//! Softmax of long rows, whose exponentials no float could hold, and what it costs in accuracy.
//!
//! `cargo run --release --example softmax`

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use mantissa::gpu::{Gpu, GpuOptions};
use mantissa::ops::softmax;

/// Prints the error of each row.
pub fn main() -> mantissa::Result<()> {
    let gpu = pollster::block_on(Gpu::request(&GpuOptions::default()))?;
    let (rows, width) = (4, 50_000);
    // exp(300) is infinite in f32.
    let x: Vec<f32> = (0..rows * width).map(|i| 300.0 * (i as f32 * 0.37).sin()).collect();
    let y = pollster::block_on(softmax::softmax(&gpu, &x, width))?;

    println!("{rows} rows of {width} on {}", gpu.info().name);
    for (x, y) in x.chunks_exact(width).zip(y.chunks_exact(width)) {
        let exact = in_f64(x);
        let error = y.iter().zip(&exact).map(|(y, e)| (f64::from(*y) - e).abs() / e.max(1e-30));
        let sum: f64 = y.iter().map(|y| f64::from(*y)).sum();
        println!("sums to {sum:.7}; furthest from f64: {:.1e}", error.fold(0.0, f64::max));
    }
    Ok(())
}

/// The textbook's way.
fn in_f64(x: &[f32]) -> Vec<f64> {
    let max = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = x.iter().map(|x| f64::from(x - max).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|p| p / sum).collect()
}
