//! y = x·Wᵀ with int8 activations: the bits of the CPU's twin, for every format, tile and flag; and
//! the twin itself against f64 on the activations as they were.

use mantissa::formats::{self, CHUNK, FormatRef};
use mantissa::gpu::Class;
use mantissa::ops::glu::{self, Activation};
use mantissa::ops::matmul::Output;
use mantissa::ops::matmul_q8::{Tile, can_multiply, matmul_q8, record_tiled, twin};
use mantissa::ops::{Matrix, Placement, matmul, quantize_q8};
use mantissa::{Error, Gpu};
use pollster::block_on;

use crate::support::{
    Case, Expect, OfFormat, Outcome, Random, SENTINEL, case, compare, gamma, input, of_format,
    output, rows_of_bytes, run, tested_formats, words,
};

pub fn trials() -> Vec<(String, Case)> {
    vec![
        case("tiles", tiles),
        case("flags", flags),
        case("gates", gates),
        case("rows_are_apart", rows_are_apart),
        case("wrong_operands", wrong_operands),
    ]
}

/// What is done with a format.
pub fn format_trials(format: FormatRef) -> Vec<(String, Case)> {
    let all: [(&str, OfFormat); 6] = [
        ("shapes", shapes),
        ("long", long),
        ("shards", shards),
        ("random_bits", random_bits),
        ("extremes", extremes),
        ("truth", truth),
    ];
    if can_multiply(format) { of_format(format, &all) } else { Vec::new() }
}

/// One multiplication; what is not said is plain.
#[derive(Clone, Copy)]
struct Shape {
    m: usize,
    n: usize,
    k: usize,
    tile: Tile,
    row_tile: usize,
    shard_bytes: u64,
    bias: bool,
    accumulate: bool,
}

impl Shape {
    /// The tile that a machine of this class takes.
    fn of(class: Class, m: usize, n: usize, k: usize) -> Self {
        let row_tile = if class == Class::Software { 8 } else { 1 };
        let (tile, shard_bytes) = (Tile::choose(class, m), 100 << 20);
        Self { m, n, k, tile, row_tile, shard_bytes, bias: false, accumulate: false }
    }

    /// Interleaved rows come from a texture, as on a CPU, others from a buffer.
    fn placement(&self) -> Placement {
        let Self { row_tile: tile, shard_bytes, .. } = *self;
        Placement { tile, shard_bytes, texels: tile == 8 }
    }
}

/// The result begins at column 3 of rows that are 5 words longer.
const AT: usize = 3;
const BEHIND: usize = 2;

/// Random weights and activations.
fn operands(format: FormatRef, s: Shape) -> mantissa::Result<(Vec<u8>, Vec<f32>)> {
    let mut random = Random::new((s.n * s.k + s.m) as u64);
    Ok((random.blocks(format, (s.n, s.k))?, random.normals(s.m * s.k, 1.0)))
}

/// Multiplies on the device into sentinels and compares every word; returns them.
fn check_with(
    gpu: &Gpu,
    format: FormatRef,
    s: Shape,
    (blocks, x): (&[u8], &[f32]),
) -> Result<Vec<u32>, libtest_mimic::Failed> {
    let mut random = Random::new(s.n as u64);
    let (y_stride, bias) = (AT + s.n + BEHIND, random.normals(s.n, 1.0));
    let before = random.normals(s.m * y_stride, 1.0);
    let placement = s.placement();
    let w = block_on(Matrix::upload_placed(gpu, "w", format, (s.n, s.k), blocks, placement))?;
    let (from, bias_buffer) = (input(gpu, x)?, input(gpu, &bias)?);
    let q8 = output(gpu, quantize_q8::words(s.m, s.k))?;
    let y = output(gpu, s.m * y_stride)?;
    if s.accumulate {
        for (row, before) in before.chunks_exact(y_stride).enumerate() {
            y.write(row * y_stride + AT, &before[AT..AT + s.n]);
        }
    }
    let out = Output { y: &y, stride: y_stride, at: AT, accumulate: s.accumulate };
    run(gpu, |plan| {
        quantize_q8::record(plan, (&from, 0), (s.m, s.k), &q8)?;
        record_tiled(plan, s.tile, &w, (&q8, s.m), (s.bias.then_some(&bias_buffer), None), out)
    })?;

    let mut want = vec![Expect::Untouched; s.m * y_stride];
    for (i, mut sum) in twin(format, blocks, (s.n, s.k), x, s.tile.split)?.into_iter().enumerate() {
        let (m, n) = (i / s.n, i % s.n);
        let to = m * y_stride + AT + n;
        if s.bias {
            sum += bias[n];
        }
        if s.accumulate {
            sum += before[to];
        }
        // Devices differ in what is not finite, but must not make a number of it.
        want[to] = if sum.is_finite() { Expect::Bits(sum.to_bits()) } else { Expect::Written };
    }
    let Shape { m, n, k, tile, row_tile, bias, accumulate, .. } = s;
    let what = format!(
        "{m} × {n} × {k} {}, {tile:?}, rows in tiles of {row_tile}, bias {bias}, accumulate {accumulate}",
        format.name()
    );
    let got = words(&y)?;
    compare(&what, &got, &want)?;
    let number =
        |(got, want): (&u32, &Expect)| *want == Expect::Written && f32::from_bits(*got).is_finite();
    match got.iter().zip(&want).position(number) {
        Some(i) => Err(format!("{what}: [{i}] is a number, but should not be finite").into()),
        None => Ok(got),
    }
}

