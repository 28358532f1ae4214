//! What is softmaxed in the benches, and what is a right answer.

use mantissa::ops::softmax::reference;

/// Normal values, roughly: the sum of four uniform ones.
pub fn values(n: usize) -> Vec<f32> {
    let mut state = 1u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    (0..n).map(|_| (0..4).map(|_| uniform() * 4.0 - 2.0).sum()).collect()
}

/// Every value within `bound` of float64's, relative to it: far above the roundings, far below anything
/// wrong.
pub fn check(x: &[f32], y: &[f32], cols: usize, bound: f64) -> Result<(), String> {
    for (x, y) in x.chunks(cols).zip(y.chunks(cols)) {
        for (want, got) in reference(x, 1.0).into_iter().zip(y) {
            let off = (f64::from(*got) - want).abs();
            if off.is_nan() || off > bound * want + 1e-37 {
                return Err(format!("{got:e} instead of {want:e}"));
            }
        }
    }
    Ok(())
}
