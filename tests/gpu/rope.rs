//! Rotation of pairs by position, in place.

use mantissa::Gpu;
use mantissa::ops::Span;
use mantissa::ops::rope::{Params, record, reference, table};

use crate::support::{
    Case, Expect, Outcome, Random, U, case, compare, in_place, input, run, step, words,
};

pub fn trials() -> Vec<(String, Case)> {
    vec![
        case("normal", |gpu| shapes(gpu, false)),
        case("neox", |gpu| shapes(gpu, true)),
        case("far", far),
    ]
}

struct Shape {
    heads: usize,
    head_dim: usize,
    pairs: usize,
    rows: usize,
    position: usize,
    neox: bool,
}

fn shapes(gpu: &Gpu, neox: bool) -> Outcome {
    let heads_and_dims = [(1, 2, 1), (3, 32, 16), (9, 64, 32), (2, 80, 40), (1, 128, 64)];
    // Partial rotation leaves the rest of a head as it is.
    let partial = [(2, 80, 16), (1, 256, 32)];
    for (heads, head_dim, pairs) in heads_and_dims.into_iter().chain(partial) {
        for (rows, position) in [(1, 0), (1, 17), (7, 3), (33, 0)] {
            check(gpu, &Shape { heads, head_dim, pairs, rows, position, neox })?;
        }
    }
    Ok(())
}

fn far(gpu: &Gpu) -> Outcome {
    for neox in [false, true] {
        check(gpu, &Shape { heads: 3, head_dim: 64, pairs: 32, rows: 2, position: 8190, neox })?;
    }
    Ok(())
}

fn check(gpu: &Gpu, shape: &Shape) -> Outcome {
    let &Shape { heads, head_dim, pairs, rows, position, neox } = shape;
    let frequencies: Vec<f64> =
        (0..pairs).map(|i| 1e5f64.powf(-(i as f64) / pairs as f64)).collect();
    // Keys and values that share the row with the rotated heads are left alone.
    let stride = heads * head_dim + 5;
    let x = Random::new(4).normals(rows * stride, 1.0);
    let table = input(gpu, &table(&frequencies, position + rows))?;
    let (buffer, step) =
        (in_place(gpu, &x)?, step(gpu, &[Span::alone(position, rows, position + rows)])?);
    let [heads32, dim32, pairs32, stride32] = [heads, head_dim, pairs, stride].map(|n| n as u32);
    let params = Params { heads: heads32, head_dim: dim32, pairs: pairs32, stride: stride32 };
    run(gpu, |plan| record(plan, &step, &table, &buffer, rows, &params, neox))?;

    let mut want: Vec<_> = x.iter().map(|v| Expect::Bits(v.to_bits())).collect();
    for (row, (want, x)) in want.chunks_mut(stride).zip(x.chunks(stride)).enumerate() {
        for head in 0..heads {
            let at = head * head_dim;
            let x = &x[at..at + head_dim];
            let exact = reference(x, &frequencies, position + row, neox);
            expect_head(&mut want[at..at + head_dim], x, &exact, pairs, neox);
        }
    }
    let what = format!("{heads} heads of {head_dim}, {pairs} pairs, {rows} rows at {position}");
    compare(&what, &words(&buffer)?, &want)
}

/// a·cos − b·sin: the table rounds cos and sin, then come a product and a sum, each within U of its
/// terms, so 3U·(|a·cos| + |b·sin|) ≤ 3U·(|a| + |b|), and U² for what multiplies up.
fn expect_head(want: &mut [Expect], x: &[f32], exact: &[f64], pairs: usize, neox: bool) {
    for pair in 0..pairs {
        let (a, b) = if neox { (pair, pair + pairs) } else { (2 * pair, 2 * pair + 1) };
        let tolerance = 3.0 * U * (1.0 + U) * f64::from(x[a].abs() + x[b].abs());
        want[a] = Expect::Near(exact[a], tolerance);
        want[b] = Expect::Near(exact[b], tolerance);
    }
}
