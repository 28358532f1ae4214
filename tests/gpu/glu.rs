//! act(gate)·up.

use mantissa::Gpu;
use mantissa::ops::glu::{Activation, record, reference};
use mantissa::ops::stride;

use crate::softmax::exp_error;
use crate::support::{
    Case, DIVISION, Expect, Outcome, Random, U, case, compare, input, output, run, words,
};

pub fn trials() -> Vec<(String, Case)> {
    vec![
        case("silu", |gpu| shapes(gpu, Activation::Silu)),
        case("gelu", |gpu| shapes(gpu, Activation::Gelu)),
    ]
}

/// gate·σ(z)·up with σ(z) = s / (1 + s) or 1 / (1 + s) and s = exp(−|z|) from a pair. σ changes by
/// at most the relative change of s, so its error is the exponential's, that of the argument (an
/// absolute change of z is a relative one of s), an addition and a division; two products follow.
/// SiLU's argument is the gate itself; GELU's has 8 roundings, its constants' among them, of terms
/// of one sign. Below 2^−126 s may be zero, which the floor covers, and GELU's reference
/// 1 + tanh cancels there, leaving 2^−53.
pub fn tolerance(gate: f32, up: f32, exact: f64, activation: Activation) -> f64 {
    let g = f64::from(gate);
    let (z, argument, cancelled) = match activation {
        Activation::Silu => (g, 0.0, 0.0),
        Activation::Gelu => {
            let z = 1.595_769_121_605_730_8 * (g + 0.044_715 * g.powi(3));
            (z, 8.0 * U * z.abs(), 2f64.powi(-52))
        }
    };
    // Beyond 1e3 s is zero, whatever its argument's error.
    let relative = exp_error(z.abs().min(1e3)) + argument.min(1.0) + U + DIVISION + 2.0 * U;
    let floor = 2f64.powi(-125) * (1.0 + (g * f64::from(up)).abs());
    relative * exact.abs() + cancelled * (g * f64::from(up)).abs() + floor
}

fn shapes(gpu: &Gpu, activation: Activation) -> Outcome {
    let shapes = [(1, 1), (3, 2), (63, 1), (64, 3), (65, 8), (1536, 2), (577, 17), (9000, 1)];
    for scale in [1.0, 10.0, 1000.0] {
        for (cols, rows) in shapes {
            check(gpu, (rows, cols), scale, activation)?;
        }
    }
    Ok(())
}

fn check(gpu: &Gpu, (rows, cols): (usize, usize), scale: f32, activation: Activation) -> Outcome {
    let mut random = Random::new(cols as u64);
    let mut x = random.normals(rows * stride(2 * cols), 1.0);
    x.chunks_mut(stride(2 * cols)).for_each(|row| row[..cols].iter_mut().for_each(|g| *g *= scale));
    (x[0], x[cols]) = (-0.0, 2.0);
    let (from, y) = (input(gpu, &x)?, output(gpu, rows * stride(cols))?);
    run(gpu, |plan| record(plan, &from, &y, (rows, cols), activation))?;

    let mut want = vec![Expect::Untouched; rows * stride(cols)];
    let given = x.chunks_exact(stride(2 * cols));
    for (want, x) in want.chunks_exact_mut(stride(cols)).zip(given) {
        for (i, want) in want[..cols].iter_mut().enumerate() {
            let (gate, up) = (x[i], x[cols + i]);
            let exact = reference(gate, up, activation);
            *want = Expect::Near(exact, tolerance(gate, up, exact, activation));
        }
    }
    let what = format!("{activation:?}, {rows} rows of {cols}, gates of {scale}");
    compare(&what, &words(&y)?, &want)
}
