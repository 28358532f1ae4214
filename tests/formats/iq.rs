//! The encoders of the IQ formats, which are searches: no bytes are the right ones, but the error
//! must not be larger than llama.cpp's own quantizer leaves (`tests/golden/make_iq.py`).

use std::ops::Range;

use mantissa::formats::{FormatRef, by_name, decode_rows, encode_rows, row_bytes};

use crate::golden::load;

const NAMES: &[&str] = &["iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s"];
const K: usize = 256;

fn formats() -> impl Iterator<Item = FormatRef> {
    NAMES.iter().map(|name| by_name(name).unwrap())
}

fn decode(format: FormatRef, blocks: &[u8], n: usize) -> Vec<f32> {
    let mut values = vec![f32::NAN; n];
    decode_rows(format, K, blocks, &mut values).unwrap();
    values
}

fn round_trip(format: FormatRef, weights: &[f32]) -> Vec<f32> {
    let mut blocks = vec![0xa5; weights.len() / K * row_bytes(format, K).unwrap()];
    encode_rows(format, K, weights, &mut blocks).unwrap();
    decode(format, &blocks, weights.len())
}

/// |values − weights| / |weights| of a row.
fn relative_error(weights: &[f32], values: &[f32]) -> f64 {
    let squares = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>();
    let error =
        squares(&mut weights.iter().zip(values).map(|(w, v)| f64::from(*v) - f64::from(*w)));
    (error / squares(&mut weights.iter().map(|w| f64::from(*w)))).sqrt()
}

/// The golden weights are 24 blocks: 8 normal, then 4 each of four other distributions.
#[test]
fn errors_are_smaller_than_llama_cpps() {
    let weights: Vec<f32> = load("iq.weights");
    for format in formats() {
        let theirs = load::<u8>(&format!("{}.llama", format.name()));
        let theirs = decode(format, &theirs, weights.len());
        let ours = round_trip(format, &weights);
        let mean = |values: &[f32], blocks: Range<usize>| {
            let range = blocks.start * K..blocks.end * K;
            let rows = weights[range.clone()].chunks(K).zip(values[range].chunks(K));
            rows.map(|(w, v)| relative_error(w, v)).sum::<f64>() / blocks.len() as f64
        };
        for blocks in [0..8, 8..12, 12..16, 16..20, 20..24] {
            let (ours, theirs) = (mean(&ours, blocks.clone()), mean(&theirs, blocks.clone()));
            assert!(ours < theirs, "{} {blocks:?}: {ours} > {theirs}", format.name());
        }
    }
}

/// Zeros are not worse than any other answer, and each format has them: no block may be further
/// from its weights. Sums of 256 squares in f32 decide, good to 256·2^−24 or so.
#[test]
fn no_block_is_worse_than_zeros() {
    let golden: Vec<f32> = load("iq.weights");
    let spike = |i: usize| if i == 77 { 1.0 } else { 1e-3 * (i % 7) as f32 };
    let spiked: Vec<f32> = (0..K).map(spike).collect();
    for format in formats() {
        let zeros = round_trip(format, &[0.0; K]);
        assert!(zeros.iter().all(|x| *x == 0.0), "{}", format.name());
        for scale in [1e-45, 1e-38, 1e-20, 1e-8, 3e-7, 1e-5, 1.0, 1e3, 1e4] {
            for weights in [&golden[..K], &golden[23 * K..], &spiked, &[-1.0; K]] {
                let weights: Vec<f32> = weights.iter().map(|x| x * scale).collect();
                let values = round_trip(format, &weights);
                let error = relative_error(&weights, &values);
                let none = weights.iter().all(|x| *x == 0.0);
                assert!(none || error < 1.0001, "{} at {scale}: {error}", format.name());
            }
        }
    }
}

/// The largest binary16 times the largest scale and level lies below 65504 · 15.5 · 62.
#[test]
fn weights_beyond_the_format_become_infinite_and_not_small() {
    for format in formats() {
        for huge in [1e9, 3e38, f32::MAX, -f32::MAX] {
            let mut weights = [0.5; K];
            weights[9] = huge;
            let values = round_trip(format, &weights);
            assert!(values.iter().all(|x| x.is_infinite()), "{}: {values:?}", format.name());
        }
    }
}
