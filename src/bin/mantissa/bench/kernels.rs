//! Every kernel at the shapes that matter, each answer held against f64 before it is timed.

use anyhow::Result;
use mantissa::formats::{FAMILIES, FORMATS, FormatRef, by_name};
use mantissa::gpu::{Buffer, Gpu, PlanBuilder};
use mantissa::ops::{Matrix, matmul, quantize, stride};

use super::around;
use super::case::{Case, near, values};
use super::ceilings::Ceilings;
use super::clock::Budget;
use super::report::Kernel;
use super::timed::Timed;

/// What is asked about kernels.
#[derive(clap::Args)]
#[command(next_help_heading = "The kernels' measurements")]
pub struct KernelBench {
    /// The operations [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = ops())]
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

const SHAPES: [(usize, usize); 7] =
    [(576, 576), (192, 576), (1536, 576), (576, 1536), (49_152, 576), (2048, 2048), (11_008, 4096)];
const QUICK_FORMATS: [&str; 4] = ["q4_0", "q4_1", "q8_0", "mxfp4"];
/// Rows of weights that differ; encoding all of a large matrix would take longer than the bench.
const DISTINCT: usize = 16;
/// Bytes of weights that runs take turns with, so that they do not stay in a cache; and how many.
const COLD: usize = 64 << 20;
const COPIES: usize = 16;

/// Names that `--op` takes.
fn ops() -> Vec<&'static str> {
    std::iter::once("matmul").chain(around::OPS).collect()
}

fn shape(text: &str) -> Result<(usize, usize), String> {
    let parsed = text.split_once('x').and_then(|(n, k)| Some((n.parse().ok()?, k.parse().ok()?)));
    let small = |n: usize| (1..=1 << 24).contains(&n);
    let fits = |&(n, k): &(usize, usize)| small(n) && small(k) && n * k <= 1 << 30;
    parsed.filter(fits).ok_or_else(|| "must be ROWSxCOLUMNS, such as 576x1536".into())
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
    for op in around::OPS.into_iter().filter(|op| wants(op)) {
        if budget.holds(1.0) {
            let cases = around::cases(gpu, op, quick).await?;
            found.extend(take_turns(cases, ceilings, (rounds, budget)).await?);
        } else {
            left_out.push(format!("{op}: the time"));
        }
    }
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
}
