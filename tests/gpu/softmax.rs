//! Two-pass softmax, at the lengths and values where softmaxes break.

use mantissa::Gpu;
use mantissa::gpu::Variant;
use mantissa::ops::softmax::{OP, Params, record, reference};

use crate::support::{
    Case, DIVISION, Expect, Outcome, Random, U, case, compare, input, output, run, words,
};

const LENGTHS: [usize; 7] = [1, 2, 3, 255, 256, 257, 49_152];

pub fn trials() -> Vec<(String, Case)> {
    vec![
        case("rows", rows),
        case("folded", folded),
        case("scale", scale),
        case("wide", wide),
        case("equal", equal),
        case("one_huge", one_huge),
        case("alternating_1e30", alternating),
        case("negative_infinity", negative_infinity),
        case("not_a_number", not_a_number),
    ]
}

/// Relative error of `pair_exp` for |x| up to `most`, without fused multiply-adds: the degree-5
/// polynomial and Cephes' split of ln 2 (measured over all floats of the range; softmax has more
/// on larger x).
pub fn exp_error(most: f64) -> f64 {
    assert!(most <= 1e4, "no bound is claimed for exp({most})");
    if most <= 1000.0 { 1.8e-7 } else { 2.9e-7 }
}

/// Relative bound for a row. Numerator and sum carry the exponential's error each; the sum adds
/// up in ⌈K / 256⌉ steps and a tree of 8; then comes a division. Powers of two are exact. Where
/// x is scaled first, the product's rounding shifts the arguments of both.
fn tolerance(cols: usize, exp: f64, scaled: f64) -> f64 {
    2.0 * exp + (cols.div_ceil(256) + 8) as f64 * U + DIVISION + 2.0 * scaled * U
}

/// Results below 2^−126 may be flushed.
const FLOOR: f64 = 1.0 / (1u128 << 125) as f64;

/// What rows must become, with the given error of an exponential.
fn expected(x: &[f32], cols: usize, scale: f32, exp: f64) -> Vec<Expect> {
    let most = x.iter().filter(|v| v.is_finite()).fold(0.0f32, |m, v| m.max(v.abs()));
    let scaled = if scale == 1.0 { 0.0 } else { f64::from(most) * f64::from(scale) };
    let tolerance = tolerance(cols, exp, scaled);
    let expect = |x: f32, y: f64| match y {
        _ if y.is_nan() => Expect::Nan,
        _ if x == f32::NEG_INFINITY => Expect::Near(0.0, 0.0),
        _ => Expect::Near(y, tolerance * y + FLOOR),
    };
    let row = |row: &[f32]| -> Vec<Expect> {
        row.iter().zip(reference(row, scale)).map(|(x, y)| expect(*x, y)).collect()
    };
    x.chunks_exact(cols).flat_map(row).collect()
}

fn check(gpu: &Gpu, what: &str, x: &[f32], cols: usize, scale: f32, exp: f64) -> Outcome {
    let (from, y) = (input(gpu, x)?, output(gpu, x.len())?);
    run(gpu, |plan| record(plan, &from, &y, (x.len() / cols, cols), scale))?;
    compare(&format!("{what}, rows of {cols}"), &words(&y)?, &expected(x, cols, scale, exp))
}

fn rows(gpu: &Gpu) -> Outcome {
    let mut random = Random::new(5);
    for cols in LENGTHS {
        let rows = if cols > 1000 { 1 } else { 3 };
        for spread in [1.0, 30.0] {
            let x = random.normals(rows * cols, spread);
            check(gpu, &format!("N(0, {spread})"), &x, cols, 1.0, exp_error(1e3))?;
        }
    }
    Ok(())
}

/// Rows folded into two dimensions of the grid, with workgroups to spare at the end. (As `record`
/// does it for more than 65,535 rows, which software would take a minute for; `tests/shaders.rs`
/// holds the fold itself.)
fn folded(gpu: &Gpu) -> Outcome {
    let (rows, cols) = (37, 3);
    let x = Random::new(6).normals(rows * cols, 2.0);
    let (from, y) = (input(gpu, &x)?, output(gpu, x.len())?);
    let params = Params { cols: cols as u32, rows: rows as u32, scale: 1.0 };
    let variant = Variant::of(&[("LANES", 256.0)]);
    run(gpu, |plan| plan.dispatch(&OP, variant, &params, &[&from, &y], [10, 4, 1]))?;
    compare("10 × 4 workgroups", &words(&y)?, &expected(&x, cols, 1.0, exp_error(1e3)))
}

