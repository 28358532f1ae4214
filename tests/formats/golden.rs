//! `decode` and `encode` against golden data.

use std::path::Path;

use mantissa::formats::{
    FAMILIES, FORMATS, FormatRef, all, by_name, decode_rows, encode_rows, row_bytes,
};
use mantissa::ops::quantize::can_encode;
use npyz::Deserialize;

/// A golden array, row after row.
pub fn load<T: Deserialize>(name: &str) -> Vec<T> {
    let file = format!("tests/golden/formats/{name}.npy");
    let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file)).expect(&file);
    npyz::NpyFile::new(&bytes[..]).expect(&file).into_vec().expect(&file)
}

/// The golden arrays' first two dimensions.
fn shape(name: &str) -> (usize, usize) {
    let file = format!("tests/golden/formats/{name}.npy");
    let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file)).expect(&file);
    let array = npyz::NpyFile::new(&bytes[..]).expect(&file);
    (array.shape()[0] as usize, array.shape()[1] as usize)
}

/// A file of golden data is there for each format of the table; a family brings those of its samples.
#[test]
fn decoded_values_are_the_references_to_the_bit() {
    for format in tested() {
        let name = file_name(format);
        let blocks: Vec<u8> = load(&format!("{name}.blocks"));
        let values: Vec<f32> = load(&format!("{name}.values"));
        let (_, k) = shape(&format!("{name}.values"));
        assert!(values.len() >= 128, "{name}: too little golden data");
        let mut decoded = vec![f32::NAN; values.len()];
        decode_rows(format, k, &blocks, &mut decoded).unwrap();
        for (i, (got, expected)) in decoded.chunks(k).zip(values.chunks(k)).enumerate() {
            let same = |(a, b): (&f32, &f32)| {
                a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan() && name != "f32"
            };
            let equal = got.iter().zip(expected).all(same);
            assert!(equal, "{name}, block {i}: {got:?} != {expected:?}");
        }
    }
}

/// Where the reference has an encoder, there is a file `.encoded` beside the weights that went in:
/// `weights` for all, or `.weights` of the format's own.
#[test]
fn encoded_bytes_are_the_references() {
    for format in tested() {
        let name = file_name(format);
        if !has(&format!("{name}.encoded")) {
            // What the device encodes must have a reference; searching encoders have tests.
            assert!(!can_encode(format), "{name}: no golden bytes");
            continue;
        }
        let own = format!("{name}.weights");
        let source = if has(&own) { own } else { "weights".into() };
        let (weights, (rows, k)) = (load::<f32>(&source), shape(&source));
        let expected: Vec<u8> = load(&format!("{name}.encoded"));
        assert_eq!(Some(expected.len() / rows), row_bytes(format, k), "{name}");
        let mut encoded = vec![0xa5; expected.len()];
        encode_rows(format, k, &weights, &mut encoded).unwrap();
        let size = expected.len() / rows;
        for (i, (got, expected)) in encoded.chunks(size).zip(expected.chunks(size)).enumerate() {
            assert_eq!(got, expected, "{name}, row {i}: {:?}", &weights[k * i..k * i + k]);
        }
    }
}

/// Every format of the table, and the samples of the families.
fn tested() -> Vec<FormatRef> {
    let samples = FAMILIES.iter().flat_map(|f| f.samples).map(|name| by_name(name).unwrap());
    FORMATS.iter().copied().chain(samples).collect()
}

/// A format's name as a file name.
fn file_name(format: FormatRef) -> String {
    format.name().replace(':', "-")
}

fn has(name: &str) -> bool {
    let file = format!("tests/golden/formats/{name}.npy");
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file).exists()
}

/// Formats whose definition has no code for NaN or infinity.
const NO_NAN: &[&str] = &["mxfp4", "nvfp4"];

/// A block with a NaN or an infinity must not pass for one of numbers.
#[test]
fn encoding_survives_nan_and_infinity() {
    for format in all() {
        let k = 32usize.next_multiple_of(format.block_len());
        for odd in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in [0, 13, k - 1] {
                let mut weights = vec![1.0; k];
                weights[at] = odd;
                let decoded = round_trip(format, &weights);
                let spoilt =
                    decoded.iter().any(|x| !x.is_finite()) || NO_NAN.contains(&format.name());
                assert!(spoilt, "{}: {odd} became finite", format.name());
            }
            let decoded = round_trip(format, &vec![odd; k]);
            let spoilt = decoded.iter().any(|x| !x.is_finite()) || NO_NAN.contains(&format.name());
            assert!(spoilt, "{}: {decoded:?}", format.name());
        }
    }
}

fn round_trip(format: FormatRef, weights: &[f32]) -> Vec<f32> {
    let k = weights.len();
    let mut bytes = vec![0; row_bytes(format, k).unwrap()];
    encode_rows(format, k, weights, &mut bytes).unwrap();
    let mut decoded = vec![0.0; k];
    decode_rows(format, k, &bytes, &mut decoded).unwrap();
    decoded
}

#[test]
fn every_code_of_the_16_bit_floats_survives_a_round_trip() {
    let codes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
    for name in ["f16", "bf16"] {
        let format = by_name(name).unwrap();
        let mut values = vec![0.0; 1 << 16];
        decode_rows(format, 256, &codes, &mut values).unwrap();
        let mut encoded = vec![0; codes.len()];
        encode_rows(format, 256, &values, &mut encoded).unwrap();
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
