//! Encoding on the device gives the very bytes of `formats::encode_row`, and so of the `gguf`
//! package, whose files stand in tests/golden: the kernel computes in integers, so no device has a
//! rounding of its own to add.
//!
//! One exception: where the reference computes a NaN for a block's scale, Rust leaves its sign and
//! payload open; the block must then decode to nothing but NaN here too.

use std::path::Path;

use libtest_mimic::Failed;
use mantissa::formats::{self, CHUNK, FormatRef, Layout};
use mantissa::ops::matrix::Shard;
use mantissa::ops::quantize::{can_encode, quantize, quantize_placed, record, reference};
use mantissa::ops::{Matrix, Placement, Words, stride};
use mantissa::{Error, Gpu};
use npyz::Deserialize;
use pollster::block_on;

use crate::support::{
    Case, Expect, OfFormat, Outcome, Random, case, compare, input, of_format, output, run, words,
};

pub fn trials() -> Vec<(String, Case)> {
    vec![case("wrong_shapes", wrong_shapes)]
}

/// What is done with a format.
pub fn format_trials(format: FormatRef) -> Vec<(String, Case)> {
    let all: [(&str, OfFormat); 7] = [
        ("golden", golden_bytes),
        ("shapes", shapes),
        ("magnitudes", magnitudes),
        ("ties", ties),
        ("odd_blocks", odd_blocks),
        ("not_finite", not_finite),
        ("pieces", pieces),
    ];
    if can_encode(format) { of_format(format, &all) } else { Vec::new() }
}

/// What a buffer of this layout must hold: the reference's words wherever a row has any, nothing
/// in the padding between planes and rows.
fn expected(format: FormatRef, layout: &Layout, bytes: &[u8]) -> mantissa::Result<Vec<Expect>> {
    let repacked = layout.repack(format, bytes)?;
    let mut want = vec![Expect::Untouched; layout.words];
    for (plane, base) in format.planes().iter().zip(&layout.bases) {
        let slots = layout.chunks.div_ceil(plane.chunks);
        for (row, s) in (0..layout.rows).flat_map(|row| (0..slots).map(move |s| (row, s))) {
            let slot = (row / layout.tile * slots + s) * layout.tile + row % layout.tile;
            for i in (0..plane.words).map(|w| base + slot * plane.words + w) {
                want[i] = Expect::Bits(repacked[i]);
            }
        }
    }
    if format.row_scale().bytes() > 0 {
        for i in layout.scales..layout.scales + layout.rows {
            want[i] = Expect::Bits(repacked[i]);
        }
    }
    Ok(want)
}

/// Encodes rows of `cols` into sentinels, in tiles of 1 and of 8, and compares every word.
fn check(gpu: &Gpu, what: &str, format: FormatRef, x: &[f32], cols: usize) -> Outcome {
    let rows = x.len() / cols;
    let bytes = reference(format, x, cols)?;
    // What lies behind the end of a row must not be read.
    let mut padded = vec![9e30f32; rows * stride(cols)];
    for (to, from) in padded.chunks_exact_mut(stride(cols)).zip(x.chunks_exact(cols)) {
        to[..cols].copy_from_slice(from);
    }
    let from = input(gpu, &padded)?;
    for tile in [1, 8] {
        let layout = Layout::new(format, rows, cols, tile)?;
        let buffer = output(gpu, layout.words)?;
        let want = expected(format, &layout, &bytes)?;
        let words_of = Words::Buffer(buffer.clone());
        let shards = vec![Shard { layout, first_row: 0, words: words_of }];
        run(gpu, |plan| record(plan, &from, &Matrix { format, rows, cols, tile, shards }))?;
        let what = format!("{what}: {rows} × {cols} in tiles of {tile}");
        compare(&what, &words(&buffer)?, &want)?;
    }
    Ok(())
}

/// A golden array, row after row.
fn golden<T: Deserialize>(name: &str) -> Result<Vec<T>, Failed> {
    let file = format!("tests/golden/formats/{name}.npy");
    let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(file))?;
    Ok(npyz::NpyFile::new(&bytes[..])?.into_vec()?)
}

/// The bytes of the `gguf` package itself, or of what else is the format's reference.
fn golden_bytes(gpu: &Gpu, format: FormatRef) -> Outcome {
    let name = format.name().replace(':', "-");
    let own = golden(&format!("{name}.weights"));
    let (weights, cols): (Vec<f32>, usize) = match own {
        Ok(weights) => (weights, format.block_len().max(32)),
        Err(_) => (golden("weights")?, 32),
    };
    let want: Vec<u8> = golden(&format!("{name}.encoded"))?;
    let got = block_on(quantize(gpu, format, &weights, cols))?;
    let size = want.len() / (weights.len() / cols);
    let rows = got.chunks(size).zip(want.chunks(size)).enumerate();
    match rows.into_iter().find(|(_, (got, want))| got != want) {
        Some((i, (got, want))) => Err(format!("row {i}: {got:x?}, want {want:x?}").into()),
        None if got.len() != want.len() => Err(format!("{} bytes", got.len()).into()),
        None => Ok(()),
    }
}

