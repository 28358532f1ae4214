//! `cargo bench --bench softmax [-- --adapter NAME]`: each algorithm of softmax at six shapes, beside
//! a kernel that copies as many bytes in vec4s, on the same adapter in the same minutes.
//!
//! Each answer is held against f64 once. Then rounds take turns: a submit of many runs of the copy,
//! then of each algorithm; what is printed is the median of the rounds. "Traffic" is what the
//! algorithm must move where a row exceeds the caches: two-pass and online read twice and write
//! once, three-pass reads three times; rows that are held in registers are read once.

use std::io::Write;
use std::time::Instant;

use mantissa::Gpu;
use mantissa::gpu::{
    Access, Binding, Buffer, Class, GpuOptions, Op, ParamsInfo, Part, Plan, PlanBuilder, Variant,
};
use mantissa::ops::softmax::{Algorithm, Options, Softmax, Split, Tensors};
use pollster::block_on;

#[path = "shared/softmax.rs"]
mod shared;

use shared::{check, values};

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

const SHAPES: [(usize, usize); 6] =
    [(1, 49_152), (1, 643_251), (64, 4_096), (1_024, 1_024), (4_096, 256), (16_384, 64)];
const ROUNDS: usize = 15;
/// What a submit should move, so that it lasts some 20 ms and waiting for it does not count.
const BYTES: usize = 100 << 20;

static COPY: Op = Op {
    name: "copy",
    parts: &[Part {
        path: "benches",
        text: "override LANES: u32 = 64u;
struct Params { n: u32, each: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<u32>>;
@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let stop = min(params.n, (group.x + 1u) * params.each);
    for (var i = group.x * params.each + lane; i < stop; i += LANES) {
        y[i] = x[i];
    }
}
",
    }],
    formats: &[],
    reduces: false,
    bindings: &[
        Binding { name: "x", access: Access::Read },
        Binding { name: "y", access: Access::Write },
    ],
    params: ParamsInfo { size: 8, fields: &[("n", 0), ("each", 4)] },
};

/// One thing to time: runs in a plan, bytes that one moves.
struct Timed {
    name: String,
    plan: Plan,
    runs: usize,
    bytes: usize,
    seconds: Vec<f64>,
    note: String,
}

impl Timed {
    fn round(&mut self) -> Fallible<()> {
        let begun = Instant::now();
        block_on(self.plan.submit()?.finish())?;
        self.seconds.push(begun.elapsed().as_secs_f64() / self.runs as f64);
        Ok(())
    }

    fn median(&mut self) -> f64 {
        self.seconds.sort_by(f64::total_cmp);
        self.seconds[self.seconds.len() / 2]
    }
}

fn main() -> Fallible<()> {
    let mut words = std::env::args().skip_while(|word| word != "--adapter");
    let adapter = words.nth(1);
    let gpu = block_on(Gpu::request(&GpuOptions { adapter, ..Default::default() }))?;
    let mut out = std::io::stdout();
    writeln!(out, "{} ({})", gpu.info().name, gpu.info().driver_info)?;
    writeln!(
        out,
        "| rows × columns | | time | traffic | share of the copy | layout |\n|---|---|---|---|---|---|"
    )?;
    for (rows, cols) in SHAPES {
        for line in shape(&gpu, rows, cols)? {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

fn shape(gpu: &Gpu, rows: usize, cols: usize) -> Fallible<Vec<String>> {
    let x = values(rows * cols);
    let (from, to) = (
        block_on(Buffer::from_slice(gpu, "x", &x))?,
        block_on(Buffer::new(gpu, "y", rows * cols))?,
    );
    let mut timed = Vec::new();
    for algorithm in Algorithm::ALL {
        timed.push(algorithm_of(gpu, algorithm, false, (rows, cols), &from, &to, &x)?);
    }
    timed.push(algorithm_of(gpu, Algorithm::TwoPass, true, (rows, cols), &from, &to, &x)?);
    // The copy moves as many bytes in a run, in two buffers.
    let mut copies = Vec::new();
    let mut sizes: Vec<usize> = timed.iter().map(|t| t.bytes).collect();
    sizes.dedup();
    for bytes in sizes {
        copies.push(copy(gpu, bytes)?);
    }
    for _ in 0..ROUNDS {
        for one in copies.iter_mut().chain(&mut timed) {
            one.round()?;
        }
    }
    let copied: Vec<(usize, f64)> = copies.iter_mut().map(|c| (c.bytes, c.median())).collect();
    let line = |t: &mut Timed| {
        let seconds = t.median();
        let copy = copied.iter().find(|(bytes, _)| *bytes == t.bytes).map_or(0.0, |c| c.1);
        let rate = t.bytes as f64 / seconds / 1e9;
        format!(
            "| {rows} × {cols} | {} | {:.3} ms | {rate:.2} GB/s | {:.0} % | {} |",
            t.name,
            seconds * 1e3,
            copy / seconds * 100.0,
            t.note
        )
    };
    Ok(timed.iter_mut().map(line).collect())
}

fn algorithm_of(
    gpu: &Gpu,
    algorithm: Algorithm,
    deterministic: bool,
    (rows, cols): (usize, usize),
    x: &Buffer,
    y: &Buffer,
    values: &[f32],
) -> Fallible<Timed> {
    let options = Options { algorithm, deterministic, ..Options::default() };
    let softmax = block_on(Softmax::new(gpu, (rows, cols), options))?;
    let tensors = Tensors { x, mask: None, y, log_sum_exp: None };
    let begun = Instant::now();
    let mut once = PlanBuilder::new(gpu, "once");
    softmax.record(&mut once, &tensors)?;
    let once = block_on(once.build(&mut |_, _| {}))?;
    let compiled = begun.elapsed().as_secs_f64();
    block_on(once.submit()?.finish())?;
    check(values, &block_on(y.read(0, rows * cols))?, cols, 3e-6)?;

    let layout = softmax.layout();
    let moves = match (layout.split, algorithm) {
        (Split::Hold(_), _) => 2,
        (_, Algorithm::ThreePass) => 4,
        _ => 3,
    };
    let bytes = rows * cols * 4 * moves;
    let runs = (BYTES / bytes).clamp(1, 200);
    let mut plan = PlanBuilder::new(gpu, "softmax");
    for _ in 0..runs {
        softmax.record(&mut plan, &tensors)?;
    }
    let plan = block_on(plan.build(&mut |_, _| {}))?;
    let name = format!("{algorithm:?}{}", if deterministic { ", deterministic" } else { "" });
    let note = format!("{layout:?}, compiled in {compiled:.2} s");
    Ok(Timed { name, plan, runs, bytes, seconds: Vec::new(), note })
}

fn copy(gpu: &Gpu, bytes: usize) -> Fallible<Timed> {
    let words = bytes / 8;
    let (x, y) = (block_on(Buffer::new(gpu, "x", words))?, block_on(Buffer::new(gpu, "y", words))?);
    let n = words.div_ceil(4) as u32;
    let (lanes, each) = match gpu.caps().class {
        Class::Software => (8.0, 4096),
        Class::Gpu => (256.0, 256),
    };
    let runs = (BYTES / bytes).clamp(1, 200);
    let mut plan = PlanBuilder::new(gpu, "copy");
    for _ in 0..runs {
        let grid = [n.div_ceil(each), 1, 1];
        plan.dispatch(&COPY, Variant::of(&[("LANES", lanes)]), &[n, each], &[&x, &y], grid)?;
    }
    let plan = block_on(plan.build(&mut |_, _| {}))?;
    Ok(Timed { name: "copy".into(), plan, runs, bytes, seconds: Vec::new(), note: String::new() })
}
