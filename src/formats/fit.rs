//! Encoders for formats with scales of scales, which have no reference that rounds in one way only.
//!
//! What is made small is the sum of squared errors, all weights alike: for activations of equal
//! size that is the error of a product. Scales are searched as llama.cpp's `make_qx_quants` and
//! `make_qkx2_quants` do (ggml-quants.c): for each of some step sizes, round, solve for the scale
//! (and minimum) that is best for those codes, keep the best of all.
//!
//! A search may cut off the farthest weights where that pays. So that each format's bound on the
//! error can be proved, the block is also encoded with scales that cover every weight, rounded up,
//! and the better of the two is kept: the root mean square error is then at most half a covering
//! step, or the format's farthest distance to a code.

use super::bits::{f16_to_f32, f32_to_f16};
use super::rows::peak;

/// The values that codes stand for, as multiples of a scale; at least from −1 to 1.
pub(super) trait Grid {
    /// The least and the largest of them.
    const ENDS: (f32, f32);
    /// From one to the next, near the ends.
    const STEP: f32;

    /// The one nearest to v, which is a number.
    fn nearest(v: f32) -> f32;
}

/// The integers from LOW to HIGH.
#[derive(Debug)]
pub(super) struct Integers<const LOW: i32, const HIGH: i32>;

impl<const LOW: i32, const HIGH: i32> Grid for Integers<LOW, HIGH> {
    const ENDS: (f32, f32) = (LOW as f32, HIGH as f32);
    const STEP: f32 = 1.0;

    fn nearest(v: f32) -> f32 {
        round(v.max(LOW as f32).min(HIGH as f32))
    }
}

/// How far beyond an end of the grid the farthest weight is tried, in steps: with few codes it is
/// better cut off.
const REACH: [f32; 8] = [-0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0];

/// The nearest integer, ties to even; |v| < 2^22. Adding 1.5·2^23 leaves no bits below 1.
fn round(v: f32) -> f32 {
    const MAGIC: f32 = 12_582_912.0;
    (v + MAGIC) - MAGIC
}

/// Some sums over weights, in lanes, so that the compiler may use vectors; whole eights of them.
fn sums<const N: usize>(x: &[f32], terms: impl Fn(f32) -> [f32; N]) -> [f32; N] {
    let mut lanes = [[0.0; 8]; N];
    for eight in x.chunks_exact(8) {
        for (lane, &x) in eight.iter().enumerate() {
            let terms = terms(x);
            (0..N).for_each(|i| lanes[i][lane] += terms[i]);
        }
    }
    lanes.map(|lanes| lanes.iter().sum())
}

/// 1/d, and 0 for 0.
pub(super) fn inverse(d: f32) -> f32 {
    if d == 0.0 { 0.0 } else { 1.0 / d }
}

/// The least binary16 that is not below x ≥ 0.
pub(super) fn f16_above(x: f32) -> u16 {
    let bits = f32_to_f16(x);
    if f16_to_f32(bits) < x { bits + 1 } else { bits }
}

/// The scale of a block whose weights are no numbers, or beyond `most`: NaN or infinity.
pub(super) fn unfit(weights: &[f32], most: f32) -> Option<u16> {
    let peak = peak(weights);
    let spoilt = if peak > most { f32::INFINITY } else { peak };
    (!spoilt.is_finite()).then(|| f32_to_f16(spoilt))
}

/// The value on the grid that d times it is nearest to x.
pub(super) fn on_grid<G: Grid>(x: f32, d: f32) -> f32 {
    G::nearest(x * inverse(d))
}

/// Σ (x − d·q)², each q the best.
fn error<G: Grid>(x: &[f32], d: f32) -> f32 {
    let inverse = inverse(d);
    let [sum] = sums(x, |x| {
        let e = x - d * G::nearest(x * inverse);
        [e * e]
    });
    sum
}

