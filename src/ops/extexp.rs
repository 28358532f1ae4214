//! The CPU twin of `shaders/lib/extexp.wgsl` and `ln.wgsl`: exponentials as (mantissa, exponent)
//! pairs, operation for operation, so that their bound can be tested on every float there is.

/// Bounds the relative error of [`pair_exp`]'s mantissa for |x| < 2^23, in units of the roundoff
/// u = 2^−24, whether multiply-adds are fused or not; that is below 1.25 ulp. Derived in
/// `docs/SOFTMAX.md`.
pub const EXP_ERROR: f64 = 1.75;

/// Arguments from which on the long reduction is used.
pub const EXP_NEAR: f32 = 16_384.0;

/// Arguments from which on only their order counts.
pub const EXP_FAR: f32 = 8_388_608.0;

const LOG2_E: f32 = f32::from_bits(0x3fb8_aa3b);
/// 355/512, −445/2^21 and the rest of ln 2: products of the first two with integers below 2^15 are
/// exact.
const LN2: [f32; 3] = [355.0 / 512.0, -445.0 / 2_097_152.0, f32::from_bits(0xb102_e308)];
/// Coefficients of 1 to t^6.
const P: [f32; 7] = [
    1.0,
    1.0,
    f32::from_bits(0x3eff_fffe),
    f32::from_bits(0x3e2a_aa48),
    f32::from_bits(0x3d2a_ac7e),
    f32::from_bits(0x3c09_1dca),
    f32::from_bits(0x3ab5_10b2),
];

/// exp(x) = v·2^e.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// The mantissa, within [0.7, 1.42] for a single exponential.
    pub v: f32,
    /// The exponent, an integer.
    pub e: f32,
}

/// How a·b + c is rounded.
pub trait MulAdd: Copy {
    /// a·b + c.
    fn mul_add(a: f32, b: f32, c: f32) -> f32;
}

/// Product and sum each rounded.
#[derive(Debug, Clone, Copy)]
pub struct Unfused;

/// Rounded once (through f64, whose own rounding of the sum is 2^−29 of an f32's).
#[derive(Debug, Clone, Copy)]
pub struct Fused;

impl MulAdd for Unfused {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}

impl MulAdd for Fused {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        (f64::from(a) * f64::from(b) + f64::from(c)) as f32
    }
}

/// exp(x) as a pair, as the shaders make it of any finite x.
pub fn pair_exp<M: MulAdd>(x: f32) -> Pair {
    if x.abs() < EXP_NEAR { near::<M>(x) } else { far::<M>(x) }
}

/// The short reduction: |x| < [`EXP_NEAR`].
#[inline(always)]
pub fn near<M: MulAdd>(x: f32) -> Pair {
    let n = round(x * LOG2_E);
    let t = LN2.iter().fold(x, |t, part| M::mul_add(-n, *part, t));
    Pair { v: polynomial::<M>(t), e: n }
}

fn far<M: MulAdd>(x: f32) -> Pair {
    if x.abs() >= EXP_FAR {
        let a = x.abs().min(2f32.powi(126));
        return Pair { v: 1.0, e: f32::from_bits(a.to_bits() + 0x40_0000).copysign(x) };
    }
    let n = (x * LOG2_E).round_ties_even();
    let high = (n / 4096.0).round_ties_even() * 4096.0;
    let low = n - high;
    let steps = [(high, LN2[0]), (low, LN2[0]), (high, LN2[1]), (low, LN2[1]), (n, LN2[2])];
    let t = steps.iter().fold(x, |t, (n, part)| M::mul_add(-n, *part, t));
    let k = (t * LOG2_E).round_ties_even();
    let t = LN2[..2].iter().fold(t, |t, part| M::mul_add(-k, *part, t));
    Pair { v: polynomial::<M>(t), e: n + k }
}

/// To an integer, ties to even, for |x| < 2^22; in two additions, which every processor has.
#[inline(always)]
fn round(x: f32) -> f32 {
    const SHIFT: f32 = 12_582_912.0;
    (x + SHIFT) - SHIFT
}

