//! Activations as bytes: the words of the CPU's twin, bit for bit. What the twin's rounding is worth is
//! held against f64 in `src/ops/quantize_q8.rs` and in `matmul_q8.rs`.

use mantissa::Gpu;
use mantissa::ops::quantize_q8::{CHUNK_WORDS, record, reference, words as words_of};
use pollster::block_on;

use crate::support::{Case, Expect, Outcome, Random, case, compare, input, output, run, words};

pub fn trials() -> Vec<(String, Case)> {
    vec![
        case("shapes", shapes),
        case("magnitudes", magnitudes),
        case("ties", ties),
        case("not_finite", not_finite),
        case("wrong_shapes", wrong_shapes),
    ]
}

/// Rounds all rows from `x_row` on into sentinels, and compares every word.
fn check(gpu: &Gpu, what: &str, x: &[f32], cols: usize, x_row: usize) -> Outcome {
    let rows = x.len() / cols - x_row;
    let want: Vec<_> = reference(&x[x_row * cols..])
        .iter()
        .flat_map(|chunk| chunk.words().map(expected))
        .collect();
    assert_eq!(want.len(), words_of(rows, cols));
    let (from, to) = (input(gpu, x)?, output(gpu, want.len())?);
    run(gpu, |plan| record(plan, (&from, x_row), (rows, cols), &to))?;
    compare(&format!("{what}: {rows} × {cols} from {x_row}"), &words(&to)?, &want)
}

/// A NaN may have any payload; nothing else among the words looks like one.
fn expected(word: u32) -> Expect {
    if word == f32::NAN.to_bits() { Expect::Nan } else { Expect::Bits(word) }
}

fn shapes(gpu: &Gpu) -> Outcome {
    let mut random = Random::new(70);
    for cols in [32, 64, 96, 576, 1536, 4096] {
        for (rows, x_row) in [(1, 0), (7, 0), (9, 3), (33, 1)] {
            check(gpu, "normal", &random.normals((rows + x_row) * cols, 1.0), cols, x_row)?;
        }
    }
    Ok(())
}

/// Chunks at every power of two, and chunks of random finite bits.
fn magnitudes(gpu: &Gpu) -> Outcome {
    let mut random = Random::new(71);
    let mut x = Vec::new();
    for exponent in -151..=127 {
        let scale = 2f64.powi(exponent);
        let value = |v: f32| ((f64::from(v) * scale) as f32).clamp(f32::MIN, f32::MAX);
        x.extend(random.normals(96, 1.0).into_iter().map(value));
    }
    check(gpu, "powers of two", &x, 96, 0)?;
    let finite = |random: &mut Random| loop {
        let value = f32::from_bits(random.bits() as u32);
        if value.is_finite() {
            return value;
        }
    };
    let x: Vec<f32> = (0..200 * 64).map(|_| finite(&mut random)).collect();
    check(gpu, "random bits", &x, 64, 0)?;
    let mut x = Vec::new();
    for value in [0.0, -0.0, 1.0, f32::from_bits(1), f32::MIN_POSITIVE, 1e30, f32::MAX] {
        x.extend([value; 32]);
        x.extend((0..32).map(|j| if j % 2 == 0 { value } else { -value }));
        // One outlier, all else far below half a step.
        x.extend((0..32).map(|j| if j == 19 { -value } else { value * 1e-3 }));
        // Steps on both sides of the least.
        let least = 127.0 * 2f32.powi(-64);
        x.extend((0..32u32).map(|j| f32::from_bits(least.to_bits() - 16 + j)));
        x.extend([f32::from_bits(least.to_bits() - 1); 32]);
    }
    check(gpu, "extremes", &x, 32, 0)
}

/// Values at, just above and just below the middle between two codes.
fn ties(gpu: &Gpu) -> Outcome {
    let mut random = Random::new(72);
    let mut x = Vec::new();
    for round in 0..500 {
        let step = if round < 20 { 2f64.powi(round - 10) } else { random.uniform() + 0.5 };
        let mut near_middle = |_| {
            let code = random.below(254) as f64 - 126.5;
            let middle = (code * step) as f32;
            f32::from_bits((middle.to_bits() + random.below(7) as u32).saturating_sub(3))
        };
        let mut chunk: Vec<f32> = (0..32).map(&mut near_middle).collect();
        chunk[random.below(32)] = (127.0 * step) as f32;
        x.extend(chunk);
    }
    check(gpu, "between codes", &x, 32, 0)
}

/// A NaN or an infinity anywhere makes the chunk NaN, and leaves its neighbours alone.
fn not_finite(gpu: &Gpu) -> Outcome {
    let mut random = Random::new(73);
    let odd = [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::from_bits(0x7f80_0001)];
    let mut x = Vec::new();
    for value in odd {
        for at in [0, 1, 13, 31] {
            let mut chunk = random.normals(64, 1.0);
            chunk[at] = value;
            x.extend(chunk);
        }
    }
    check(gpu, "not finite", &x, 64, 0)?;
    let bad = reference(&x)[0];
    if bad.words()[8..].iter().filter(|w| f32::from_bits(**w).is_nan()).count() != 2 {
        return Err("the reference has no NaN".into());
    }
    Ok(())
}

fn wrong_shapes(gpu: &Gpu) -> Outcome {
    let (from, to) = (input(gpu, &[0.0f32; 64])?, output(gpu, 4 * CHUNK_WORDS)?);
    let mut plan = mantissa::gpu::PlanBuilder::new(gpu, "trial");
    for cols in [0, 1, 31, 33, 48] {
        match record(&mut plan, (&from, 0), (1, cols), &to) {
            Err(mantissa::Error::Shape { op: "quantize_q8", .. }) => {}
            other => return Err(format!("rows of {cols}: {other:?}").into()),
        }
    }
    block_on(plan.run())?;
    compare("nothing was run", &words(&to)?, &[Expect::Untouched; 4 * CHUNK_WORDS])
}
