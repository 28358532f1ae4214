//! What a multiplication leaves for the RMSNorm that comes next, and the multiplication that finishes it.

use mantissa::Gpu;
use mantissa::formats::{self, FormatRef};
use mantissa::gpu::{Buffer, PlanBuilder, Texels};
use mantissa::ops::glu::Activation;
use mantissa::ops::matmul::{
    Fused, Input, Output, Share, Squares, Tile, To, record_tiled, reference_by,
};
use mantissa::ops::{Matrix, Placement, stride};
use pollster::block_on;

use super::{Shape, machines, padded};
use crate::support::{
    Expect, Outcome, Random, compare, gamma, in_texels, input, output, rows_of_bytes, run, words,
};

/// Large enough to be seen beside the mean of the squares.
const EPS: f32 = 20.0;

/// y of W, and what it leaves beside that.
struct Left {
    y: Buffer,
    gain: Vec<f32>,
    texels: Texels,
    squares: Squares,
    parts: usize,
}

fn random_matrix(
    gpu: &Gpu,
    format: FormatRef,
    Shape { row_tile: tile, shard_bytes, texels, .. }: Shape,
    (n, k): (usize, usize),
) -> Result<(Vec<u8>, Matrix), libtest_mimic::Failed> {
    let blocks = Random::new((n * k) as u64).blocks(format, (n, k))?;
    let placement = Placement { tile, shard_bytes, texels };
    let w = block_on(Matrix::upload_placed(gpu, "w", format, (n, k), &blocks, placement))?;
    Ok((blocks, w))
}

/// How many sums stand behind a row of n values, told from how many texels it takes.
fn parts(squares: Squares, n: usize) -> usize {
    squares.texels(1, n) - stride(n) / 4
}

/// y₀ + bias + x·Wᵀ, held against the CPU; the texels against y itself: y·gain to the bit, the sums of
/// squares by their error, n squares and as many sums; and nothing else is written.
fn leave(gpu: &Gpu, format: FormatRef, shape: Shape) -> Result<Left, libtest_mimic::Failed> {
    let Shape { m, n, k, tile, .. } = shape;
    let mut random = Random::new((n + m) as u64);
    let (blocks, w) = random_matrix(gpu, format, shape, (n, k))?;
    let (x, bias) = (random.normals(m * k, 1.0), random.normals(n, 1.0));
    let (gain, before) = (random.normals(n, 1.0), random.normals(m * n, 1.0));
    let y = output(gpu, m * n)?;
    y.write(0, &before);
    let squares = Squares::left_by(&tile, &w, EPS);
    let parts = parts(squares, n);
    let poison = output(gpu, 4 * squares.texels(m, n))?;
    let texels = in_texels(gpu, &poison)?;
    let (from, bias_buffer) = (input(gpu, &padded(&x, k))?, input(gpu, &bias)?);
    let gain_buffer = input(gpu, &gain)?;
    let out = Output { y: &y, stride: n, at: 0, accumulate: true };
    let fused = Fused { bias: Some(&bias_buffer), ..Fused::default() };
    let to = To::Scaled(out, &gain_buffer, &texels);
    run(gpu, |plan| record_tiled(plan, tile, &w, (&from, 0, m), fused, to))?;

    let what = format!("{m} × {n} × {k} {}, {tile:?}, for the next norm", format.name());
    let got = words(&y)?;
    let exact = reference_by(format, &blocks, (n, k), &x, tile.uses_codes(format))?;
    let near = |(i, (sum, size)): (usize, (f64, f64))| {
        let more = [bias[i % n], before[i]].map(f64::from);
        let size = size + more[0].abs() + more[1].abs();
        Expect::Near(sum + more[0] + more[1], gamma(k + 2) * size)
    };
    let mut want: Vec<_> = exact.into_iter().enumerate().map(near).collect();
    compare(&what, &got, &want)?;

    want.clear();
    let got: Vec<f32> = got.into_iter().map(f32::from_bits).collect();
    let left = block_on(texels.read(0, (poison.size() / 4) as usize))?;
    for (row, y) in left.chunks_exact(4 * (n / 4 + parts)).zip(got.chunks_exact(n)).take(m) {
        want.extend(y.iter().zip(&gain).map(|(y, gain)| Expect::Bits((y * gain).to_bits())));
        // One part may hold little of the sum: what they are together is held against it.
        for _ in 0..parts {
            want.extend([Expect::Written, Expect::Bits(0), Expect::Bits(0), Expect::Bits(0)]);
        }
        let sums = row[n..].chunks_exact(4).map(|texel| f64::from(f32::from_bits(texel[0])));
        let sum: f64 = y.iter().map(|y| f64::from(*y).powi(2)).sum();
        let error = (sums.sum::<f64>() - sum).abs();
        if error > gamma(n + 1) * sum {
            return Err(format!("{what}: squares are {error:e} off {sum}").into());
        }
    }
    compare(&what, &left, &want)?;
    Ok(Left { y, gain, texels, squares, parts })
}