fn check(gpu: &Gpu, format: FormatRef, s: Shape) -> Outcome {
    let (blocks, x) = operands(format, s)?;
    check_with(gpu, format, s, (&blocks, &x)).map(|_| ())
}

/// Rows of x on both sides of every tile, and an odd N of several workgroups, as both classes of
/// machine would do it.
fn shapes(gpu: &Gpu, format: FormatRef) -> Outcome {
    let k = 96usize.next_multiple_of(format.block_len());
    for class in [Class::Software, Class::Gpu] {
        for m in [1, 2, 3, 7, 8, 9, 16, 33, 128] {
            check(gpu, format, Shape::of(class, m, 67, k))?;
        }
        // One block, one row; one past a workgroup's rows.
        check(gpu, format, Shape::of(class, 1, 1, format.block_len()))?;
        check(gpu, format, Shape::of(class, 3, 33, format.block_len()))?;
    }
    Ok(())
}

fn long(gpu: &Gpu, format: FormatRef) -> Outcome {
    let k = 11_008usize.next_multiple_of(format.block_len());
    for class in [Class::Software, Class::Gpu] {
        check(gpu, format, Shape::of(class, 1, 35, k))?;
        check(gpu, format, Shape::of(class, 5, 17, k))?;
    }
    let k = 576usize.next_multiple_of(format.block_len());
    check(gpu, format, Shape::of(gpu.caps().class, 1, 1537, k))
}

/// Cut into shards, the result has the same bits.
fn shards(gpu: &Gpu, format: FormatRef) -> Outcome {
    let k = 96usize.next_multiple_of(format.block_len());
    for class in [Class::Software, Class::Gpu] {
        for m in [1, 5] {
            let plain = Shape { bias: true, accumulate: true, ..Shape::of(class, m, 75, k) };
            let (blocks, x) = operands(format, plain)?;
            let whole = check_with(gpu, format, plain, (&blocks, &x))?;
            let cut = Shape { shard_bytes: rows_of_bytes(format, 16, k), ..plain };
            if check_with(gpu, format, cut, (&blocks, &x))? != whole || whole[AT] == SENTINEL {
                return Err("cut against whole: other bits, or nothing written".into());
            }
        }
    }
    Ok(())
}

/// Blocks of any bits: every code, scales of every size and sign, subnormal ones too; those that are
/// not finite have no place in a model (a load refuses them).
fn random_bits(gpu: &Gpu, format: FormatRef) -> Outcome {
    let mut random = Random::new(80);
    let (n, k) = (41, 1024);
    let mut blocks = Vec::new();
    let mut values = vec![0.0; format.block_len()];
    while blocks.len() < n * k / format.block_len() * format.block_bytes() {
        let block: Vec<u8> = (0..format.block_bytes()).map(|_| random.bits() as u8).collect();
        formats::decode_row(format, &block, &mut values)?;
        if values.iter().all(|v| v.abs() < 1e15) {
            blocks.extend(block);
        }
    }
    for class in [Class::Software, Class::Gpu] {
        for m in [1, 6] {
            let x = random.normals(m * k, 1.0);
            check_with(gpu, format, Shape::of(class, m, n, k), (&blocks, &x))?;
        }
    }
    Ok(())
}

