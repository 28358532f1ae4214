//! GGUF Q4_1: blocks of 32, x = d·q + m with q in 0..=15; 5 bits per weight.
//!
//! File: `d: f16, m: f16, qs: [u8; 16]`, element j in the low nibble of `qs[j]`, element j + 16 in
//! the high one (ggml-common.h, `block_q4_1`).
//!
//! GPU layout: plane 0, 4 words per chunk: word g holds elements 8g..8g+8, the first in the lowest
//! nibble. Plane 1, 1 word per chunk: d in the low half, m in the high half.

use super::{Facts, Format, Integers, Plane};
use super::{bits, round};
use crate::gpu::{Part, part};

/// 4-bit blocks of 32 with a scale and a minimum.
#[derive(Debug)]
pub struct Q4_1;

impl Format for Q4_1 {
    fn facts(&self) -> Facts {
        Facts::gguf("q4_1", 3, (32, 20))
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        let (d, m) = (bits::f16_at(block, 0), bits::f16_at(block, 2));
        for (j, x) in out.iter_mut().enumerate() {
            *x = d * f32::from(bits::nibble(&block[4..], j)) + m;
        }
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        let (d, m, codes) = round::affine(weights, 15.0);
        bits::put_f16(block, 0, d);
        bits::put_f16(block, 2, m);
        bits::put_nibbles(&codes, &mut block[4..]);
    }

    fn integers(&self, block: &[u8], _: usize) -> Option<Integers> {
        let integers = Integers::new(bits::f16_at(block, 0), 0, |j| bits::nibble(&block[4..], j));
        Some(integers.and_minimum(bits::f16_at(block, 2)))
    }

    fn planes(&self) -> &[Plane] {
        &[Plane { words: 4, chunks: 1 }, Plane { words: 1, chunks: 1 }]
    }

    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]) {
        for (c, block) in row.chunks_exact(20).enumerate() {
            bits::nibbles_to_words(&block[4..], &mut planes[0][4 * c..4 * c + 4]);
            planes[1][c] = bits::u32_at(block, 0);
        }
    }

    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]) {
        for (c, block) in row.chunks_exact_mut(20).enumerate() {
            bits::words_to_nibbles(&planes[0][4 * c..4 * c + 4], &mut block[4..]);
            bits::put_u32(block, 0, planes[1][c]);
        }
    }

    fn has_codes(&self) -> bool {
        true
    }

    fn offset(&self, block: &[u8], _chunk: usize) -> f32 {
        bits::f16_at(block, 2)
    }

    fn shader(&self) -> &'static [Part] {
        &[part!("formats/q4_1.wgsl")]
    }
}