/// The scale s, of either sign, with the least Σ (x − s·q)² of those tried.
fn scale<G: Grid>(x: &[f32]) -> f32 {
    let far = x.iter().fold(0.0, |a: f32, x| if x.abs() > a.abs() { *x } else { a });
    let mut best = (0.0, 0.0);
    for end in REACH.iter().flat_map(|r| [G::ENDS.0 - r * G::STEP, G::ENDS.1 + r * G::STEP]) {
        let inverse = end / far;
        let [xq, qq] = sums(x, |x| {
            let q = G::nearest(x * inverse);
            [x * q, q * q]
        });
        // Σx² − this is the error with s = Σxq / Σq²; false where weights are too small to invert.
        let gain = xq * xq / qq;
        if gain > best.0 {
            best = (gain, xq / qq);
        }
    }
    best.1
}

/// A scale alone, as the bits of a binary16, for x ≈ d·q.
pub(super) fn single<G: Grid>(x: &[f32]) -> u16 {
    let covering = f16_above(peak(x) / G::ENDS.1);
    let fitted = f32_to_f16(scale::<G>(x));
    let errors = [fitted, covering].map(|d| error::<G>(x, f16_to_f32(d)));
    if errors[0] < errors[1] { fitted } else { covering }
}

/// Scales of N parts of a block, x ≈ d·scale·q.
pub(super) struct Scales<const N: usize> {
    /// The bits of a binary16.
    pub(super) d: u16,
    /// Within ±top.
    pub(super) scales: [i8; N],
    error: f32,
}

impl<const N: usize> Scales<N> {
    /// The best that is found for whole eights of weights in each part.
    pub(super) fn fit<G: Grid>(x: &[f32], top: f32) -> Self {
        let parts = || x.chunks_exact(x.len() / N);
        let fitted = Self::rounded::<G>(x, parts().map(scale::<G>), top);
        let covering = Self::rounded::<G>(x, parts().map(|x| peak(x) / G::ENDS.1), top);
        if fitted.error < covering.error { fitted } else { covering }
    }

    /// Part i's d·scale.
    pub(super) fn step(&self, i: usize) -> f32 {
        f16_to_f32(self.d) * f32::from(self.scales[i])
    }

    /// These scales as multiples of one d, up or down as is better.
    fn rounded<G: Grid>(x: &[f32], wanted: impl Iterator<Item = f32>, top: f32) -> Self {
        let mut exact = [0.0; N];
        exact.iter_mut().zip(wanted).for_each(|(to, s)| *to = s);
        let bits = f16_above(peak(&exact) / top);
        let d = f16_to_f32(bits);
        let mut all = Self { d: bits, scales: [0; N], error: 0.0 };
        for (i, x) in x.chunks_exact(x.len() / N).enumerate() {
            let ratio = exact[i] * inverse(d);
            let mut best = (f32::INFINITY, 0.0);
            for code in [ratio.floor(), ratio.ceil()].map(|r| r.max(-top).min(top)) {
                let error = error::<G>(x, d * code);
                if error < best.0 {
                    best = (error, code);
                }
            }
            all.error += best.0;
            all.scales[i] = best.1 as i8;
        }
        all
    }
}

/// The code of x ≈ s·q − m with q in 0..=top.
pub(super) fn affine_code(x: f32, s: f32, m: f32, top: f32) -> u8 {
    round(((x + m) * inverse(s)).max(0.0).min(top)) as u8
}

/// Σ (x − (s·q − m))², each q the best.
fn affine_error(x: &[f32], s: f32, m: f32, top: f32) -> f32 {
    let inverse = inverse(s);
    let [sum] = sums(x, |x| {
        let e = x + m - s * round(((x + m) * inverse).max(0.0).min(top));
        [e * e]
    });
    sum
}

