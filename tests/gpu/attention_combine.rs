//! Parts of an attention with exponents of any size, added up.

use mantissa::Gpu;
use mantissa::ops::attention_combine::{Params, record, reference, words as part_words};

use crate::softmax::exp_error;
use crate::support::{
    Case, DIVISION, Expect, Outcome, Random, U, case, compare, gamma, input, output, run, words,
};

pub fn trials() -> Vec<(String, Case)> {
    vec![case("shapes", shapes), case("empty_parts", empty)]
}

fn shapes(gpu: &Gpu) -> Outcome {
    for (heads, width, splits, rows) in [(1, 1, 1, 1), (3, 16, 2, 5), (9, 10, 7, 3), (2, 64, 65, 1)]
    {
        for spread in [0.0, 3.0, 90.0, 4e6] {
            check(gpu, [heads, width, splits, rows], spread, false)?;
            check(gpu, [heads, width, splits, rows], spread, true)?;
        }
    }
    Ok(())
}

/// Parts that saw nothing: no weight, at the exponent of nothing. All of them: zeros.
fn empty(gpu: &Gpu) -> Outcome {
    check(gpu, [2, 8, 4, 3], -1.0, true)?;
    check(gpu, [2, 8, 4, 3], -1.0, false)
}

/// Exponents are random integers up to `spread`; below 0 all parts are empty.
fn check(gpu: &Gpu, shape: [usize; 4], spread: f32, sinks: bool) -> Outcome {
    let [heads, width, splits, rows] = shape;
    let y_stride = heads * width + 1;
    let params = Params {
        heads: heads as u32,
        width: width as u32,
        splits: splits as u32,
        rows: rows as u32,
        y_stride: y_stride as u32,
    };
    let mut random = Random::new(splits as u64);
    let mut parts = Vec::new();
    for part in 0..rows * heads * splits {
        let empty = spread < 0.0 || part % 5 == 4;
        let values = random.normals(width * 4, if empty { 0.0 } else { 1.0 });
        let sum = if empty { 0.0 } else { 1.0 + random.uniform() as f32 * 30.0 };
        let e = if empty { -1.6e38 } else { (random.normal() * spread).round() };
        parts.push((values, sum, e));
    }
    let flat: Vec<f32> = parts
        .iter()
        .flat_map(|(v, sum, e)| v.iter().copied().chain([*sum, *e, 0.0, 0.0]))
        .collect();
    if flat.len() != part_words(&params) {
        return Err(format!("{} words, not {}", part_words(&params), flat.len()).into());
    }
    let of_heads: Vec<f32> = (0..heads).flat_map(|_| [7.0, random.normal() * 5.0]).collect();
    let y = output(gpu, rows * y_stride * 4)?;
    let (from, of) = (input(gpu, &flat)?, input(gpu, &of_heads)?);
    run(gpu, |plan| record(plan, &from, &of, &y, &params, sinks))?;

    let mut want = vec![Expect::Untouched; rows * y_stride * 4];
    for query in 0..rows * heads {
        let head = query % heads;
        let mine = &parts[query * splits..(query + 1) * splits];
        let sink = sinks.then_some(of_heads[2 * head + 1]);
        let exact = reference(mine, sink);
        let magnitudes: Vec<_> =
            mine.iter().map(|(v, s, e)| (v.iter().map(|v| v.abs()).collect(), *s, *e)).collect();
        let spread = reference(&magnitudes, sink);
        // Sums of `splits` terms on both sides and a sink, an exponential, a division, a product;
        // what is 2^126 below the rest vanishes.
        let relative = 2.0 * gamma(splits + 2) + DIVISION + exp_error(20.0) + U;
        for (i, (y, m)) in exact.iter().zip(spread).enumerate() {
            want[query / heads * y_stride * 4 + head * width * 4 + i] =
                Expect::Near(*y, relative * m + 2f64.powi(-120));
        }
    }
    compare(&format!("{shape:?}, exponents of {spread}, sinks {sinks}"), &words(&y)?, &want)
}
