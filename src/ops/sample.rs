//! Draws a token from candidates by top-p, min-p and temperature, on the device, in whole numbers: the
//! same token on every device and here.

use super::argmax::NOT_FINITE;
use super::{STEP, top_k};
use crate::error::Result;
use crate::gpu::{Access, Bind, Binding, Buffer, Grid, Op, PlanBuilder, Variant, params, part};

params! {
    /// Where in y the token goes.
    to: u32,
}

/// The operation.
pub static OP: Op = Op {
    name: "sample",
    parts: &[part!("ops/sample.wgsl"), STEP],
    formats: &[],
    reduces: false,
    bindings: &[
        Binding { name: "step", access: Access::Uniform },
        Binding { name: "choice", access: Access::Uniform },
        Binding { name: "candidates", access: Access::Read },
        Binding { name: "y", access: Access::Write },
    ],
    params: Params::INFO,
};

const LANES: u32 = 64;

/// One, for at most [`top_k::MAX_K`] candidates.
pub const WORKGROUPS: Grid = [1, 1, 1];

/// All candidates are kept by top-p.
const ALL: u32 = u32::MAX;

/// Weights are 0 from 24 halvings on.
const LIMIT: f64 = 24.0;

/// Scale and limit at temperature 1, as in the WGSL.
const PLAIN: (f32, f32) = (193_635_248.0, 8.317_766);

/// How a token is drawn; the uniform `choice`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Choice {
    /// The key of the random numbers.
    pub seed: [u32; 2],
    /// How many candidates may be drawn.
    pub count: u32,
    /// The share of the probability that is kept, in multiples of 2^−32.
    pub share: u32,
    /// From half a distance of logits to 2^−26ths of a halving of the weight.
    pub scale: f32,
    /// The half distance from which on the weight is 0.
    pub limit: f32,
    /// The half distance up to which min-p keeps a candidate.
    pub within: f32,
}

impl Choice {
    /// Keeps the best `count` (from 1 to [`top_k::MAX_K`]), of these the best whose probabilities
    /// reach `top_p`, of these the ones at least `min_p` as likely as the best; draws at a temperature
    /// above 0. Values out of range are
    /// taken as the nearest in it.
    pub fn new(seed: u64, count: usize, top_p: f32, min_p: f32, temperature: f32) -> Self {
        let unit = (2.0 * std::f64::consts::LOG2_E) * 2f64.powi(26);
        // Below it, any difference of logits of usual size decides anyway.
        let scale = (unit / f64::from(temperature).max(1e-20)) as f32;
        let share = if top_p < 1.0 { (f64::from(top_p) * 2f64.powi(32)) as u32 } else { ALL };
        let within = if min_p > 0.0 { (-f64::from(min_p).ln() / 2.0) as f32 } else { f32::MAX };
        Self {
            seed: [seed as u32, (seed >> 32) as u32],
            count: count.clamp(1, top_k::MAX_K) as u32,
            share: share.min(if top_p < 1.0 { ALL - 1 } else { ALL }),
            scale,
            limit: (LIMIT * 2f64.powi(26) / f64::from(scale)).min(f64::from(f32::MAX)) as f32,
            within: within.max(0.0),
        }
    }

    /// Words of the uniform.
    pub const WORDS: usize = size_of::<Self>() / 4;
}

/// Records `y[to]` = a token from `candidates`, a list of [`top_k`] of `width`; [`NOT_FINITE`] where the
/// best is not finite. `step` says which token of the context it is.
///
/// # Errors
/// What the plan says.
pub fn record(
    plan: &mut PlanBuilder,
    (step, choice): (&Buffer, &Buffer),
    (candidates, width): (&Buffer, usize),
    y: &Buffer,
    to: usize,
) -> Result<()> {
    let variant = Variant::of(&[("LANES", LANES.into()), ("WIDTH", width as f64)]);
    let buffers: [&dyn Bind; 4] = [step, choice, candidates, y];
    plan.dispatch(&OP, variant, &Params { to: to as u32 }, &buffers, WORKGROUPS)
}

