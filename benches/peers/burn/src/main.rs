//! Softmax of mantissa and of burn in turn, on the same adapter, in the same minutes.
//!
//!     cargo run --release --manifest-path benches/peers/burn/Cargo.toml
//!
//! burn takes the default adapter: where there are several, `VK_ICD_FILENAMES` leaves one. Each
//! answer is held against float64 first. A round submits many runs and waits once, of mantissa and
//! then of burn; printed are the medians of 15 rounds.

use std::error::Error;
use std::time::Instant;

use burn::tensor::{Device, DeviceKind, Tensor, TensorData, activation};
use mantissa::Gpu;
use mantissa::gpu::{Buffer, GpuOptions, Plan, PlanBuilder};
use mantissa::ops::softmax::{Options, Softmax, Tensors};
use pollster::block_on;

#[path = "../../../shared/softmax.rs"]
mod shared;

use shared::{check, values};

type Fallible<T> = Result<T, Box<dyn Error>>;

const SHAPES: [(usize, usize); 4] = [(1, 49_152), (64, 4_096), (1_024, 1_024), (16_384, 64)];
const ROUNDS: usize = 15;
/// Values that a round computes, so that it lasts some 20 ms and waiting for it does not count.
const VALUES: usize = 8 << 20;
/// Of answers, whoever's.
const BOUND: f64 = 1e-5;

fn main() -> Fallible<()> {
    let gpu = block_on(Gpu::request(&GpuOptions::default()))?;
    let device = Device::wgpu(DeviceKind::DefaultDevice);
    println!("{} ({}), {ROUNDS} rounds", gpu.info().name, gpu.info().driver_info);
    println!("| rows × columns | mantissa | burn | ratio |\n|---|---|---|---|");
    for (rows, cols) in SHAPES {
        let x = values(rows * cols);
        let runs = (VALUES / x.len()).clamp(8, 200);
        let ours = Ours::new(&gpu, (rows, cols), &x, runs)?;
        let tensor = Tensor::<2>::from_data(TensorData::new(x.clone(), [rows, cols]), &device);
        check(
            &x,
            &activation::softmax(tensor.clone(), 1).into_data().try_to_vec::<f32>()?,
            cols,
            BOUND,
        )?;
        let (mut own, mut peer) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            own.push(ours.round()? / runs as f64);
            peer.push(theirs(&device, &tensor, runs)? / runs as f64);
        }
        let (own, peer) = (median(own), median(peer));
        println!(
            "| {rows} × {cols} | {:.3} ms | {:.3} ms | {:.1} |",
            1e3 * own,
            1e3 * peer,
            peer / own
        );
    }
    Ok(())
}

/// The default softmax, recorded as often as a round runs it.
struct Ours(Plan);

impl Ours {
    fn new(gpu: &Gpu, (rows, cols): (usize, usize), x: &[f32], runs: usize) -> Fallible<Self> {
        let from = block_on(Buffer::from_slice(gpu, "x", x))?;
        let to = block_on(Buffer::new(gpu, "y", x.len()))?;
        let softmax = block_on(Softmax::new(gpu, (rows, cols), Options::default()))?;
        let mut plan = PlanBuilder::new(gpu, "softmax");
        for _ in 0..runs {
            let tensors = Tensors { x: &from, mask: None, y: &to, log_sum_exp: None };
            softmax.record(&mut plan, &tensors)?;
        }
        let own = Self(block_on(plan.build(&mut |_, _| {}))?);
        own.round()?;
        check(x, &block_on(to.read(0, x.len()))?, cols, BOUND)?;
        Ok(own)
    }

    fn round(&self) -> Fallible<f64> {
        let begun = Instant::now();
        block_on(self.0.submit()?.finish())?;
        Ok(begun.elapsed().as_secs_f64())
    }
}

/// burn may leave out what nobody keeps, so the answers live until the device has caught up.
fn theirs(device: &Device, x: &Tensor<2>, runs: usize) -> Fallible<f64> {
    let begun = Instant::now();
    let answers: Vec<_> = (0..runs).map(|_| activation::softmax(x.clone(), 1)).collect();
    device.sync()?;
    let seconds = begun.elapsed().as_secs_f64();
    drop(answers);
    Ok(seconds)
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}
