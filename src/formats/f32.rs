//! IEEE 754 binary32, as it is: 32 bits per weight.
//!
//! File: the 4 bytes of each weight, little end first. All bits pass, those of NaNs too.
//!
//! GPU layout: one plane, a word per weight.

use super::bits;
use super::{Facts, Format, Plane};
use crate::gpu::{Part, part};

/// 32-bit floats.
#[derive(Debug)]
pub struct F32;

impl Format for F32 {
    fn facts(&self) -> Facts {
        Facts::gguf("f32", 0, (1, 4))
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        out[0] = f32::from_bits(bits::u32_at(block, 0));
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        bits::put_u32(block, 0, weights[0].to_bits());
    }

    fn planes(&self) -> &[Plane] {
        &[Plane { words: 32, chunks: 1 }]
    }

    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]) {
        bits::bytes_to_words(row, planes[0]);
    }

    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]) {
        bits::words_to_bytes(planes[0], row);
    }

    fn shader(&self) -> &'static [Part] {
        &[part!("formats/f32.wgsl")]
    }
}