fn shapes(gpu: &Gpu, format: FormatRef) -> Outcome {
    let mut random = Random::new(60);
    let all = [1, 31, 65, 80, 588, CHUNK, 2 * CHUNK, 3 * CHUNK, 576];
    for cols in all.into_iter().filter(|k| k.is_multiple_of(format.block_len())) {
        for rows in [1, 7, 8, 9, 33] {
            check(gpu, "normal", format, &random.normals(rows * cols, 1.0), cols)?;
        }
    }
    Ok(())
}

/// Blocks at every power of two, the subnormal ones included, and blocks of random finite bits.
fn magnitudes(gpu: &Gpu, format: FormatRef) -> Outcome {
    let mut random = Random::new(61);
    let cols = 96usize.next_multiple_of(format.block_len());
    let mut x = Vec::new();
    for exponent in -151..=127 {
        let scale = 2f64.powi(exponent);
        let value = |v: f32| ((f64::from(v) * scale) as f32).clamp(f32::MIN, f32::MAX);
        x.extend(random.normals(cols, 1.0).into_iter().map(value));
    }
    check(gpu, "powers of two", format, &x, cols)?;
    let finite = |random: &mut Random| loop {
        let value = f32::from_bits(random.bits() as u32);
        if value.is_finite() {
            return value;
        }
    };
    let x: Vec<f32> = (0..200 * cols).map(|_| finite(&mut random)).collect();
    check(gpu, "random bits", format, &x, cols)
}

/// Weights at, just above and just below the middle between two codes of some format, and halfway
/// between two floats of 16 bits.
fn ties(gpu: &Gpu, format: FormatRef) -> Outcome {
    let mut random = Random::new(62);
    let cols = format.block_len().max(2 * CHUNK);
    let mut x = Vec::new();
    for round in 0..200 {
        for top in [8, 15, 16, 31, 127] {
            // A step with few bits makes exact ties; from then on they are near ones.
            let step = if round < 8 { 1.0 } else { random.uniform() + 0.5 };
            let sign = if random.below(2) == 0 { 1.0 } else { -1.0 };
            let least = -random.uniform() * 0.5f64.powi(random.below(30) as i32);
            x.extend(between(&mut random, (0.0, step), (-top, top), sign * f64::from(top) * step));
            // For formats with a minimum: from 0 up, or from just below it, so that taking the
            // minimum away has something to round.
            let least = if round % 4 == 0 { 0.0 } else { least };
            x.extend(between(&mut random, (least, step), (0, top), least + f64::from(top) * step));
        }
    }
    check(gpu, "between codes", format, &x, cols)?;
    let halfway = |_| {
        let (bits, down) = (random.bits() as u32 & 0x7fff_ffff, random.below(3) as u32);
        let cut = if random.below(2) == 0 { 16 } else { 13 };
        let value = f32::from_bits((bits >> cut << cut | 1 << (cut - 1)).wrapping_add(down) - 1);
        if value.is_finite() { value } else { 1.0 }
    };
    let x: Vec<f32> = (0..64 * 64).map(halfway).collect();
    check(gpu, "between floats", format, &x, cols)?;
    let halves: Vec<f32> = (0..64 * 64)
        .map(|_| 2f32.powi(random.below(48) as i32 - 30) * random.below(4096) as f32)
        .collect();
    check(gpu, "short floats", format, &halves, cols)
}

/// A block of weights around (k + ½)·step + zero with k in from..to, and `zero` and `farthest`.
fn between(
    random: &mut Random,
    (zero, step): (f64, f64),
    (from, to): (i32, i32),
    farthest: f64,
) -> Vec<f32> {
    let mut near_middle = |_| {
        let k = from + random.below((to - from) as usize) as i32;
        let middle = ((f64::from(k) + 0.5) * step + zero) as f32;
        f32::from_bits((middle.to_bits() + random.below(7) as u32).saturating_sub(3))
    };
    let mut block: Vec<f32> = (0..CHUNK).map(&mut near_middle).collect();
    block[random.below(CHUNK)] = zero as f32;
    block[random.below(CHUNK)] = farthest as f32;
    block
}

