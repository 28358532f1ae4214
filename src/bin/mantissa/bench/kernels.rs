//! Every kernel at the shapes that matter, each answer held against f64 before it is timed.

use anyhow::{Result, bail, ensure};
use mantissa::formats::{FAMILIES, FORMATS, FormatRef, by_name};
use mantissa::gpu::{Buffer, Gpu, PlanBuilder};
use mantissa::ops::softmax::{Options, Softmax, Tensors};
use mantissa::ops::{Matrix, argmax, matmul, quantize, rms_norm, softmax, stride};

use super::ceilings::Ceilings;
use super::clock::Budget;
use super::report::Kernel;
use super::timed::Timed;

/// What is asked about kernels.
#[derive(clap::Args)]
#[command(next_help_heading = "The kernels' measurements")]
pub struct KernelBench {
    /// The operations [default: all of matmul, softmax, rms_norm, argmax]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = OPS)]
    op: Vec<String>,

    /// The formats of weights [default: all; with --quick q4_0, q4_1, q8_0, mxfp4]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = crate::args::format)]
    format: Vec<FormatRef>,

    /// The weights' rows × columns [default: the default model's, 2048x2048 and 11008x4096]
    #[arg(long, value_name = "NxK", value_delimiter = ',', value_parser = shape)]
    shape: Vec<(usize, usize)>,

    /// Rows of x [default: 1,2,4,8,32,128,512]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=65_536))]
    m: Vec<u32>,
}

const OPS: [&str; 4] = ["matmul", "softmax", "rms_norm", "argmax"];
const SHAPES: [(usize, usize); 7] =
    [(576, 576), (192, 576), (1536, 576), (576, 1536), (49_152, 576), (2048, 2048), (11_008, 4096)];
const QUICK_FORMATS: [&str; 4] = ["q4_0", "q4_1", "q8_0", "mxfp4"];
/// Rows of weights that differ; encoding all of a large matrix would take longer than the bench.
const DISTINCT: usize = 16;
/// Bytes of weights that runs take turns with, so that they do not stay in a cache; and how many.
const COLD: usize = 64 << 20;
const COPIES: usize = 16;

fn shape(text: &str) -> Result<(usize, usize), String> {
    let parsed = text.split_once('x').and_then(|(n, k)| Some((n.parse().ok()?, k.parse().ok()?)));
    let small = |n: usize| (1..=1 << 24).contains(&n);
    let fits = |&(n, k): &(usize, usize)| small(n) && small(k) && n * k <= 1 << 30;
    parsed.filter(fits).ok_or_else(|| "must be ROWSxCOLUMNS, such as 576x1536".into())
}

/// A kernel that is ready to be timed.
struct Case {
    kernel: Kernel,
    bytes: f64,
    flops: f64,
    timed: Timed,
}

impl Case {
    fn new(op: &str, format: &str, shape: String, m: usize, timed: Timed) -> Self {
        let kernel = Kernel {
            op: op.into(),
            format: format.into(),
            shape,
            m,
            seconds: 0.0,
            gigabytes_per_second: 0.0,
            gigaflops: 0.0,
            share: 0.0,
            bound: String::new(),
        };
        Self { kernel, bytes: 0.0, flops: 0.0, timed }
    }

    fn moving(self, bytes: usize, flops: usize) -> Self {
        Self { bytes: bytes as f64, flops: flops as f64, ..self }
    }

    fn finish(mut self, read: f64, multiply_add: f64) -> Kernel {
        let seconds = self.timed.take_median().max(1e-12);
        let (bytes, flops) = (self.bytes / seconds, self.flops / seconds);
        let (by_read, by_flops) = (bytes / read, flops / multiply_add);
        Kernel {
            seconds,
            gigabytes_per_second: bytes / 1e9,
            gigaflops: flops / 1e9,
            share: by_read.max(by_flops),
            bound: if by_read >= by_flops { "read" } else { "multiply_add" }.into(),
            ..self.kernel
        }
    }
}

/// Measures what is asked for; what there is no time for is named in `left_out`.
pub async fn run(
    gpu: &Gpu,
    asked: &KernelBench,
    ceilings: &mut Ceilings,
    (quick, rounds, budget): (bool, u32, Budget),
    left_out: &mut Vec<String>,
) -> Result<Vec<Kernel>> {
    let wants = |op: &str| asked.op.is_empty() || asked.op.iter().any(|o| o == op);
    let mut found = Vec::new();
    let mut others = Vec::new();
    if wants("softmax") {
        for shape in [(1, 49_152), (64, 4096)] {
            others.push(softmax_case(gpu, shape).await?);
        }
    }
    if wants("rms_norm") {
        others.push(rms_norm_case(gpu, (128, 576)).await?);
    }
    if wants("argmax") {
        others.push(argmax_case(gpu, 49_152).await?);
    }
    found.extend(take_turns(others, ceilings, (rounds, budget)).await?);
    if wants("matmul") {
        for (format, shape) in products(asked, quick)? {
            let name = format!("matmul {} {}x{}", format.name(), shape.0, shape.1);
            if !shape.1.is_multiple_of(format.block_len()) {
                left_out.push(format!("{name}: no whole blocks"));
            } else if budget.holds(1.0) {
                let cases = matmul_cases(gpu, format, shape, &rows(asked, quick), budget).await?;
                found.extend(take_turns(cases, ceilings, (rounds, budget)).await?);
            } else {
                left_out.push(format!("{name}: the time"));
            }
        }
    }
    Ok(found)
}

