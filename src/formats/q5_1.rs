//! GGUF Q5_1: blocks of 32, x = d·q + m with q in 0..=31; 6 bits per weight.
//!
//! File: `d: f16, m: f16, qh: u32, qs: [u8; 16]`, the low four bits of element j in the low nibble
//! of `qs[j]`, those of element j + 16 in the high one, the fifth bit of element j in bit j of `qh`
//! (ggml-common.h, `block_q5_1`).
//!
//! GPU layout: plane 0, 4 words per chunk: word g holds the low bits of elements 8g..8g+8, the
//! first in the lowest nibble. Plane 1, 1 word per chunk: `qh`. Plane 2, 1 word per chunk: d in the
//! low half, m in the high half.

use super::{Facts, Format, Integers, Plane};
use super::{bits, round};
use crate::gpu::{Part, part};

/// 5-bit blocks of 32 with a scale and a minimum.
#[derive(Debug)]
pub struct Q5_1;

impl Format for Q5_1 {
    fn facts(&self) -> Facts {
        Facts::gguf("q5_1", 7, (32, 24))
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        let (d, m) = (bits::f16_at(block, 0), bits::f16_at(block, 2));
        let fifth = bits::u32_at(block, 4);
        for (j, x) in out.iter_mut().enumerate() {
            let q = bits::nibble_and_fifth(&block[8..], fifth, j);
            *x = d * f32::from(q) + m;
        }
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        let (d, m, codes) = round::affine(weights, 31.0);
        bits::put_f16(block, 0, d);
        bits::put_f16(block, 2, m);
        bits::put_u32(block, 4, bits::fifth_bits(&codes));
        bits::put_nibbles(&codes, &mut block[8..]);
    }

    fn integers(&self, block: &[u8], _: usize) -> Option<Integers> {
        let fifth = bits::u32_at(block, 4);
        let code = |j| bits::nibble_and_fifth(&block[8..], fifth, j);
        let integers = Integers::new(bits::f16_at(block, 0), 0, code);
        Some(integers.and_minimum(bits::f16_at(block, 2)))
    }

    fn planes(&self) -> &[Plane] {
        &[
            Plane { words: 4, chunks: 1 },
            Plane { words: 1, chunks: 1 },
            Plane { words: 1, chunks: 1 },
        ]
    }

    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]) {
        for (c, block) in row.chunks_exact(24).enumerate() {
            bits::nibbles_to_words(&block[8..], &mut planes[0][4 * c..4 * c + 4]);
            planes[1][c] = bits::u32_at(block, 4);
            planes[2][c] = bits::u32_at(block, 0);
        }
    }

    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]) {
        for (c, block) in row.chunks_exact_mut(24).enumerate() {
            bits::words_to_nibbles(&planes[0][4 * c..4 * c + 4], &mut block[8..]);
            bits::put_u32(block, 4, planes[1][c]);
            bits::put_u32(block, 0, planes[2][c]);
        }
    }

    fn has_codes(&self) -> bool {
        true
    }

    fn offset(&self, block: &[u8], _chunk: usize) -> f32 {
        bits::f16_at(block, 2)
    }

    fn shader(&self) -> &'static [Part] {
        &[part!("formats/q5_1.wgsl")]
    }
}
