//! Formats whose encoder is our own: no worse than ggml's, within the bounds that their files state.

use std::collections::BTreeMap;

use mantissa::formats::{FormatRef, by_name, decode_rows, encode_rows, row_bytes};

use crate::golden::load;

/// What a format's file says of the root mean square error of a block: at most this part of its size,
/// plus `floor`, which stands for the smallest step of a binary16. And the largest weight.
struct Bound {
    name: &'static str,
    part: f64,
    /// Whether the size is max − min of the weights and 0; otherwise it is the largest magnitude.
    range: bool,
    floor: f64,
    most: f32,
}

const BOUNDS: [Bound; 7] = {
    const fn bound(name: &'static str, one_in: f64, range: bool, most: f32) -> Bound {
        Bound {
            name,
            part: 1.0 / one_in,
            range,
            floor: 1.0 / (1 << 24) as f64,
            most: 65504.0 * most,
        }
    }
    const COARSE: f64 = 1.0 / (1 << 20) as f64;
    [
        bound("q2_k", 5.6, true, 15.0),
        bound("q3_k", 5.8, false, 31.0 * 3.0),
        bound("q4_k", 28.0, true, 63.0),
        bound("q5_k", 60.0, true, 63.0),
        bound("q6_k", 61.0, false, 127.0 * 31.0),
        Bound { floor: COARSE, ..bound("iq4_nl", 9.4, false, 113.0) },
        Bound { floor: COARSE, ..bound("iq4_xs", 9.1, false, 31.0 * 113.0) },
    ]
};

fn round_trip(format: FormatRef, weights: &[f32]) -> Vec<f32> {
    let k = weights.len();
    let mut bytes = vec![0xa5; row_bytes(format, k).unwrap()];
    encode_rows(format, k, weights, &mut bytes).unwrap();
    let mut decoded = vec![f32::NAN; k];
    decode_rows(format, k, &bytes, &mut decoded).unwrap();
    decoded
}

fn rmse(weights: &[f32], decoded: &[f32]) -> f64 {
    let square = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).powi(2);
    (weights.iter().zip(decoded).map(square).sum::<f64>() / weights.len() as f64).sqrt()
}

/// `k_rmse.json` has what ggml's quantizers leave on these weights.
#[test]
fn errors_on_normal_weights_are_no_larger_than_ggmls() {
    let golden = include_str!("../golden/k_rmse.json");
    let golden: BTreeMap<String, f64> = serde_json::from_str(golden).unwrap();
    let weights: Vec<f32> = load("k_normal");
    assert!(
        golden.keys().eq(BOUNDS.iter().map(|b| b.name).collect::<std::collections::BTreeSet<_>>())
    );
    for (name, ggml) in &golden {
        let ours = rmse(&weights, &round_trip(by_name(name).unwrap(), &weights));
        assert!(ours <= *ggml, "{name}: {ours}, ggml {ggml}");
    }
}

/// Blocks of 256, by what is odd about them; about 1 in size.
fn odd_blocks() -> Vec<(&'static str, Vec<f32>)> {
    let normal: Vec<f32> = load("k_normal");
    let of = |f: &dyn Fn(usize, f32) -> f32| -> Vec<f32> {
        normal[..256].iter().enumerate().map(|(i, x)| f(i, *x)).collect()
    };
    vec![
        ("normal", of(&|_, x| x)),
        ("one outlier", of(&|i, x| if i == 77 { -1.0 } else { x * 1e-3 })),
        ("an outlier in each part", of(&|i, x| if i % 16 == 3 { 1.0 } else { x * 1e-2 })),
        ("outliers of either sign", of(&|i, x| [1.0, -1.0, 0.01 * x][(i % 16).min(2)])),
        ("parts of many sizes", of(&|i, x| x * 0.3f32.powi(i as i32 / 16))),
        ("far from zero", of(&|_, x| 1.0 + x * 1e-3)),
        ("far below zero", of(&|_, x| -1.0 + x * 1e-3)),
        ("parts above and below", of(&|i, x| x.abs() * if i / 16 % 2 == 0 { 1.0 } else { -1.0 })),
        ("one part below", of(&|i, x| if i < 16 { -x.abs() } else { x.abs() * 1e-3 })),
        ("constant", of(&|_, _| 1.0)),
        ("two values", of(&|i, _| if i % 3 == 0 { 1.0 } else { -1.0 })),
        ("ternary", of(&|i, _| (i % 3) as f32 - 1.0)),
        ("even", of(&|i, _| i as f32 / 128.0 - 1.0)),
        ("halves", of(&|i, _| ((i % 31) as f32 - 15.0) / 30.0)),
        ("one weight", of(&|i, _| if i == 255 { 1.0 } else { 0.0 })),
    ]
}

/// From far below the smallest binary16 to the format's end.
#[test]
fn errors_stay_within_the_stated_bounds() {
    for Bound { name, part, range, floor, most } in BOUNDS {
        let format = by_name(name).unwrap();
        let sizes = [1e-44, 1e-30, 1e-9, 3e-8, 1e-7, 2.5e-7, 1e-6, 1e-5, 1e-3, 0.02, 1.0, 333.0];
        for (what, block) in odd_blocks() {
            let peak = block.iter().fold(0.0f32, |a, x| a.max(x.abs()));
            for size in sizes.into_iter().chain([0.999 * most / peak]) {
                let weights: Vec<f32> = block.iter().map(|x| x * size).collect();
                let decoded = round_trip(format, &weights);
                let blocks = weights.chunks(format.block_len());
                for (x, y) in blocks.zip(decoded.chunks(format.block_len())) {
                    let (low, high) =
                        x.iter().fold((0f32, 0f32), |(a, b), x| (a.min(*x), b.max(*x)));
                    let extent = if range { high - low } else { high.max(-low) };
                    let (error, bound) = (rmse(x, y), part * f64::from(extent) + floor);
                    assert!(error <= bound, "{name}, {what} × {size}: {error} > {bound}");
                }
            }
        }
    }
}

#[test]
fn zeros_stay_zeros() {
    for Bound { name, .. } in BOUNDS {
        for zero in [0.0, -0.0] {
            let decoded = round_trip(by_name(name).unwrap(), &[zero; 256]);
            assert!(decoded.iter().all(|x| *x == 0.0), "{name}: {decoded:?}");
        }
    }
}

/// What a format has no numbers for is not clipped in silence.
#[test]
fn weights_beyond_the_largest_are_not_finite() {
    for Bound { name, most, .. } in BOUNDS {
        for (huge, at) in [(most * 1.001, 0), (-most * 1.001, 31), (1e30, 7), (f32::MAX, 13)] {
            let mut weights = [0.5; 256];
            weights[at] = huge;
            let decoded = round_trip(by_name(name).unwrap(), &weights);
            assert!(!decoded[at].is_finite(), "{name}: {huge} became {}", decoded[at]);
        }
    }
}