/// Activations of every magnitude, from those that count as zero to those whose sums overflow; all
/// codes at their largest, with equal and with alternating signs.
fn extremes(gpu: &Gpu, format: FormatRef) -> Outcome {
    let mut random = Random::new(81);
    let k = 512;
    let mut x = Vec::new();
    for exponent in (-150..=127).step_by(7) {
        let scale = 2f64.powi(exponent);
        let value = |v: f32| ((f64::from(v) * scale) as f32).clamp(f32::MIN, f32::MAX);
        x.extend(random.normals(k, 1.0).into_iter().map(value));
    }
    // Each chunk of another magnitude: sums in which the small ones are rounded away.
    x.extend((0..k).map(|j| random.normal() * 2f32.powi((j / CHUNK * 13 % 40) as i32 - 20)));
    x.extend([1.0; 512]);
    x.extend((0..k).map(|j| if j % 2 == 0 { -1.0 } else { 1.0 }));
    x.extend([0.0; 512]);
    let m = x.len() / k;
    let mut weights = random.normals(16 * k, 1.0);
    // The largest codes of both signs.
    weights[..k].fill(1.0);
    weights[k..2 * k].fill(-1.0);
    weights[2 * k..3 * k].iter_mut().enumerate().for_each(|(j, w)| *w = (j % 2) as f32 * 2.0 - 1.0);
    weights[3 * k..4 * k].fill(0.0);
    let mut blocks = vec![0; 16 * formats::row_bytes(format, k).unwrap_or(0)];
    formats::encode_rows(format, k, &weights, &mut blocks)?;
    for class in [Class::Software, Class::Gpu] {
        check_with(gpu, format, Shape::of(class, m, 16, k), (&blocks, &x))?;
    }
    Ok(())
}

/// Rounding moves a value of x by at most half a step d (and 2⁻²² d for the two roundings of d's
/// inverse and the product), so a sum by at most Σ|w|·d/2; three f32 roundings for each chunk and one
/// addition, twice with a minimum, leave γ(2·chunks + 6) of Σ|w|·(|x| + d/2), Higham's 3.1; with a
/// minimum, d·code and m may each be larger than their sum: |w| + 2·max|w| of the chunk bounds both.
fn truth(gpu: &Gpu, format: FormatRef) -> Outcome {
    let (m, n, k) = (3, 37, 576usize.next_multiple_of(format.block_len()));
    let shape = Shape::of(gpu.caps().class, m, n, k);
    let (blocks, x) = operands(format, shape)?;
    let mut weights = vec![0.0; n * k];
    formats::decode_rows(format, k, &blocks, &mut weights)?;
    let exact = matmul::reference(format, &blocks, (n, k), &x)?;
    let got = block_on(matmul_q8(gpu, format, &blocks, (n, k), &x))?;
    let chunks = quantize_q8::reference(&x);
    let mut largest = 0.0f64;
    for (i, got) in got.iter().enumerate() {
        let (x, w) = (&chunks[i / n * (k / CHUNK)..], &weights[i % n * k..][..k]);
        let (mut rounding, mut size) = (0.0, 0.0);
        for (w, x) in w.chunks_exact(CHUNK).zip(x) {
            let sum: f64 = w.iter().map(|w| f64::from(w.abs())).sum();
            let most = f64::from(w.iter().fold(0.0f32, |most, w| most.max(w.abs())));
            let half = f64::from(x.d) * (0.5 + 2f64.powi(-14));
            rounding += sum * half;
            size += (sum + 2.0 * most * CHUNK as f64) * f64::from(x.d) * 128.0;
        }
        let error = (f64::from(*got) - exact[i].0).abs();
        if error.is_nan() || error > rounding + gamma(2 * (k / CHUNK) + 6) * size {
            return Err(format!("[{i}]: off by {error:e}, {rounding:e} allowed").into());
        }
        largest = largest.max(error / rounding);
    }
    // Exact results would mean that nothing was rounded to bytes.
    if largest > 1e-3 { Ok(()) } else { Err(format!("largest error {largest:e}").into()) }
}

