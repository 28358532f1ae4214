//! The kernels around the multiplications, at the default model's shapes and at those of one 2048 wide.

use anyhow::{Result, ensure};
use mantissa::formats::by_name;
use mantissa::gpu::{Buffer, Gpu, PlanBuilder, Texels};
use mantissa::ops::glu::Activation;
use mantissa::ops::softmax::{Options, Softmax, Tensors};
use mantissa::ops::{
    self, Matrix, Placement, Span, argmax, dequantize, glu, quantize, quantize_q8, rms_norm, rope,
    softmax, stage, stride, top_k,
};

use super::cached;
use super::case::{Case, near, values};
use super::timed::Timed;

/// Their names, in the order in which they are measured.
pub const OPS: [&str; 12] = [
    "softmax",
    "rms_norm",
    "stage",
    "rope",
    "glu",
    "argmax",
    "top_k",
    "dequantize",
    "quantize",
    "quantize_q8",
    "kv_append",
    "attention",
];

/// Rows of a prompt's chunk.
pub const CHUNK: usize = 128;

/// All that is measured of an operation, answers checked; short contexts only where it must be quick.
pub async fn cases(gpu: &Gpu, op: &str, quick: bool) -> Result<Vec<Case>> {
    let mut all = Vec::new();
    match op {
        "softmax" => {
            for shape in [(1, 49_152), (64, 4096)] {
                all.push(softmax_case(gpu, shape).await?);
            }
        }
        "rms_norm" => {
            for shape in [(1, 576), (CHUNK, 576), (CHUNK, 2048)] {
                all.push(rms_norm_case(gpu, shape).await?);
            }
        }
        "stage" => {
            for shape in [(1, 576), (CHUNK, 576), (CHUNK, 2048)] {
                all.push(stage_case(gpu, shape).await?);
            }
        }
        "rope" => {
            for shape in [(1, 12), (CHUNK, 12), (CHUNK, 36)] {
                all.push(rope_case(gpu, shape).await?);
            }
        }
        "glu" => {
            for shape in [(1, 1536), (CHUNK, 1536), (CHUNK, 5632)] {
                all.push(glu_case(gpu, shape).await?);
            }
        }
        "argmax" => all.push(argmax_case(gpu, 49_152).await?),
        "top_k" => all.push(top_k_case(gpu, (49_152, 40)).await?),
        "dequantize" | "quantize" => {
            for format in ["f16", "q4_0", "q4_1", "q8_0", "mxfp4"] {
                for shape in [(1536, 576), (2048, 2048)] {
                    all.push(rounded_case(gpu, op == "quantize", format, shape).await?);
                }
            }
        }
        "quantize_q8" => {
            for shape in [(1, 576), (CHUNK, 1536)] {
                all.push(quantize_q8_case(gpu, shape).await?);
            }
        }
        _ => all = cached::cases(gpu, op, quick).await?,
    }
    Ok(all)
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
    check_norm("rms_norm", &y.read(0, cols).await?, (&x[..cols], &gain))?;
    let case = Case::new("rms_norm", "", format!("{rows}x{cols}"), rows, timed);
    Ok(case.moving(8 * x.len(), 3 * x.len()))
}

/// With RMSNorm on the way.
async fn stage_case(gpu: &Gpu, (rows, cols): (usize, usize)) -> Result<Case> {
    let (x, gain) = (values(rows * cols, 4), values(cols, 5));
    let from = Buffer::from_slice(gpu, "x", &x).await?;
    let weight = Buffer::from_slice(gpu, "gain", &gain).await?;
    let y = Texels::zeros(gpu, "y", stage::texels(rows, cols)).await?;
    let mut plan = PlanBuilder::new(gpu, "stage");
    stage::record(&mut plan, (&from, 0, rows), cols, Some((&weight, 1e-5)), &y)?;
    let timed = Timed::new(gpu, plan, 1).await?;
    let got: Vec<f32> = y.read(0, cols).await?.into_iter().map(f32::from_bits).collect();
    check_norm("stage", &got, (&x[..cols], &gain))?;
    let case = Case::new("stage", "", format!("{rows}x{cols}"), rows, timed);
    Ok(case.moving(8 * x.len(), 3 * x.len()))
}

