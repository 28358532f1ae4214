//! y = x / sqrt(mean(x²) + eps)·w.

use mantissa::Gpu;
use mantissa::ops::rms_norm::{record, reference};
use mantissa::ops::stride;

use crate::support::{
    Case, DIVISION, Expect, Outcome, Random, U, case, compare, gamma, input, output, run, words,
};

pub fn trials() -> Vec<(String, Case)> {
    vec![case("rows", rows), case("scales", scales), case("first_row", first_row)]
}

/// Relative bound for rows of `cols` values: the mean's terms are all positive, so that its K
/// squares and additions, its division and eps leave γ(K + 1) + 2.5 ulp, which the root halves;
/// WGSL's sqrt is 1/inverseSqrt: 2 ulp and a division; then 1/√ is another division, and two
/// products follow.
pub fn tolerance(cols: usize) -> f64 {
    let sqrt = 4.0 * U + DIVISION;
    (gamma(cols + 1) + DIVISION) / 2.0 + sqrt + DIVISION + 2.0 * U
}

struct Shape {
    rows: usize,
    cols: usize,
    first: usize,
    eps: f32,
}

fn check(gpu: &Gpu, shape: &Shape, scale: f32) -> Outcome {
    let &Shape { rows, cols, first, eps } = shape;
    let mut random = Random::new(cols as u64);
    // Padding between rows must not be summed.
    let mut x = vec![1e6; (first + rows) * stride(cols)];
    for row in x.chunks_exact_mut(stride(cols)) {
        row[..cols].fill_with(|| random.normal() * scale);
    }
    let weight = random.normals(cols, 1.0);
    let (from, w) = (input(gpu, &x)?, input(gpu, &weight)?);
    let y = output(gpu, rows * stride(cols))?;
    run(gpu, |plan| record(plan, (&from, first), &w, &y, (rows, cols), eps))?;

    let mut want = vec![Expect::Untouched; rows * stride(cols)];
    let given = x.chunks_exact(stride(cols)).skip(first);
    for (want, x) in want.chunks_exact_mut(stride(cols)).zip(given) {
        let exact = reference(&x[..cols], &weight, eps);
        for (want, y) in want.iter_mut().zip(exact) {
            *want = Expect::Near(y, tolerance(cols) * y.abs());
        }
    }
    let what = format!("{rows} rows of {cols}, eps {eps}, scale {scale}");
    compare(&what, &words(&y)?, &want)
}

fn rows(gpu: &Gpu) -> Outcome {
    for cols in [1, 2, 3, 63, 64, 65, 576, 1000, 4096] {
        for rows in [1, 3, 33] {
            check(gpu, &Shape { rows, cols, first: 0, eps: 1e-5 }, 1.0)?;
        }
    }
    check(gpu, &Shape { rows: 5000, cols: 5, first: 0, eps: 1e-5 }, 1.0)
}

fn scales(gpu: &Gpu) -> Outcome {
    for scale in [1e-4, 1e-2, 1e3, 1e15] {
        check(gpu, &Shape { rows: 2, cols: 577, first: 0, eps: 1e-6 }, scale)?;
    }
    // A row of zeros is divided by sqrt(eps), not by zero.
    check(gpu, &Shape { rows: 2, cols: 65, first: 0, eps: 1e-5 }, 0.0)
}

fn first_row(gpu: &Gpu) -> Outcome {
    check(gpu, &Shape { rows: 1, cols: 66, first: 4, eps: 1e-5 }, 1.0)
}