/// The same in plain Rust, bit for bit: a token from candidates (bits and places, best first) as number
/// `position` of the context. Logits whose halves are subnormals apart may count as equal on a device.
pub fn reference(choice: &Choice, (bits, places): (&[u32], &[u32]), position: u32) -> u32 {
    let logits = bits.iter().map(|&b| f32::from_bits(b)).take(choice.count as usize);
    let logits: Vec<f32> = logits.collect();
    let Some(&best) = logits.first().filter(|best| best.is_finite()) else { return NOT_FINITE };
    let halves = logits.iter().map(|logit| 0.5 * best - 0.5 * logit);
    let weights: Vec<(u32, u32)> = halves
        .map(|half| {
            let kept = half <= choice.within;
            let drawn = if kept { weight(half, choice.scale, choice.limit) } else { 0 };
            (weight(half, PLAIN.0, PLAIN.1), drawn)
        })
        .collect();
    let share = high_product(weights.iter().map(|w| w.0).sum(), choice.share);
    let mut sum = 0;
    let reached = weights.iter().position(|w| {
        sum += w.0;
        choice.share != ALL && sum >= share
    });
    let kept = &weights[..reached.map_or(weights.len(), |i| i + 1)];
    let total = kept.iter().map(|w| w.1).sum();
    let at = high_product(threefry(choice.seed, [position, 0])[0], total);
    let mut sum = 0;
    let chosen = kept.iter().position(|w| {
        sum += w.1;
        sum > at
    });
    places[chosen.unwrap_or(0)]
}

fn high_product(a: u32, b: u32) -> u32 {
    ((u64::from(a) * u64::from(b)) >> 32) as u32
}

/// 2^−x in multiples of 2^−23, x a half distance times a scale in multiples of 2^−26.
fn weight(half: f32, scale: f32, limit: f32) -> u32 {
    // −inf, whose half distance is infinite, too.
    if half >= limit {
        return 0;
    }
    let x = (half * scale) as u32;
    // ln(2)^k / k! in multiples of 2^−31, from k = 8 down.
    const TERMS: [u32; 8] =
        [2838, 32_755, 330_788, 2_863_360, 20_654_775, 119_194_166, 515_882_496, 1_488_522_236];
    let sum = TERMS.iter().fold(0, |sum, term| term - high_product(x << 6, sum));
    ((1 << 31) - high_product(x << 6, sum)) >> (8 + (x >> 26).min(23))
}

/// Threefry-2x32-20 (Salmon et al., Parallel random numbers: as easy as 1, 2, 3; SC 2011).
pub fn threefry(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
    let keys = [key[0], key[1], key[0] ^ key[1] ^ 0x1bd1_1bda];
    let [mut a, mut b] = [counter[0].wrapping_add(key[0]), counter[1].wrapping_add(key[1])];
    for group in 1..=5 {
        for by in ROTATIONS[(group + 1) % 2] {
            a = a.wrapping_add(b);
            b = b.rotate_left(by) ^ a;
        }
        a = a.wrapping_add(keys[group % 3]);
        b = b.wrapping_add(keys[(group + 1) % 3]).wrapping_add(group as u32);
    }
    [a, b]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers that come with the authors' Random123 (kat_vectors).
    #[test]
    fn random_numbers_are_threefry() {
        let known = [
            ([0; 2], [0; 2], [0x6b20_0159, 0x99ba_4efe]),
            ([u32::MAX; 2], [u32::MAX; 2], [0x1cb9_96fc, 0xbb00_2be7]),
            ([0x13198a2e, 0x0370_7344], [0x243f_6a88, 0x85a3_08d3], [0xc492_3a9c, 0x483d_f7a0]),
        ];
        for (key, counter, words) in known {
            assert_eq!(threefry(key, counter), words);
        }
    }

    /// The series' remainder is below 2^−23, truncations add 8 of 2^−31 and the last one of 2^−23; the
    /// argument has one rounding (2^−24 of at most 24 halvings) and one truncation.
    #[test]
    fn weights_are_powers() {
        for i in 0..2400 {
            let x = f64::from(i) / 100.0;
            let half = (x * 2f64.powi(26) / f64::from(PLAIN.0)) as f32;
            let (got, exact) = (weight(half, PLAIN.0, PLAIN.1), (23.0 - x).exp2());
            let bound = 2.0 + exact * 24.0 * 2f64.powi(-23);
            assert!((f64::from(got) - exact).abs() <= bound, "2^-{x}: {got}, not {exact}");
        }
        assert_eq!((weight(0.0, PLAIN.0, PLAIN.1), weight(f32::INFINITY, 1.0, 1.0)), (1 << 23, 0));
    }
}