/// The norm finished by another multiplication, held against the CPU's by what the first left in y.
fn finish(gpu: &Gpu, format: FormatRef, shape: Shape, left: &Left) -> Outcome {
    let Shape { m, n, k, tile, .. } = shape;
    let (blocks, w) = random_matrix(gpu, format, shape, (n, k))?;
    let y = output(gpu, m * n)?;
    let out = Output { y: &y, stride: n, at: 0, accumulate: false };
    let x = Input::Scaled(&left.texels, m, left.squares);
    run(gpu, |plan| record_tiled(plan, tile, &w, x, Fused::default(), out))?;
    let rows: Vec<f32> = block_on(left.y.read(0, m * k))?;
    let mut want = Vec::new();
    for row in rows.chunks_exact(k) {
        let mean = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / k as f64;
        let scale = 1.0 / (mean + f64::from(EPS)).sqrt();
        let x: Vec<f32> = row.iter().zip(&left.gain).map(|(v, gain)| v * gain).collect();
        let exact = reference_by(format, &blocks, (n, k), &x, tile.uses_codes(format))?;
        // As a norm on the way in (fused.rs), the sums of squares in parts.
        let near = |(sum, size): (f64, f64)| {
            Expect::Near(sum * scale, gamma(2 * k + left.parts + 10) * size * scale)
        };
        want.extend(exact.into_iter().map(near));
    }
    let what = format!("{m} × {n} × {k} {}, {tile:?}, by {} sums", format.name(), left.parts);
    compare(&what, &words(&y)?, &want)
}

/// Rows that fill no group of lanes, one, and several; each way in which lanes share x; kernels that finish
/// the norm of one row, and of more.
pub fn norms_ahead(gpu: &Gpu) -> Outcome {
    let all = [("q4_1", 1, 4, 96), ("q4_1", 3, 132, 64), ("q8_0", 1, 576, 96), ("f32", 2, 64, 70)];
    for (name, m, n, k) in all {
        let format = formats::by_name(name)?;
        for caps in machines(gpu) {
            for rows in [4, 8] {
                let shape = Shape::of(caps, format, m, n, k);
                let tile = Tile { m: 1, split: 1, rows, ..shape.tile };
                let left = leave(gpu, format, Shape { tile, ..shape })?;
                let by = if n % 32 == 0 { format } else { formats::F32 };
                finish(gpu, by, Shape::of(caps, by, m, 35, n), &left)?;
            }
        }
    }
    Ok(())
}

/// What cannot be left, or finished, is refused before anything runs.
pub fn norms_refused(gpu: &Gpu) -> Outcome {
    let format = formats::by_name("q8_0")?;
    let own = Shape::of(gpu.caps(), format, 1, 16, 32).tile;
    let one = Tile { m: 1, split: 1, lanes: 8, rows: 4, share: Share::Lane, ..own };
    let row = block_on(Texels::zeros(gpu, "a row of texels", 1))?;
    let (gain, y) = (input(gpu, &[1.0f32; 4096])?, output(gpu, 4096)?);
    let plain = Fused::default();
    let gated = Fused { glu: Some(Activation::Silu), ..plain };
    let normed = Fused { norm: Some((&gain, EPS)), ..plain };
    // A row of 16 takes 4 texels and one sum, a row of 2,048 takes 512 and 64.
    let cases = [
        ("nothing", true, (1, 16), one, plain, u64::MAX),
        ("nothing", true, (204, 16), one, plain, u64::MAX),
        ("too few texels", false, (205, 16), one, plain, u64::MAX),
        ("too few texels of sums", false, (2, 2048), one, plain, u64::MAX),
        ("gates", false, (1, 16), one, gated, u64::MAX),
        ("a norm on the way in", false, (1, 16), one, normed, u64::MAX),
        ("lanes on the same rows", false, (1, 16), Tile { split: 2, ..one }, plain, u64::MAX),
        ("two rows of x to a lane", false, (2, 16), Tile { m: 2, ..one }, plain, u64::MAX),
        ("half a texel", false, (1, 18), one, plain, u64::MAX),
        ("two shards", false, (1, 16), one, plain, rows_of_bytes(format, 9, 32)),
    ];
    let x = input(gpu, &vec![1.0f32; 205 * 32])?;
    for (what, taken, (m, n), tile, fused, shard_bytes) in cases {
        let shape = Shape { shard_bytes, row_tile: 1, ..Shape::of(gpu.caps(), format, m, n, 32) };
        let (_, w) = random_matrix(gpu, format, shape, (n, 32))?;
        let mut plan = PlanBuilder::new(gpu, "refused");
        let out = Output { y: &y, stride: n, at: 0, accumulate: false };
        let to = To::Scaled(out, &gain, &row);
        told(what, taken, record_tiled(&mut plan, tile, &w, (&x, 0, m), fused, to))?;
    }
    let (_, w) = random_matrix(gpu, format, Shape::of(gpu.caps(), format, 1, 16, 32), (16, 32))?;
    let squares = Squares::left_by(&one, &w, EPS);
    // Rows of 32 take 8 texels and a sum.
    for (what, taken, m, fused) in [
        ("nothing", true, 113, plain),
        ("too few texels of x", false, 114, plain),
        ("a norm of what has its gain", false, 1, normed),
    ] {
        let mut plan = PlanBuilder::new(gpu, "refused");
        let out = Output { y: &y, stride: 16, at: 0, accumulate: false };
        let x = Input::Scaled(&row, m, squares);
        told(what, taken, record_tiled(&mut plan, one, &w, x, fused, out))?;
    }
    Ok(())
}

fn told(what: &str, taken: bool, got: mantissa::Result<()>) -> Outcome {
    match got {
        Ok(()) if taken => Ok(()),
        Err(mantissa::Error::Shape { op: "matmul", .. }) if !taken => Ok(()),
        other => Err(format!("{what}: {other:?}").into()),
    }
}
