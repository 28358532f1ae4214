//! Every code and every tie of every minifloat, by `:row` members with a scale of 1.

use mantissa::formats::{by_name, decode_row, encode_row};

use crate::golden::load;

/// Codes in a row of the golden weights, and in a table of values.
const WEIGHTS: usize = 416;
const TABLE: usize = 256;

/// Names and widths of the elements, in the order of tests/golden/make_minifloat.py.
fn kinds() -> Vec<(String, usize)> {
    let sizes = (1..8).flat_map(|e| (0..8 - e).map(move |m| (e, m))).filter(|(e, m)| e + m > 1);
    let finite = sizes.clone().map(|(e, m)| (format!("e{e}m{m}:row"), 1 + e + m));
    let ieee = sizes.filter(|(e, m)| *e > 1 && *m > 0);
    let ieee = ieee.map(|(e, m)| (format!("e{e}m{m}:ieee:row"), 1 + e + m));
    finite.chain(ieee).collect()
}

/// Codes as a little-endian stream of bits.
fn stream(codes: &[u8], width: usize) -> Vec<u8> {
    let mut bytes = vec![0; codes.len() * width / 8];
    for bit in 0..codes.len() * width {
        bytes[bit / 8] |= (codes[bit / width] >> (bit % width) & 1) << (bit % 8);
    }
    bytes
}

#[test]
fn every_code_of_every_minifloat_has_its_value() {
    let values: Vec<f32> = load("minifloat.values");
    assert_eq!(values.len(), kinds().len() * TABLE);
    for ((name, width), values) in kinds().into_iter().zip(values.chunks(TABLE)) {
        let codes: Vec<u8> = (0..=u8::MAX).map(|code| code & ((1 << width) - 1) as u8).collect();
        let row = [&1f32.to_le_bytes()[..], &stream(&codes, width)].concat();
        let mut decoded = vec![f32::NAN; TABLE];
        decode_row(by_name(&name).unwrap(), &row, &mut decoded).unwrap();
        for (code, (got, want)) in decoded.iter().zip(&values[..1 << width]).enumerate() {
            let same = got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan();
            assert!(same, "{name}, code {code:#x}: {got}, want {want}");
        }
    }
}

#[test]
fn ties_and_their_neighbours_go_to_the_right_code_of_every_minifloat() {
    let weights: Vec<f32> = load("minifloat.weights");
    let codes: Vec<u8> = load("minifloat.codes");
    let rows = weights.chunks(WEIGHTS).zip(codes.chunks(WEIGHTS));
    assert_eq!(rows.len(), kinds().len());
    for ((name, width), (weights, codes)) in kinds().into_iter().zip(rows) {
        let mut row = vec![0xa5; 4 + WEIGHTS * width / 8];
        encode_row(by_name(&name).unwrap(), weights, &mut row).unwrap();
        assert_eq!(
            row[..4],
            1f32.to_le_bytes(),
            "{name}: the largest weight is the largest element"
        );
        let code = |j: usize| {
            let bits = (width * j..width * j + width).rev();
            bits.fold(0u8, |code, bit| code << 1 | row[4 + bit / 8] >> (bit % 8) & 1)
        };
        for (j, (x, want)) in weights.iter().zip(codes).enumerate() {
            assert_eq!(code(j), *want, "{name}: {x:e}");
        }
    }
}
