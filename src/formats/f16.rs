//! IEEE 754 binary16: 1 sign, 5 exponent and 10 mantissa bits; 16 bits per weight.
//!
//! File: the 2 bytes of each weight, little end first. Decoding is exact, NaN payloads included;
//! encoding rounds to nearest even and overflows to infinity.
//!
//! GPU layout: one plane, 16 words per chunk, each with two weights, the first in the low half.

use super::bits;
use super::{Facts, Format, Plane};
use crate::gpu::{Part, part};

/// 16-bit floats with 5 bits of exponent.
#[derive(Debug)]
pub struct F16;

impl Format for F16 {
    fn facts(&self) -> Facts {
        Facts::gguf("f16", 1, (1, 2))
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        out[0] = bits::f16_at(block, 0);
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        bits::put_f16(block, 0, weights[0]);
    }

    fn planes(&self) -> &[Plane] {
        &[Plane { words: 16, chunks: 1 }]
    }

    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]) {
        bits::bytes_to_words(row, planes[0]);
    }

    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]) {
        bits::words_to_bytes(planes[0], row);
    }

    fn shader(&self) -> &'static [Part] {
        &[part!("formats/f16.wgsl")]
    }
}