#[inline(always)]
fn polynomial<M: MulAdd>(t: f32) -> f32 {
    P.iter().rev().fold(0.0, |r, c| M::mul_add(t, r, *c))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const U: f64 = 1.0 / (1u64 << 24) as f64;

    /// 1/k! for k up to 12.
    const INVERSE_FACTORIALS: [f64; 13] = {
        let (mut all, mut k) = ([1.0; 13], 1);
        while k < 13 {
            all[k] = all[k - 1] / k as f64;
            k += 1;
        }
        all
    };

    /// exp(x)·2^−n in f64, reduced with fdlibm's split of ln 2 (32 bits and 53), then a Taylor
    /// series: 0.36^13/13! is below 2^−53.
    #[inline(always)]
    fn truth(x: f32, n: f32) -> f64 {
        let (x, n) = (f64::from(x), f64::from(n));
        let t = (x - n * f64::from_bits(0x3fe6_2e42_fee0_0000))
            - n * f64::from_bits(0x3dea_39ef_3579_3c76);
        INVERSE_FACTORIALS.iter().rev().fold(0.0, |sum, c| sum * t + c)
    }

    #[test]
    fn the_truth_is_the_standard_librarys() {
        for i in -7_000..=7_000 {
            let x = i as f32 * 0.0125;
            let n = (x * LOG2_E).round_ties_even();
            let exact = f64::from(x).exp();
            assert!((truth(x, n) * 2f64.powi(n as i32) / exact - 1.0).abs() < 1e-15, "{x}");
        }
    }

    /// How many floats with bits in from..to, of either sign, are beyond the bound, or 1.25 ulp.
    fn beyond<M: MulAdd>(from: u32, to: u32) -> u32 {
        let mut count = 0;
        for bits in from..to {
            for sign in [0, 1 << 31] {
                let x = f32::from_bits(bits | sign);
                let pair = near::<M>(x);
                let exact = truth(x, pair.e);
                let error = (f64::from(pair.v) - exact).abs();
                let ulp = if exact < 1.0 { U } else { 2.0 * U };
                let bound = (EXP_ERROR * U * exact).min(1.25 * ulp);
                count += u32::from(error > bound);
            }
        }
        count
    }

    fn beyond_anywhere<M: MulAdd>(from: f32, to: f32) -> u32 {
        let (from, to) = (from.to_bits(), to.to_bits());
        const PARTS: u64 = 64;
        let cut = |i: u64| from + (u64::from(to - from) * i / PARTS) as u32;
        let next = AtomicU64::new(0);
        let parts = || std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        let work =
            || parts().take_while(|i| *i < PARTS).map(|i| beyond::<M>(cut(i), cut(i + 1))).sum();
        std::thread::scope(|scope| {
            let threads: [_; 2] = std::array::from_fn(|_| scope.spawn(work));
            threads.into_iter().map(|t| -> u32 { t.join().expect("no panic") }).sum()
        })
    }

    /// Every float whose exponential differs from 1 by more than a roundoff, up to where the long
    /// reduction begins: 688 million arguments, of which some have 1.17 ulp.
    #[test]
    fn every_float_has_its_exponential_within_the_bound() {
        assert_eq!(beyond_anywhere::<Unfused>(2f32.powi(-27), EXP_NEAR), 0);
    }

    /// With fused multiply-adds, the binades where |t| takes all its values.
    #[test]
    fn fusing_keeps_the_bound() {
        assert_eq!(beyond_anywhere::<Fused>(0.125, 4.0), 0);
        assert_eq!(beyond_anywhere::<Fused>(64.0, 96.0), 0);
    }

    /// Below 2^−27 the polynomial is 1 + t rounded, whose value is 1.
    #[test]
    fn tiny_arguments_give_one() {
        for bits in (0..2f32.powi(-27).to_bits()).step_by(97) {
            for x in [f32::from_bits(bits), -f32::from_bits(bits)] {
                assert_eq!(near::<Unfused>(x), Pair { v: 1.0, e: 0.0 }, "{x:e}");
            }
        }
    }

    /// The long reduction, over every 61st float from 2^14 to 2^23.
    #[test]
    fn far_arguments_keep_the_bound() {
        for bits in (EXP_NEAR.to_bits()..EXP_FAR.to_bits()).step_by(61) {
            for x in [f32::from_bits(bits), -f32::from_bits(bits)] {
                for pair in [pair_exp::<Unfused>(x), pair_exp::<Fused>(x)] {
                    let error = (f64::from(pair.v) / truth(x, pair.e) - 1.0).abs();
                    assert!(error <= EXP_ERROR * U, "{x}: {pair:?}, {} u", error / U);
                }
            }
        }
    }

    /// Beyond 2^23 the exponent rises with every float, up to 2^126.
    #[test]
    fn the_farthest_arguments_keep_their_order() {
        let e = |bits: u32| pair_exp::<Unfused>(f32::from_bits(bits)).e;
        let end = 2f32.powi(126).to_bits();
        for bits in (EXP_FAR.to_bits() - 1..end).step_by(4099) {
            assert!(e(bits) < e(bits + 1), "{bits:#x}");
        }
        assert_eq!(e(end), e(f32::MAX.to_bits()));
    }
}