/// Scale and minimum s, m ≥ 0 with the least Σ (x − (s·q − m))² of those tried.
fn affine(x: &[f32], top: f32) -> (f32, f32) {
    let (low, high) = ends(x);
    let n = x.len() as f32;
    let [sum] = sums(x, |x| [x]);
    let mut best = (0.0, 0.0, -low);
    for reach in REACH {
        let inverse = (top + reach) / (high - low);
        let [q, qq, xq] = sums(x, |x| {
            let q = round(((x - low) * inverse).max(0.0).min(top));
            [q, q * q, x * q]
        });
        let determinant = n * qq - q * q;
        let (mut s, mut min) =
            ((n * xq - sum * q) / determinant, (qq * sum - q * xq) / determinant);
        if min > 0.0 {
            (s, min) = (xq / qq, 0.0);
        }
        // Σx² − this is the error; false where there is nothing to divide by.
        let gain = s * xq + min * sum;
        if gain > best.0 {
            best = (gain, s, -min);
        }
    }
    (best.1, best.2)
}

/// The least weight, or 0 if that is less, and the largest.
fn ends(x: &[f32]) -> (f32, f32) {
    let first = x.first().copied().unwrap_or(0.0);
    x.iter().fold((0.0, first), |(low, high): (f32, f32), x| (low.min(*x), high.max(*x)))
}

/// Scales and minima of N parts of a block, x ≈ d·scale·q − dmin·min.
pub(super) struct Affine<const N: usize> {
    /// The bits of a binary16.
    pub(super) d: u16,
    /// The bits of a binary16.
    pub(super) dmin: u16,
    /// Scales and minima, from 0 to their top.
    pub(super) codes: [(u8, u8); N],
    error: f32,
}

impl<const N: usize> Affine<N> {
    /// The best that is found for whole eights of weights in each part; q in 0..=top, scales and
    /// minima in 0..=scale_top.
    pub(super) fn fit(x: &[f32], top: f32, scale_top: f32) -> Self {
        let parts = || x.chunks_exact(x.len() / N);
        let fitted = parts().map(|x| affine(x, top));
        let fitted = Self::rounded(x, fitted, top, scale_top);
        let covering = parts().map(|x| {
            let (low, high) = ends(x);
            ((high.max(0.0) - low) / top, -low)
        });
        let covering = Self::rounded(x, covering, top, scale_top);
        if fitted.error < covering.error { fitted } else { covering }
    }

    /// Part i's d·scale and dmin·min.
    pub(super) fn step_and_min(&self, i: usize) -> (f32, f32) {
        let (scale, min) = self.codes[i];
        (f16_to_f32(self.d) * f32::from(scale), f16_to_f32(self.dmin) * f32::from(min))
    }

    /// These scales and minima as multiples of one d and one dmin, up or down as is better.
    fn rounded(
        x: &[f32],
        wanted: impl Iterator<Item = (f32, f32)>,
        top: f32,
        scale_top: f32,
    ) -> Self {
        let mut exact = [(0.0, 0.0); N];
        exact.iter_mut().zip(wanted).for_each(|(to, from)| *to = from);
        let most = |of: fn(&(f32, f32)) -> f32| exact.iter().map(of).fold(0.0, f32::max);
        let scales = [most(|e| e.0), most(|e| e.1)].map(|most| f16_above(most / scale_top));
        let [d, dmin] = scales.map(f16_to_f32);
        let mut all = Self { d: scales[0], dmin: scales[1], codes: [(0, 0); N], error: 0.0 };
        for (i, x) in x.chunks_exact(x.len() / N).enumerate() {
            let around = |v: f32| [v.floor(), v.ceil()].map(|v| v.max(0.0).min(scale_top));
            let scales = around(exact[i].0 * inverse(d));
            let mins = around(exact[i].1 * inverse(dmin));
            let mut best = (f32::INFINITY, (0, 0));
            for (scale, min) in scales.into_iter().flat_map(|s| mins.map(|m| (s, m))) {
                let error = affine_error(x, d * scale, dmin * min, top);
                if error < best.0 {
                    best = (error, (scale as u8, min as u8));
                }
            }
            all.error += best.0;
            all.codes[i] = best.1;
        }
        all
    }
}
