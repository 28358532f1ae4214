//! kv_append copies bits: exact, NaN payloads included.

use mantissa::Gpu;
use mantissa::ops::kv_append::{Params, record, reference};

use crate::support::{
    Case, Expect, Outcome, Random, SENTINEL, case, compare, input, output, run, step, words,
};

pub fn trials() -> Vec<(String, Case)> {
    vec![case("shapes", shapes)]
}

fn shapes(gpu: &Gpu) -> Outcome {
    for (width, rows, position) in [(1, 1, 0), (32, 1, 5), (64, 3, 0), (65, 7, 2), (192, 33, 40)] {
        let what = format!("{width} wide, {rows} rows at {position}");
        check(gpu, &what, width, rows, position)?;
    }
    Ok(())
}

/// Keys and values lie in the middle of rows of x, in an order that is not the caches'.
fn check(gpu: &Gpu, what: &str, width: usize, rows: usize, position: usize) -> Outcome {
    let (v_at, k_at) = (3, 3 + width + 2);
    let stride = k_at + width + 1;
    let mut x = Random::new(3).normals(rows * stride, 1.0);
    x[k_at] = -0.0;
    let params =
        Params { width: width as u32, stride: stride as u32, k_at: k_at as u32, v_at: v_at as u32 };

    let positions = position + rows + 2;
    let (k, v) = (output(gpu, positions * width)?, output(gpu, positions * width)?);
    let (from, step) = (input(gpu, &x)?, step(gpu, position, rows)?);
    run(gpu, |plan| record(plan, &step, &from, (&k, &v), rows, &params))?;

    for (name, cache, at) in [("k", &k, params.k_at), ("v", &v, params.v_at)] {
        let mut want = vec![f32::from_bits(SENTINEL); positions * width];
        reference(&mut want, &x, position, &params, at);
        let want: Vec<_> = want.iter().map(|v| Expect::Bits(v.to_bits())).collect();
        compare(&format!("{name}, {what}"), &words(cache)?, &want)?;
    }
    Ok(())
}