fn scale(gpu: &Gpu) -> Outcome {
    for scale in [0.125, 0.1, 3.0] {
        let x = Random::new(7).normals(5 * 300, 10.0);
        check(gpu, &format!("scale {scale}"), &x, 300, scale, exp_error(1e3))?;
    }
    Ok(())
}

/// Far beyond where exp(x) itself overflows.
fn wide(gpu: &Gpu) -> Outcome {
    let mut random = Random::new(8);
    for most in [88.0, 1e3, 1e4] {
        for cols in [2, 257, 1024] {
            let uniform = |_| ((2.0 * random.uniform() - 1.0) * most) as f32;
            let x: Vec<f32> = (0..cols).map(uniform).collect();
            check(gpu, &format!("within {most}"), &x, cols, 1.0, exp_error(most))?;
            // Neighbours near the top of the range, so that many of them count.
            let near: Vec<f32> = x.iter().map(|v| most as f32 - v.abs() / most as f32).collect();
            check(gpu, &format!("near {most}"), &near, cols, 1.0, exp_error(most))?;
            let low: Vec<f32> = near.iter().map(|v| v - 2.0 * most as f32).collect();
            check(gpu, &format!("near -{most}"), &low, cols, 1.0, exp_error(most))?;
        }
    }
    Ok(())
}

/// Equal values have equal pairs, whatever their error, so only the sum and the division err.
fn equal(gpu: &Gpu) -> Outcome {
    for cols in LENGTHS {
        for value in [0.0, -0.0, 1.0, -88.0, 1e4, -1e30, f32::MAX, f32::MIN] {
            check(gpu, &format!("all {value}"), &vec![value; cols], cols, 1.0, 0.0)?;
        }
    }
    Ok(())
}

/// All others are so far below that they vanish: exactly one value counts.
fn one_huge(gpu: &Gpu) -> Outcome {
    let mut random = Random::new(9);
    for cols in LENGTHS {
        for huge in [1e3, 1e6, 1e30, f32::MAX] {
            let mut x = random.normals(cols, 1.0);
            x[random.below(cols)] = huge;
            check(gpu, &format!("one {huge}"), &x, cols, 1.0, 0.0)?;
        }
    }
    Ok(())
}

fn alternating(gpu: &Gpu) -> Outcome {
    for cols in LENGTHS {
        let x: Vec<f32> = (0..cols).map(|i| if i % 2 == 0 { 1e30 } else { -1e30 }).collect();
        check(gpu, "±1e30", &x, cols, 1.0, 0.0)?;
    }
    Ok(())
}

/// −inf contributes nothing; a row of nothing else is zeros.
fn negative_infinity(gpu: &Gpu) -> Outcome {
    let mut random = Random::new(10);
    for cols in LENGTHS {
        check(gpu, "all -inf", &vec![f32::NEG_INFINITY; cols], cols, 1.0, 0.0)?;
        let mut x = random.normals(cols, 3.0);
        x.iter_mut().for_each(|v| {
            if random.below(3) == 0 {
                *v = f32::NEG_INFINITY;
            }
        });
        check(gpu, "part -inf", &x, cols, 1.0, exp_error(1e3))?;
        check(gpu, "part -inf, scaled", &x, cols, 0.125, exp_error(1e3))?;
    }
    // The mask of a causal row: all but the first are −inf.
    let mut x = vec![f32::NEG_INFINITY; 300];
    x[0] = -1e4;
    check(gpu, "all but one -inf", &x, 300, 1.0, 0.0)
}

/// +inf or NaN spoils its own row and no other.
fn not_a_number(gpu: &Gpu) -> Outcome {
    let mut random = Random::new(11);
    let bad = [f32::INFINITY, f32::NAN, f32::from_bits(0xffc0_0001), f32::from_bits(0x7f80_0001)];
    for cols in LENGTHS {
        for bad in bad {
            let mut x = random.normals(3 * cols, 3.0);
            x[cols + random.below(cols)] = bad;
            check(gpu, &format!("{:#x}", bad.to_bits()), &x, cols, 1.0, exp_error(1e3))?;
        }
        let mut x = vec![f32::NEG_INFINITY; cols];
        x[cols / 2] = f32::NAN;
        check(gpu, "NaN among -inf", &x, cols, 1.0, 0.0)?;
    }
    Ok(())
}
