//! Causal attention over a cache, by head size, grouping, context and rows.

use mantissa::Gpu;
use mantissa::ops::attention::{Params, record, reference};

use crate::softmax::exp_error;
use crate::support::{
    Case, DIVISION, Expect, Outcome, Random, U, case, compare, gamma, input, output, run, step,
    words,
};

const HEAD_DIMS: [usize; 5] = [32, 64, 80, 128, 256];
const POSITIONS: [usize; 6] = [1, 63, 64, 65, 113, 512];

pub fn trials() -> Vec<(String, Case)> {
    let mut trials = vec![case("rows_at_an_offset", rows), case("large_scores", large_scores)];
    for group in [1, 3, 8] {
        trials.push(case(format!("group_{group}"), move |gpu| decode(gpu, group)));
    }
    trials
}

/// `rows` queries from `position` on; `spread` scales the queries.
#[derive(Clone, Copy)]
struct Shape {
    head_dim: usize,
    group: usize,
    kv_heads: usize,
    position: usize,
    rows: usize,
    spread: f32,
}

fn decode(gpu: &Gpu, group: usize) -> Outcome {
    for head_dim in HEAD_DIMS {
        for positions in POSITIONS {
            let position = positions - 1;
            let shape = Shape { head_dim, group, kv_heads: 2, position, rows: 1, spread: 1.0 };
            check(gpu, shape)?;
        }
    }
    Ok(())
}

fn rows(gpu: &Gpu) -> Outcome {
    for (head_dim, group) in [(64, 3), (80, 1), (36, 2)] {
        for (position, rows) in [(0, 7), (61, 7), (113, 33)] {
            check(gpu, Shape { head_dim, group, kv_heads: 2, position, rows, spread: 1.0 })?;
        }
    }
    Ok(())
}

/// Scores of some ±200, where exp() of a float would overflow and the maximum moves often.
fn large_scores(gpu: &Gpu) -> Outcome {
    for position in [64, 200] {
        check(gpu, Shape { head_dim: 64, group: 3, kv_heads: 1, position, rows: 2, spread: 60.0 })?;
    }
    Ok(())
}

fn check(gpu: &Gpu, shape: Shape) -> Outcome {
    let Shape { head_dim, group, kv_heads, position, rows, spread } = shape;
    let (heads, context) = (group * kv_heads, position + rows);
    let mut random = Random::new(head_dim as u64);
    // Rows of q carry more than the heads, and rows of y are longer than they need to be.
    let (q_stride, y_stride) = (heads * head_dim + 4, heads * head_dim + 8);
    let kv_stride = kv_heads * head_dim;
    let q = random.normals(rows * q_stride, spread);
    let mut k = random.normals((context + 2) * kv_stride, 1.0);
    let v = random.normals((context + 2) * kv_stride, 1.0);
    // What lies behind the context would show.
    k[context * kv_stride..].fill(1e3);

    let y = output(gpu, rows * y_stride)?;
    let (step, from) = (step(gpu, position, rows)?, input(gpu, &q)?);
    let (keys, values) = (input(gpu, &k)?, input(gpu, &v)?);
    let [dim32, group32, q32, kv32, y32] =
        [head_dim, group, q_stride, kv_stride, y_stride].map(|n| n as u32);
    let scale = 1.0 / (head_dim as f32).sqrt();
    let params = Params {
        head_dim: dim32,
        group: group32,
        q_stride: q32,
        kv_stride: kv32,
        y_stride: y32,
        scale,
    };
    run(gpu, |plan| {
        record(plan, &step, &from, (&keys, &values), &y, (heads, rows, context), &params)
    })?;

    let mut want = vec![Expect::Untouched; rows * y_stride];
    for row in 0..rows {
        for head in 0..heads {
            let (q_at, kv_at) = (row * q_stride + head * head_dim, head / group * head_dim);
            let window = (position + row + 1, kv_stride, kv_at);
            let q = &q[q_at..q_at + head_dim];
            let exact = reference(q, &k, &v, window, scale);
            let tolerances = tolerances(q, &k, &v, window, scale, &exact);
            let to = row * y_stride + head * head_dim;
            for ((want, y), t) in want[to..].iter_mut().zip(exact).zip(tolerances) {
                *want = Expect::Near(y, t);
            }
        }
    }
    let what = format!(
        "{heads} heads of {head_dim} in groups of {group}, {rows} rows at {position}, q of {spread}"
    );
    compare(&what, &words(&y)?, &want)
}

/// y = Σ p_j·v_j with p_j = w_j / Σ w. A score's absolute error is γ(d + 1)·scale·Σ|q·k| (d
/// products and sums, and the scale); with the exponential's own error it is weight j's relative
/// error η_j. Numerator and denominator each add n terms in whatever order (a product, n sums;
/// rescaling is exact, and so is adding a team that has seen nothing), then comes a division. To
/// first order
///
/// |Δy| ≤ Σ p|v|·η + |y|·Σ p·η + (2·(n + 1)·U + 2.5 ulp)·Σ p|v|.
///
/// Weights below 2^−126 of the largest vanish: n·2^−125·max|v| more.
fn tolerances(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    (positions, kv_stride, at): (usize, usize, usize),
    scale: f32,
    exact: &[f64],
) -> Vec<f64> {
    let row = |x: &'_ [f32], j: usize| -> Vec<f64> {
        x[j * kv_stride + at..][..q.len()].iter().copied().map(f64::from).collect()
    };
    let scale = f64::from(scale);
    let products = |j: usize| -> Vec<f64> {
        row(k, j).iter().zip(q).map(|(k, q)| k * f64::from(*q) * scale).collect()
    };
    let scores: Vec<(f64, f64)> = (0..positions)
        .map(|j| products(j).iter().fold((0.0, 0.0), |(s, a), p| (s + p, a + p.abs())))
        .collect();
    let most = scores.iter().fold(f64::NEG_INFINITY, |m, (s, _)| m.max(*s));
    let total: f64 = scores.iter().map(|(s, _)| (s - most).exp()).sum();
    let eta = |s: f64, abs: f64| gamma(q.len() + 1) * abs + exp_error(s.abs());

    let sums = 2.0 * gamma(positions + 1) + DIVISION;
    let (mut spread, mut weighted, mut mean_eta) = (vec![0.0; q.len()], vec![0.0; q.len()], 0.0);
    for (j, &(score, abs)) in scores.iter().enumerate() {
        let (p, eta) = ((score - most).exp() / total, eta(score, abs));
        mean_eta += p * eta;
        for (i, v) in row(v, j).iter().enumerate() {
            spread[i] += p * v.abs();
            weighted[i] += p * v.abs() * eta;
        }
    }
    let floor = positions as f64 * 2f64.powi(-125) * 10.0 + U * U;
    (0..q.len())
        .map(|i| weighted[i] + exact[i].abs() * mean_eta + sums * spread[i] + floor)
        .collect()
}