/// Rounds of all cases and both ceilings, as many as the time allows and at least one.
async fn take_turns(
    mut cases: Vec<Case>,
    ceilings: &mut Ceilings,
    (rounds, budget): (u32, Budget),
) -> Result<Vec<Kernel>> {
    for round in 0..rounds {
        let cost: f64 = cases.iter().map(|case| case.timed.cost()).sum();
        if round > 0 && !budget.holds(cost) {
            break;
        }
        ceilings.read.round().await?;
        ceilings.multiply_add.round().await?;
        for case in &mut cases {
            case.timed.round().await?;
        }
    }
    let (read, multiply_add) = (ceilings.read.take_rate(), ceilings.multiply_add.take_rate());
    Ok(cases.into_iter().map(|case| case.finish(read, multiply_add)).collect())
}

fn rows(asked: &KernelBench, quick: bool) -> Vec<usize> {
    match (asked.m.is_empty(), quick) {
        (false, _) => asked.m.iter().map(|&m| m as usize).collect(),
        (true, true) => vec![1, 8, 128],
        (true, false) => vec![1, 2, 4, 8, 32, 128, 512],
    }
}

/// Formats and shapes, the smallest shapes first.
fn products(asked: &KernelBench, quick: bool) -> Result<Vec<(FormatRef, (usize, usize))>> {
    let formats: Vec<FormatRef> = match (asked.format.is_empty(), quick) {
        (false, _) => asked.format.clone(),
        (true, true) => QUICK_FORMATS.into_iter().map(by_name).collect::<Result<_, _>>()?,
        (true, false) => {
            let samples = FAMILIES.iter().filter_map(|f| f.samples.first());
            let samples = samples.map(|name| by_name(name)).collect::<Result<Vec<_>, _>>()?;
            FORMATS.iter().copied().chain(samples).collect()
        }
    };
    let mut shapes = match (asked.shape.is_empty(), quick) {
        (false, _) => asked.shape.clone(),
        (true, true) => vec![(1536, 576), (576, 1536)],
        (true, false) => SHAPES.into(),
    };
    shapes.sort_by_key(|(n, k)| n * k);
    let of = |shape| formats.iter().map(move |&format| (format, shape));
    Ok(shapes.into_iter().flat_map(of).collect())
}

async fn matmul_cases(
    gpu: &Gpu,
    format: FormatRef,
    (n, k): (usize, usize),
    rows: &[usize],
    budget: Budget,
) -> Result<Vec<Case>> {
    let distinct = quantize::reference(format, &values(DISTINCT * k, 1), k)?;
    let bytes = distinct.len() / DISTINCT * n;
    let blocks: Vec<u8> = distinct.iter().copied().cycle().take(bytes).collect();
    let mut copies = Vec::new();
    for _ in 0..(COLD / bytes.max(1)).clamp(1, COPIES) {
        copies.push(Matrix::upload(gpu, "w", format, (n, k), &blocks).await?);
    }
    let mut cases = Vec::new();
    for &m in rows {
        if !budget.holds(0.0) {
            break;
        }
        let x = values(m * stride(k), 2);
        let from = Buffer::from_slice(gpu, "x", &x).await?;
        let y = Buffer::new(gpu, "y", m * stride(n)).await?;
        let mut plan = PlanBuilder::new(gpu, "matmul");
        for w in &copies {
            let out = matmul::Output { y: &y, stride: stride(n), at: 0, accumulate: false };
            matmul::record(&mut plan, w, (&from, 0, m), None, out)?;
        }
        let timed = Timed::new(gpu, plan, copies.len()).await?;
        let few = DISTINCT.min(n);
        for row in [0, m - 1] {
            let got: Vec<f32> = y.read(row * stride(n), few).await?;
            let x = &x[row * stride(k)..row * stride(k) + k];
            let blocks = &distinct[..distinct.len() / DISTINCT * few];
            let codes = matmul::Tile::on(gpu, format, (n, k), m).uses_codes(format);
            let exact = matmul::reference_by(format, blocks, (few, k), x, codes)?;
            // K products and K − 1 additions in any order (Higham, section 3.1), and some slack.
            let unit = (k + 2) as f64 / f64::from(1 << 24);
            let bound = exact.iter().map(|(sum, size)| (*sum, unit / (1.0 - unit) * size));
            near(&format!("matmul {} {n}x{k}, row {row} of {m}", format.name()), &got, bound)?;
        }
        let case = Case::new("matmul", format.name(), format!("{n}x{k}"), m, timed);
        cases.push(case.moving(bytes + 4 * m * (n + k), 2 * m * n * k));
    }
    Ok(cases)
}