/// Every layout of work over lanes that a device of this size takes, with each interleaving.
fn tiles(gpu: &Gpu) -> Outcome {
    let q5_1 = formats::by_name("q5_1")?;
    let most = gpu.limits().max_compute_invocations_per_workgroup as usize;
    let lanes_and_splits =
        [(1, 1), (8, 1), (8, 2), (8, 8), (16, 4), (32, 32), (64, 1), (64, 4), (64, 16), (256, 64)];
    for (lanes, split) in lanes_and_splits.into_iter().filter(|(lanes, _)| *lanes <= most) {
        for (tile_m, m) in [(1, 3), (2, 3), (4, 4), (8, 9), (16, 18)] {
            let row_tile = if tile_m % 4 == 0 { 8 } else { 1 };
            for rows in [4, 8] {
                let tile = Tile { lanes, split, m: tile_m, rows };
                check(gpu, q5_1, Shape { tile, row_tile, ..Shape::of(Class::Gpu, m, 261, 160) })?;
            }
        }
    }
    Ok(())
}

fn flags(gpu: &Gpu) -> Outcome {
    for format in tested_formats().into_iter().filter(|f| can_multiply(*f)).take(2) {
        for class in [Class::Software, Class::Gpu] {
            for (bias, accumulate) in [(true, false), (false, true), (true, true)] {
                for m in [1, 9] {
                    check(gpu, format, Shape { bias, accumulate, ..Shape::of(class, m, 37, 64) })?;
                }
            }
        }
    }
    Ok(())
}

/// Gates and ups in alternating rows: act(gate)·up of the products that [`twin`] has. The activation is
/// good to 64 ulp of the gate (its own test), the last product to one rounding.
fn gates(gpu: &Gpu) -> Outcome {
    let q4_1 = formats::by_name("q4_1")?;
    for class in [Class::Software, Class::Gpu] {
        for act in [Activation::Silu, Activation::Gelu] {
            for (m, n) in [(1, 70), (5, 2), (17, 34)] {
                let s = Shape::of(class, m, n, 96);
                let (blocks, x) = operands(q4_1, s)?;
                let placement = s.placement();
                let w = Matrix::upload_placed(gpu, "w", q4_1, (n, 96), &blocks, placement);
                let (w, from) = (block_on(w)?, input(gpu, &x)?);
                let q8 = output(gpu, quantize_q8::words(m, 96))?;
                let y = output(gpu, m * n / 2)?;
                let out = Output { y: &y, stride: n / 2, at: 0, accumulate: false };
                run(gpu, |plan| {
                    quantize_q8::record(plan, (&from, 0), (m, 96), &q8)?;
                    record_tiled(plan, s.tile, &w, (&q8, m), (None, Some(act)), out)
                })?;
                let products = twin(q4_1, &blocks, (n, 96), &x, s.tile.split)?;
                let want: Vec<_> = products
                    .chunks_exact(2)
                    .map(|pair| {
                        let size = f64::from(pair[0]).abs() * f64::from(pair[1]).abs();
                        Expect::Near(glu::reference(pair[0], pair[1], act), gamma(65) * size)
                    })
                    .collect();
                compare(&format!("{m} × {n}, {act:?}"), &words(&y)?, &want)?;
            }
        }
    }
    Ok(())
}

/// A NaN in one row of x stays there.
fn rows_are_apart(gpu: &Gpu) -> Outcome {
    let q4_1 = formats::by_name("q4_1")?;
    for class in [Class::Software, Class::Gpu] {
        let shape = Shape::of(class, 3, 35, 96);
        let (blocks, mut x) = operands(q4_1, shape)?;
        x[96 + 40] = f32::NAN;
        check_with(gpu, q4_1, shape, (&blocks, &x))?;
    }
    Ok(())
}

fn wrong_operands(gpu: &Gpu) -> Outcome {
    let format = |name| formats::by_name(name);
    let refused = |name, shape, x: &[f32]| -> Result<_, libtest_mimic::Failed> {
        Ok(block_on(matmul_q8(gpu, format(name)?, &[0; 144], shape, x)).err())
    };
    // A format of no small integers; a K that is no multiple of a block or a super-block.
    match refused("f16", (1, 72), &[0.0; 72])? {
        Some(Error::InvalidOption { name: "format", .. }) => {}
        other => return Err(format!("f16: {other:?}").into()),
    }
    for (name, k) in [("q4_0", 48), ("q4_k", 288), ("q4_k", 32), ("q6_k", 576)] {
        match refused(name, (1, k), &vec![0.0; k])? {
            Some(Error::Shape { .. }) => {}
            other => return Err(format!("{name}, K = {k}: {other:?}").into()),
        }
    }
    match refused("q4_k", (1, 256), &[0.0; 255])? {
        Some(Error::Shape { .. }) => Ok(()),
        other => Err(format!("255 values in rows of 256: {other:?}").into()),
    }
}
