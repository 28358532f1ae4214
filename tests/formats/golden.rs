//! `decode` and `encode` against golden data.

use std::path::Path;

use mantissa::formats::{FORMATS, FormatRef, by_name, decode_row, encode_row};
use npyz::Deserialize;

/// A golden array, row after row.
fn load<T: Deserialize>(name: &str) -> Vec<T> {
    let file = format!("tests/golden/formats/{name}.npy");
    let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file)).expect(&file);
    npyz::NpyFile::new(&bytes[..]).expect(&file).into_vec().expect(&file)
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn decoded_values_are_ggufs_to_the_bit() {
    for &format in FORMATS {
        let name = format.name();
        let blocks: Vec<u8> = load(&format!("{name}.blocks"));
        let values: Vec<f32> = load(&format!("{name}.values"));
        assert!(values.len() >= 128, "{name}: too little golden data");
        let mut decoded = vec![f32::NAN; values.len()];
        decode_row(format, &blocks, &mut decoded).unwrap();
        let len = format.block_len();
        for (i, (got, expected)) in decoded.chunks(len).zip(values.chunks(len)).enumerate() {
            assert_eq!(bits(got), bits(expected), "{name}, block {i}: {got:?} != {expected:?}");
        }
    }
}

#[test]
fn encoded_bytes_are_ggufs() {
    let weights: Vec<f32> = load("weights");
    for &format in FORMATS {
        let name = format.name();
        let expected: Vec<u8> = load(&format!("{name}.encoded"));
        let mut encoded = vec![0xa5; expected.len()];
        encode_row(format, &weights, &mut encoded).unwrap();
        let row_bytes = expected.len() / (weights.len() / 32);
        for (i, (got, expected)) in
            encoded.chunks(row_bytes).zip(expected.chunks(row_bytes)).enumerate()
        {
            let row = &weights[32 * i..32 * i + 32];
            assert_eq!(got, expected, "{name}, row {i}: {row:?}");
        }
    }
}

#[test]
fn encoding_survives_nan_and_infinity() {
    for &format in FORMATS {
        for odd in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in [0, 13, 31] {
                let mut weights = vec![1.0; 32];
                weights[at] = odd;
                let decoded = round_trip(format, &weights);
                assert!(!decoded[at].is_finite(), "{}: {odd} became finite", format.name());
            }
            let decoded = round_trip(format, &[odd; 32]);
            assert!(decoded.iter().all(|x| !x.is_finite()), "{}: {decoded:?}", format.name());
        }
    }
}

fn round_trip(format: FormatRef, weights: &[f32]) -> Vec<f32> {
    let mut bytes = vec![0; weights.len() / format.block_len() * format.block_bytes()];
    encode_row(format, weights, &mut bytes).unwrap();
    let mut decoded = vec![0.0; weights.len()];
    decode_row(format, &bytes, &mut decoded).unwrap();
    decoded
}

#[test]
fn every_code_of_the_16_bit_floats_survives_a_round_trip() {
    let codes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
    for name in ["f16", "bf16"] {
        let format = by_name(name).unwrap();
        let mut values = vec![0.0; 1 << 16];
        decode_row(format, &codes, &mut values).unwrap();
        let mut encoded = vec![0; codes.len()];
        encode_row(format, &values, &mut encoded).unwrap();
        for code in 0..=u16::MAX {
            let at = usize::from(code);
            let expected = match name {
                "f16" => half::f16::from_bits(code).to_f32(),
                _ => half::bf16::from_bits(code).to_f32(),
            };
            let value = values[at];
            // `half` makes NaNs quiet, which decoding must not; golden data holds those.
            let same = value.to_bits() == expected.to_bits();
            assert!(same || value.is_nan() && expected.is_nan(), "{name} {code:#x}: {value}");
            let got = u16::from_le_bytes([encoded[2 * at], encoded[2 * at + 1]]);
            // bf16's reference conversion makes NaNs quiet.
            let quiet = if name == "bf16" && value.is_nan() { 0x40 } else { 0 };
            assert_eq!(got, code | quiet, "{name}");
        }
    }
}