async fn softmax_case(gpu: &Gpu, (rows, cols): (usize, usize)) -> Result<Case> {
    let x = values(rows * cols, 3);
    let prepared = Softmax::new(gpu, (rows, cols), Options::default()).await?;
    let from = Buffer::from_slice(gpu, "x", &x).await?;
    let y = Buffer::new(gpu, "y", x.len()).await?;
    let mut plan = PlanBuilder::new(gpu, "softmax");
    prepared.record(&mut plan, &Tensors { x: &from, mask: None, y: &y, log_sum_exp: None })?;
    let timed = Timed::new(gpu, plan, 1).await?;
    let got: Vec<f32> = y.read(0, cols).await?;
    // Far above the bound that docs/SOFTMAX.md derives, far below anything wrong.
    let exact = softmax::reference(&x[..cols], 1.0).into_iter();
    near("softmax", &got, exact.map(|y| (y, 3e-6 * y + 1e-37)))?;
    let case = Case::new("softmax", "", format!("{rows}x{cols}"), rows, timed);
    Ok(case.moving(8 * x.len(), 0))
}

async fn rms_norm_case(gpu: &Gpu, (rows, cols): (usize, usize)) -> Result<Case> {
    let (x, gain) = (values(rows * cols, 4), values(cols, 5));
    let from = Buffer::from_slice(gpu, "x", &x).await?;
    let weight = Buffer::from_slice(gpu, "gain", &gain).await?;
    let y = Buffer::new(gpu, "y", rows * stride(cols)).await?;
    let mut plan = PlanBuilder::new(gpu, "rms_norm");
    rms_norm::record(&mut plan, (&from, 0), &weight, &y, (rows, cols), 1e-5)?;
    let timed = Timed::new(gpu, plan, 1).await?;
    let got: Vec<f32> = y.read(0, cols).await?;
    let exact = rms_norm::reference(&x[..cols], &gain, 1e-5).into_iter();
    // A sum of `cols` squares, each off by 2^-24 at most, and a handful of roundings behind it.
    let unit = (cols + 16) as f64 / f64::from(1 << 24);
    near("rms_norm", &got, exact.map(|y| (y, unit * y.abs() + 1e-37)))?;
    let case = Case::new("rms_norm", "", format!("{rows}x{cols}"), rows, timed);
    Ok(case.moving(8 * x.len(), 3 * x.len()))
}

async fn argmax_case(gpu: &Gpu, cols: usize) -> Result<Case> {
    let x = values(cols, 6);
    let from = Buffer::from_slice(gpu, "x", &x).await?;
    let y = Buffer::new(gpu, "y", 1).await?;
    let mut plan = PlanBuilder::new(gpu, "argmax");
    argmax::record(&mut plan, &from, (1, cols), &y, 0)?;
    let timed = Timed::new(gpu, plan, 1).await?;
    let got: Vec<u32> = y.read(0, 1).await?;
    ensure!(got == [argmax::reference(&x)], "argmax gives {got:?}");
    Ok(Case::new("argmax", "", format!("1x{cols}"), 1, timed).moving(4 * cols, 0))
}

fn near(what: &str, got: &[f32], want: impl Iterator<Item = (f64, f64)>) -> Result<()> {
    for ((exact, allowed), value) in want.zip(got) {
        let error = (f64::from(*value) - exact).abs();
        if error.is_nan() || error > allowed {
            bail!("{what} gives {value:e}, not {exact:e} ± {allowed:e}");
        }
    }
    Ok(())
}

/// Some values in [−2, 2), the same each time (a multiplicative hash of the index).
fn values(n: usize, seed: u64) -> Vec<f32> {
    let hash = |i: usize| (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23) ^ seed;
    let value = |i| (hash(i).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f32 / (1 << 22) as f32;
    (0..n).map(|i| value(i) - 2.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read_and_nonsense_is_refused() {
        assert_eq!(shape("576x1536"), Ok((576, 1536)));
        for bad in ["", "576", "0x4", "4x0", "ax4", "99999999x99999999", "16777216x16777216"] {
            assert!(shape(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_value_beside_its_bound_is_refused() {
        assert!(near("it", &[1.0], [(1.0, 0.0)].into_iter()).is_ok());
        for wrong in [1.1, f32::NAN] {
            assert!(near("it", &[wrong], [(1.0, 0.01)].into_iter()).is_err());
        }
    }
}
