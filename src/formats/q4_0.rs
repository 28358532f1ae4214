//! GGUF Q4_0: blocks of 32, x = d·(q − 8) with q in 0..=15; 4.5 bits per weight.
//!
//! File: `d: f16, qs: [u8; 16]`, element j in the low nibble of `qs[j]`, element j + 16 in the
//! high one (ggml-common.h, `block_q4_0`).
//!
//! GPU layout: plane 0, 4 words per chunk: word g holds elements 8g..8g+8, the first in the lowest
//! nibble. Plane 1, 1 word per 2 chunks: d of the even chunk in the low half, of the odd one in the
//! high half.

use super::{Facts, Format, Integers, Plane};
use super::{bits, round};
use crate::gpu::{Part, part};

/// 4-bit blocks of 32 with a scale.
#[derive(Debug)]
pub struct Q4_0;

impl Format for Q4_0 {
    fn facts(&self) -> Facts {
        Facts::gguf("q4_0", 2, (32, 18))
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        let d = bits::f16_at(block, 0);
        for (j, x) in out.iter_mut().enumerate() {
            *x = d * (f32::from(bits::nibble(&block[2..], j)) - 8.0);
        }
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        let (d, codes) = round::symmetric(weights, 8.0);
        bits::put_f16(block, 0, d);
        bits::put_nibbles(&codes, &mut block[2..]);
    }

    fn integers(&self, block: &[u8], _: usize) -> Option<Integers> {
        let code = |j| bits::nibble(&block[2..], j);
        Some(Integers::new(bits::f16_at(block, 0), 8, code))
    }

    fn planes(&self) -> &[Plane] {
        &[Plane { words: 4, chunks: 1 }, Plane { words: 1, chunks: 2 }]
    }

    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]) {
        bits::half_and_nibbles_to_planes(row, planes);
    }

    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]) {
        bits::planes_to_half_and_nibbles(planes, row);
    }

    fn has_codes(&self) -> bool {
        true
    }

    fn offset(&self, block: &[u8], _chunk: usize) -> f32 {
        -8.0 * bits::f16_at(block, 0)
    }

    fn shader(&self) -> &'static [Part] {
        &[part!("formats/q4_0.wgsl")]
    }
}