/// A sum of K squares, each off by 2^-24 at most, and a handful of roundings behind it.
fn check_norm(op: &str, got: &[f32], (x, gain): (&[f32], &[f32])) -> Result<()> {
    let exact = rms_norm::reference(x, gain, 1e-5).into_iter();
    let unit = (x.len() + 16) as f64 / f64::from(1 << 24);
    near(op, got, exact.map(|y| (y, unit * y.abs() + 1e-37)))
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

/// Heads of 64, all of each rotated.
async fn rope_case(gpu: &Gpu, (rows, heads): (usize, usize)) -> Result<Case> {
    const HEAD: usize = 64;
    const POSITION: usize = 100;
    let frequencies: Vec<f64> = (0..HEAD / 2).map(|i| 1e5f64.powf(-(i as f64) / 32.0)).collect();
    let width = heads * HEAD;
    let x = values(rows * width, 7);
    let table = rope::table(&frequencies, POSITION + rows);
    let table = Buffer::from_slice(gpu, "table", table.as_flattened()).await?;
    let place = ops::step(gpu, &[Span::alone(POSITION, rows, POSITION + rows)]).await?;
    let turned = Buffer::from_slice(gpu, "x", &x).await?;
    let [heads, head_dim, pairs, stride] = [heads, HEAD, HEAD / 2, width].map(|n| n as u32);
    let params = rope::Params { heads, head_dim, pairs, stride };
    let record = || {
        let mut plan = PlanBuilder::new(gpu, "rope");
        rope::record(&mut plan, &place, &table, &turned, rows, &params, true).map(|()| plan)
    };
    // In place: each run turns further, so the first one is checked.
    record()?.run().await?;
    let got: Vec<f32> = turned.read((rows - 1) * width, HEAD).await?;
    let head = &x[(rows - 1) * width..][..HEAD];
    let exact = rope::reference(head, &frequencies, POSITION + rows - 1, true);
    // Two rounded factors, two products and a sum of |x| ≤ 2.
    near("rope", &got, exact.into_iter().map(|y| (y, 12.0 / f64::from(1 << 24))))?;
    let timed = Timed::new(gpu, record()?, 1).await?;
    let case = Case::new("rope", "", format!("{rows}x{width}"), rows, timed);
    Ok(case.moving(8 * x.len(), 3 * x.len()))
}

async fn glu_case(gpu: &Gpu, (rows, cols): (usize, usize)) -> Result<Case> {
    let x = values(rows * stride(2 * cols), 8);
    let from = Buffer::from_slice(gpu, "x", &x).await?;
    let y = Buffer::new(gpu, "y", rows * stride(cols)).await?;
    let mut plan = PlanBuilder::new(gpu, "glu");
    glu::record(&mut plan, &from, &y, (rows, cols), Activation::Silu)?;
    let timed = Timed::new(gpu, plan, 1).await?;
    let got: Vec<f32> = y.read(0, cols).await?;
    let exact = (0..cols).map(|i| glu::reference(x[i], x[cols + i], Activation::Silu));
    // An exponential of some ulp, a division and two products.
    near("glu", &got, exact.map(|y| (y, 1e-6 * y.abs() + 1e-37)))?;
    let case = Case::new("glu", "", format!("{rows}x{cols}"), rows, timed);
    Ok(case.moving(12 * rows * cols, 0))
}

async fn top_k_case(gpu: &Gpu, (cols, k): (usize, usize)) -> Result<Case> {
    let x = values(cols, 9);
    let from = Buffer::from_slice(gpu, "x", &x).await?;
    let lists = Buffer::new(gpu, "lists", top_k::scratch_words(cols, k)).await?;
    let y = Buffer::new(gpu, "y", top_k::list_words(k)).await?;
    let mut plan = PlanBuilder::new(gpu, "top_k");
    top_k::record(&mut plan, &from, (cols, k), &lists, &y)?;
    let timed = Timed::new(gpu, plan, 1).await?;
    let got: Vec<u32> = y.read(0, 2 * k).await?;
    let (bits, places) = top_k::reference(&x, k);
    ensure!(got == [bits, places].concat(), "top_k gives {got:?}");
    Ok(Case::new("top_k", "", format!("1x{cols}"), 1, timed).moving(4 * cols, 0))
}

/// From floats into a format, or back.
async fn rounded_case(
    gpu: &Gpu,
    encodes: bool,
    name: &str,
    (rows, cols): (usize, usize),
) -> Result<Case> {
    let format = by_name(name)?;
    let x = values(rows * cols, 10);
    let blocks = quantize::reference(format, &x, cols)?;
    // Kernels write buffers only.
    let placement = Placement { texels: !encodes, ..Placement::of(gpu) };
    let w = Matrix::upload_placed(gpu, "w", format, (rows, cols), &blocks, placement).await?;
    let floats = Buffer::from_slice(gpu, "x", &x).await?;
    let op = if encodes { "quantize" } else { "dequantize" };
    let mut plan = PlanBuilder::new(gpu, op);
    if encodes {
        for shard in &w.shards {
            shard.words.buffer()?.write(0, &[0u32; 4]);
        }
        quantize::record(&mut plan, &floats, &w)?;
    } else {
        dequantize::record(&mut plan, &w, &floats)?;
    }
    let timed = Timed::new(gpu, plan, 1).await?;
    if encodes {
        ensure!(w.download().await? == blocks, "quantize {name} gives other bytes");
    } else {
        let got: Vec<f32> = floats.read(0, rows * cols).await?;
        let mut exact = vec![0.0; rows * cols];
        mantissa::formats::decode_rows(format, cols, &blocks, &mut exact)?;
        ensure!(got == exact, "dequantize {name} gives other values");
    }
    let case = Case::new(op, name, format!("{rows}x{cols}"), rows, timed);
    Ok(case.moving(blocks.len() + 4 * x.len(), 0))
}

async fn quantize_q8_case(gpu: &Gpu, (rows, cols): (usize, usize)) -> Result<Case> {
    let x = values(rows * cols, 11);
    let from = Buffer::from_slice(gpu, "x", &x).await?;
    let y = Buffer::new(gpu, "y", quantize_q8::words(rows, cols)).await?;
    let mut plan = PlanBuilder::new(gpu, "quantize_q8");
    quantize_q8::record(&mut plan, (&from, 0), (rows, cols), &y)?;
    let timed = Timed::new(gpu, plan, 1).await?;
    let got: Vec<u32> = y.read(0, quantize_q8::words(rows, cols)).await?;
    let exact: Vec<u32> =
        x.chunks(cols).flat_map(quantize_q8::reference).flat_map(|c| c.words()).collect();
    ensure!(got == exact, "quantize_q8 gives other bytes");
    let case = Case::new("quantize_q8", "", format!("{rows}x{cols}"), rows, timed);
    Ok(case.moving(4 * (x.len() + exact.len()), 0))
}
