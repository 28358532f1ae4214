//! Rounding a block to a grid of steps, as GGUF's reference quantizers do it (`gguf/quants.py`,
//! `ggml-quants.c`): every f32 operation in their order, so that the bytes are theirs.
//!
//! A NaN in a block makes its scale NaN, so that it cannot pass for a number. Where 1/d overflows,
//! codes are those of a C cast on x86 (0); the scale has then underflowed to zero in binary16.

use super::bits::BLOCK;

/// x ≈ d·(q − half) with q in 0..2·half and d such that the weight farthest from zero is q = 0.
pub(super) fn symmetric(weights: &[f32], half: f32) -> (f32, [u8; BLOCK]) {
    let d = farthest(weights) / -half;
    let inverse = inverse(d);
    (d, codes(weights, |x| x * inverse + (half + 0.5), 2.0 * half - 1.0))
}

/// x ≈ d·q + m with q in 0..=top and m the least weight.
pub(super) fn affine(weights: &[f32], top: f32) -> (f32, f32, [u8; BLOCK]) {
    let max = pick(weights, |a, x| x <= a);
    let min = pick(weights, |a, x| x >= a);
    let d = (max - min) / top;
    let inverse = inverse(d);
    (d, min, codes(weights, |x| (x - min) * inverse + 0.5, top))
}

/// x ≈ d·q with q in −127..=127, halves away from zero.
pub(super) fn signed_bytes(weights: &[f32]) -> (f32, [i8; BLOCK]) {
    let d = farthest(weights).abs() / 127.0;
    let inverse = inverse(d);
    let mut codes = [0; BLOCK];
    for (code, x) in codes.iter_mut().zip(weights) {
        let q = (x * inverse).round();
        *code = if q.is_finite() { q as i8 } else { 0 };
    }
    (d, codes)
}

/// x ≈ d·(q − 1) with q in 0..=2, halves away from zero, and d the largest magnitude; codes go to
/// `put` with their place.
pub(super) fn ternary(weights: &[f32], mut put: impl FnMut(usize, u8)) -> f32 {
    let d = farthest(weights).abs();
    let inverse = inverse(d);
    for (i, x) in weights.iter().enumerate() {
        let q = (x * inverse).round();
        put(i, if q.is_finite() { (q + 1.0) as u8 } else { 1 });
    }
    d
}

/// The first of the weights with the largest magnitude, or a NaN if there is one.
fn farthest(weights: &[f32]) -> f32 {
    pick(weights, |a, x| x.abs() <= a.abs())
}

/// The first weight that `keeps` its place against all others, or a NaN if there is one.
fn pick(weights: &[f32], keeps: impl Fn(f32, f32) -> bool) -> f32 {
    let better = |a: f32, x| if a.is_nan() || keeps(a, x) { a } else { x };
    weights.iter().copied().reduce(better).unwrap_or(0.0)
}

/// 1/d, and 0 for a block of zeros.
fn inverse(d: f32) -> f32 {
    if d == 0.0 { 0.0 } else { 1.0 / d }
}

/// The whole parts of `scale(x)`, at most `top`; 0 where that is no number.
fn codes(weights: &[f32], scale: impl Fn(f32) -> f32, top: f32) -> [u8; BLOCK] {
    let mut codes = [0; BLOCK];
    for (code, &x) in codes.iter_mut().zip(weights) {
        let q = scale(x);
        *code = if q.is_finite() { q.min(top) as u8 } else { 0 };
    }
    codes
}
