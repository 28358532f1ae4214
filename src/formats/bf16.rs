//! bfloat16: the upper half of a binary32; 16 bits per weight.
//!
//! File: the 2 bytes of each weight, little end first. Decoding is exact; encoding rounds to
//! nearest even, overflows to infinity and makes NaNs quiet (`ggml_compute_fp32_to_bf16`).
//!
//! GPU layout: one plane, 16 words per chunk, each with two weights, the first in the low half.

use super::bits;
use super::{Facts, Format, Plane};
use crate::gpu::{Part, part};

/// 16-bit floats with 8 bits of exponent.
#[derive(Debug)]
pub struct BF16;

impl Format for BF16 {
    fn facts(&self) -> Facts {
        Facts::gguf("bf16", 30, (1, 2))
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        out[0] = f32::from_bits(u32::from(bits::u16_at(block, 0)) << 16);
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        bits::put_u16(block, 0, round(weights[0]));
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
        &[part!("formats/bf16.wgsl")]
    }
}

/// The nearest bfloat16, ties to even; a NaN keeps its upper bits and becomes quiet.
fn round(x: f32) -> u16 {
    let bits = x.to_bits();
    if x.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    // An infinity has no bits to round away, so the sum cannot overflow.
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}
