//! `cargo bench --bench attention [-- --adapter NAME]`: what attention costs as the context grows, at
//! the default model's shape (9 heads of 64 over 3), in each format of the KV cache that has a name of
//! its own: a token decoded at contexts up to 8,192, and a chunk of 128 tokens of a prompt.
//!
//! Each answer's first row is held against f64 once. Then the contexts take turns; what is printed is
//! the median of the rounds, and the memory that attention takes beside the cache.

use std::io::Write;
use std::time::Instant;

use mantissa::Gpu;
use mantissa::formats::{FormatRef, by_name};
use mantissa::gpu::{Buffer, GpuOptions, Plan, PlanBuilder};
use mantissa::ops::attention::{Attention, Options, Seen, Shape, reference};
use mantissa::ops::kv::{Kv, KvShape};
use mantissa::ops::kv_append::{Rotation, Rows};
use mantissa::ops::matrix::decode_f64;
use mantissa::ops::{self, Span, kv_append};
use pollster::block_on;

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

const HEADS: usize = 9;
const KV: KvShape = KvShape { heads: 3, head_dim: 64, positions: 8192 };
const CONTEXTS: [usize; 5] = [128, 512, 2048, 4096, 8192];
const FORMATS: [&str; 3] = ["f32", "f16", "q8_0"];
const CHUNK: usize = 128;
const ROUNDS: usize = 9;

/// What is timed: a plan of so many runs at one context.
struct Timed {
    context: usize,
    rows: usize,
    step: Buffer,
    seconds: Vec<f64>,
}

fn main() -> Fallible<()> {
    let mut words = std::env::args().skip_while(|word| word != "--adapter");
    let adapter = words.nth(1);
    let gpu = block_on(Gpu::request(&GpuOptions { adapter, ..Default::default() }))?;
    let mut out = std::io::stdout();
    writeln!(out, "{} ({})", gpu.info().name, gpu.info().driver_info)?;
    writeln!(out, "| rows | cache | context | time | per position | beside the cache |")?;
    writeln!(out, "|---|---|---|---|---|---|")?;
    for rows in [1, CHUNK] {
        for name in FORMATS {
            for line in format(&gpu, by_name(name)?, rows)? {
                writeln!(out, "{line}")?;
            }
        }
    }
    Ok(())
}

fn format(gpu: &Gpu, format: FormatRef, rows: usize) -> Fallible<Vec<String>> {
    let (width, kv_width) = (HEADS * KV.head_dim, KV.heads * KV.head_dim);
    let x = values(KV.positions * 2 * kv_width, 1);
    let (keys, values_) =
        (block_on(Kv::keys(gpu, format, KV))?, block_on(Kv::values(gpu, format, KV))?);
    let all = step(gpu, 0, KV.positions)?;
    let mut plan = PlanBuilder::new(gpu, "fill");
    let kv = block_on(Buffer::from_slice(gpu, "keys, values", &x))?;
    let kv = Rows { x: &kv, stride: 2 * kv_width, sequences: 1, rows: KV.positions, heads: 0 };
    let table = block_on(Buffer::new(gpu, "no angles", 2))?;
    let rotation = Rotation { table: &table, positions: KV.positions, pairs: 0, neox: false };
    kv_append::record(&mut plan, &all, kv, rotation, (&keys, &values_))?;
    block_on(plan.run())?;

    let q = values(rows * width, 3);
    let from = block_on(Buffer::from_slice(gpu, "q", &q))?;
    let y = block_on(Buffer::new(gpu, "y", rows * width))?;
    let before = gpu.allocated_bytes();
    let options = Options::causal(0.125);
    let shape = Shape { heads: HEADS, sequences: 1, rows, q_stride: width, y_stride: width };
    let attention = block_on(Attention::new(gpu, shape, KV, options.clone()))?;
    let beside = gpu.allocated_bytes() - before;
    let runs = if rows == 1 { 50 } else { 2 };
    let step = step(gpu, 0, rows)?;
    let mut plan = PlanBuilder::new(gpu, "attention");
    for _ in 0..runs {
        attention.record(&mut plan, &step, &from, (&keys, &values_), None, &y)?;
    }
    let plan = block_on(plan.build(&mut |_, _| {}))?;
    let new = |context| Timed { context, rows, step: step.clone(), seconds: Vec::new() };
    let mut timed: Vec<Timed> = CONTEXTS.map(new).into();
    let first = |at| first_head(format, &x[at..], 2 * kv_width, keys.matrix.cols);
    let [k, v] = [0, kv_width].map(first);
    let (k, v) = (k?, v?);
    for one in &mut timed {
        one.round(&plan, runs)?;
        let place = one.context - rows;
        let seen = Seen { keys: &k, values: &v, mask: None, place, end: place + 1, head: 0 };
        let exact = reference(&q[..KV.head_dim], &seen, &options);
        let got: Vec<f32> = block_on(y.read(0, KV.head_dim))?;
        let each = exact.iter().zip(&got).map(|(a, b)| (a - f64::from(*b)).abs());
        let off = each.max_by(f64::total_cmp).unwrap_or(f64::NAN); // NaN is above all
        if off.is_nan() || off > 1e-4 {
            return Err(format!("{} at {}: off by {off:e}", format.name(), one.context).into());
        }
        one.seconds.clear();
    }
    for _ in 0..ROUNDS {
        for one in &mut timed {
            one.round(&plan, runs)?;
        }
    }
    let line = |t: &mut Timed| {
        t.seconds.sort_by(f64::total_cmp);
        let median = t.seconds[t.seconds.len() / 2];
        let (context, each) = (t.context, 1e9 * median / t.context as f64);
        let (name, ms) = (format.name(), 1e3 * median);
        format!("| {rows} | {name} | {context} | {ms:.3} ms | {each:.0} ns | {beside} B |")
    };
    Ok(timed.iter_mut().map(line).collect())
}

impl Timed {
    fn round(&mut self, plan: &Plan, runs: usize) -> Fallible<()> {
        self.step.write(0, &[(self.context - self.rows) as u32, self.rows as u32]);
        let begun = Instant::now();
        block_on(plan.submit()?.finish())?;
        self.seconds.push(begun.elapsed().as_secs_f64() / runs as f64);
        Ok(())
    }
}

/// What the cache makes of the first head of each row.
fn first_head(format: FormatRef, x: &[f32], stride: usize, cols: usize) -> Fallible<Vec<f64>> {
    let mut all = Vec::with_capacity(KV.positions * KV.head_dim);
    for row in x.chunks(stride) {
        let row = kv_append::reference(format, &row[..KV.head_dim], cols)?;
        all.extend(&decode_f64(format, &row, (1, cols))?[..KV.head_dim]);
    }
    Ok(all)
}

fn step(gpu: &Gpu, position: usize, rows: usize) -> Fallible<Buffer> {
    Ok(block_on(ops::step(gpu, &[Span::alone(position, rows, KV.positions)]))?)
}

/// Some values in [−2, 2), the same each time (a multiplicative hash of the index).
fn values(n: usize, seed: u64) -> Vec<f32> {
    let hash = |i: usize| (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23) ^ seed;
    let value = |i| (hash(i).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f32 / (1 << 22) as f32;
    (0..n).map(|i| value(i) - 2.0).collect()
}
