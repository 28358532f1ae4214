//! Timings of single kernels, each checked against its reference before.

use serde::Serialize;
use wasm_bindgen::prelude::*;
use web_time::Instant;

use super::device::{AlgorithmName, Device};
use super::{JsResult, from_json, to_json};
use crate::conformance::{Outcome, Random};
use crate::error::Result;
use crate::formats;
use crate::gpu::{Buffer, Gpu, Plan, PlanBuilder};
use crate::ops::softmax::{Options, Softmax, Tensors};
use crate::ops::{Matrix, matmul, quantize, softmax, stride};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    kind: &'static str,
    name: &'a str,
    shape: String,
    milliseconds: f64,
    gigabytes_per_second: f64,
    gigaflops: f64,
    correct: bool,
}

/// Rows of a result that are compared: enough to see a wrong kernel, few enough for f64.
const CHECKED: usize = 16;

#[wasm_bindgen]
impl Device {
    /// Softmax of random rows for some `budget` milliseconds; a row of the table, as JSON.
    #[wasm_bindgen(js_name = benchSoftmax)]
    pub async fn bench_softmax(
        &self,
        name: String,
        rows: usize,
        cols: usize,
        budget: f64,
    ) -> JsResult<String> {
        let algorithm = from_json::<AlgorithmName>(&format!("{name:?}"))?.into();
        let gpu = &self.gpu;
        let x = Random::new(1).normals(rows * cols, 5.0);
        let options = Options { algorithm, ..Options::default() };
        let prepared = Softmax::new(gpu, (rows, cols), options).await?;
        let from = Buffer::from_slice(gpu, "x", &x).await?;
        let y = Buffer::new(gpu, "y", x.len()).await?;
        let mut plan = PlanBuilder::new(gpu, "softmax");
        let tensors = Tensors { x: &from, mask: None, y: &y, log_sum_exp: None };
        prepared.record(&mut plan, &tensors)?;
        let plan = plan.build(&mut |_, _| {}).await?;
        plan.submit()?.finish().await?;
        let got: Vec<f32> = y.read(0, cols).await?;
        let exact = softmax::reference(&x[..cols], 1.0);
        let most = x[..cols].iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let bounds = exact.into_iter().zip(&x).map(|(y, x)| {
            let below = f64::from(most) - f64::from(*x);
            (y, prepared.layout().error_bound(algorithm, cols, below) * y + 2f64.powi(-126))
        });
        let correct = Outcome::near(&got, bounds).passed;
        let milliseconds = time(gpu, &plan, budget).await?;
        to_json(&Row {
            kind: "softmax",
            name: &name,
            shape: format!("{rows}×{cols}"),
            milliseconds,
            gigabytes_per_second: (x.len() * 8) as f64 / milliseconds / 1e6,
            gigaflops: 0.0,
            correct,
        })
    }

    /// y = x·Wᵀ of random W (`n` rows of `k` in `format`) and `m` rows of x.
    #[wasm_bindgen(js_name = benchMatmul)]
    pub async fn bench_matmul(
        &self,
        format: String,
        m: usize,
        k: usize,
        n: usize,
        budget: f64,
    ) -> JsResult<String> {
        let (gpu, kind) = (&self.gpu, formats::by_name(&format)?);
        let mut random = Random::new(2);
        // Rows repeat: encoding all of a large matrix on the CPU would take longer than the bench.
        let distinct = quantize::reference(kind, &random.normals(CHECKED * k, 1.0), k)?;
        let bytes = distinct.len() / CHECKED * n;
        let blocks: Vec<u8> = distinct.iter().copied().cycle().take(bytes).collect();
        let x = random.normals(m * k, 1.0);
        let w = Matrix::upload(gpu, "w", kind, (n, k), &blocks).await?;
        let from = Buffer::from_slice(gpu, "x", &crate::ops::with_padding(&x, k)).await?;
        let y = Buffer::new(gpu, "y", m * stride(n)).await?;
        let mut plan = PlanBuilder::new(gpu, "matmul");
        let out = matmul::Output { y: &y, stride: stride(n), at: 0, accumulate: false };
        matmul::record(&mut plan, &w, (&from, 0, m), None, out)?;
        let plan = plan.build(&mut |_, _| {}).await?;
        plan.submit()?.finish().await?;
        let checked = CHECKED.min(n);
        let got: Vec<f32> = y.read(0, checked).await?;
        let few = &blocks[..blocks.len() / n * checked];
        let codes = matmul::Tile::on(gpu, kind, (n, k), m).uses_codes(kind);
        let exact = matmul::reference_by(kind, few, (checked, k), &x[..k], codes)?;
        // As in the conformance suite.
        let unit = (k + 2) as f64 / f64::from(1 << 24);
        let bounds = exact.into_iter().map(|(sum, size)| (sum, unit / (1.0 - unit) * size));
        let correct = Outcome::near(&got, bounds).passed;
        let milliseconds = time(gpu, &plan, budget).await?;
        let moved = blocks.len() + 4 * (x.len() + m * n);
        to_json(&Row {
            kind: "matmul",
            name: &format,
            shape: format!("{m}×{k}×{n}"),
            milliseconds,
            gigabytes_per_second: moved as f64 / milliseconds / 1e6,
            gigaflops: 2.0 * (m * k * n) as f64 / milliseconds / 1e6,
            correct,
        })
    }
}

/// Milliseconds of a run: the median of some batches, each waited for once, so that the wait is
/// divided among its runs. A browser's wait may take longer than a hundred runs, so runs are counted out
/// by what a batch of many takes, not by what one does.
async fn time(gpu: &Gpu, plan: &Plan, budget: f64) -> Result<f64> {
    const BATCHES: usize = 5;
    const MOST: f64 = 1000.0;
    let mut runs = 1;
    loop {
        let each = batch(gpu, plan, runs).await?;
        let fitting = (budget / BATCHES as f64 / each.max(1e-3)).clamp(1.0, MOST) as usize;
        if fitting < 2 * runs {
            break;
        }
        runs = fitting;
    }
    let mut times = Vec::with_capacity(BATCHES);
    for _ in 0..BATCHES {
        times.push(batch(gpu, plan, runs).await?);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[BATCHES / 2])
}

async fn batch(gpu: &Gpu, plan: &Plan, runs: usize) -> Result<f64> {
    let start = Instant::now();
    let submission = gpu.submit("bench", |encoder| {
        for _ in 0..runs {
            plan.encode(encoder);
        }
    })?;
    submission.finish().await?;
    Ok(start.elapsed().as_secs_f64() * 1e3 / runs as f64)
}