/// Zeros of both signs, constants, extremes, one outlier, equals of opposite sign.
fn odd_blocks(gpu: &Gpu, format: FormatRef) -> Outcome {
    let mut random = Random::new(63);
    let mut x = Vec::new();
    let (least, normal) = (f32::from_bits(1), f32::MIN_POSITIVE);
    for value in [0.0, 1.0, least, normal, normal - least, 65504.0, 65520.0, 3e38, f32::MAX] {
        x.extend([value; CHUNK]);
        x.extend([-value; CHUNK]);
        x.extend((0..CHUNK).map(|j| if j % 2 == 0 { value } else { -value }));
        x.extend((0..CHUNK).map(|j| if j % 2 == 0 { -value } else { value }));
        for other in [0.0, -0.0, 1e-3] {
            let mut block: Vec<f32> = random.normals(CHUNK, other);
            block[random.below(CHUNK)] = value;
            x.extend(&block);
            block[random.below(CHUNK)] = -value;
            x.extend(&block);
        }
    }
    // A scale whose inverse is about to overflow: d around 2^-128.
    for top in [8.0, 15.0, 16.0, 31.0, 127.0] {
        for ulps in -3..=3 {
            let most = (top * 2f64.powi(-128)) as f32;
            let most = f32::from_bits(most.to_bits().wrapping_add_signed(ulps));
            x.extend((0..CHUNK).map(|j| most * (j as f32 / 31.0)));
        }
    }
    let cols = format.block_len().max(CHUNK);
    x.resize(x.len().next_multiple_of(cols), 0.5);
    check(gpu, "odd blocks", format, &x, cols)
}

/// NaN and infinity: what the CPU gives, and never a number where that has none.
fn not_finite(gpu: &Gpu, format: FormatRef) -> Outcome {
    let mut random = Random::new(64);
    let inf = f32::INFINITY;
    let nans = [0x7fc0_0000, 0xffc0_0000, 0x7f80_0001, 0xff80_0001, 0x7fff_ffff, 0xffd2_3456];
    let [quiet, minus, ..] = nans.map(f32::from_bits);
    let mut x = Vec::new();
    for odd in nans.map(f32::from_bits).into_iter().chain([inf, -inf]) {
        x.extend([odd; CHUNK]);
        for at in [0, 1, 13, 31] {
            let mut block = random.normals(CHUNK, 1.0);
            block[at] = odd;
            x.extend(block);
        }
    }
    for [a, b] in [[inf, -inf], [-inf, inf], [quiet, inf], [-inf, quiet], [minus, quiet]] {
        let mut block = random.normals(CHUNK, 1.0);
        block[3..5].copy_from_slice(&[a, b]);
        x.extend(block);
    }
    let cols = format.block_len().max(CHUNK);
    x.resize(x.len().next_multiple_of(cols), 0.5);
    let want = reference(format, &x, cols)?;
    let got = block_on(quantize(gpu, format, &x, cols))?;
    let size = format.row_scale().bytes() + cols / format.block_len() * format.block_bytes();
    for (i, (got, want)) in got.chunks(size).zip(want.chunks(size)).enumerate() {
        let all_nan = |row| all_nan(format, row, cols);
        let both_nan = format.block_len() > 1 && all_nan(got)? && all_nan(want)?;
        if got != want && !both_nan {
            return Err(format!("block {i}: {got:x?}, want {want:x?}").into());
        }
    }
    Ok(())
}

fn all_nan(format: FormatRef, row: &[u8], cols: usize) -> Result<bool, Failed> {
    let mut values = vec![0.0; cols];
    formats::decode_row(format, row, &mut values)?;
    Ok(values.iter().all(|v| v.is_nan()))
}

/// A matrix in several shards, and x in several uploads: the same bytes.
fn pieces(gpu: &Gpu, format: FormatRef) -> Outcome {
    let (rows, cols) = (77, (3 * CHUNK).next_multiple_of(format.block_len()));
    let x = Random::new(65).normals(rows * cols, 1.0);
    let want = reference(format, &x, cols)?;
    for (tile, rows_of_x) in [(1, 1), (1, 10), (8, 16), (8, 1000)] {
        // Planes are padded to vec4s, which takes a few bytes more.
        let placement =
            Placement { tile, shard_bytes: rows_of_x * cols as u64 * 4 + 96, texels: false };
        if block_on(quantize_placed(gpu, format, &x, cols, placement))? != want {
            return Err(format!("{rows_of_x} rows at a time: other bytes").into());
        }
    }
    let from = input(gpu, &x)?;
    let shard = Layout::new(format, 16, cols, 8)?;
    let placement = Placement { tile: 8, shard_bytes: 4 * shard.words as u64 + 80, texels: false };
    let w = block_on(Matrix::zeros(gpu, "w", format, (rows, cols), placement))?;
    run(gpu, |plan| record(plan, &from, &w))?;
    if w.shards.len() != 5 || block_on(w.download())? != want {
        return Err(format!("{} shards: other bytes, or not 5 shards", w.shards.len()).into());
    }
    Ok(())
}

fn wrong_shapes(gpu: &Gpu) -> Outcome {
    let q4_0 = formats::by_name("q4_0")?;
    for (len, cols) in [(64, 0), (64, 48), (31, 31), (33, 32)] {
        match block_on(quantize(gpu, q4_0, &vec![1.0; len], cols)) {
            Err(Error::Shape { op: "quantize", .. }) => {}
            other => return Err(format!("{len} weights in rows of {cols}: {other:?}").into()),
        }
    }
    match block_on(quantize(gpu, q4_0, &[], 32))? {
        bytes if bytes.is_empty() => Ok(()),
        bytes => Err(format!("{} bytes of no rows", bytes.len()).into()),
    }
}
