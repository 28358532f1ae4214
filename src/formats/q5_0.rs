//! GGUF Q5_0: blocks of 32, x = d·(q − 16) with q in 0..=31; 5.5 bits per weight.
//!
//! File: `d: f16, qh: u32, qs: [u8; 16]`, the low four bits of element j in the low nibble of
//! `qs[j]`, those of element j + 16 in the high one, the fifth bit of element j in bit j of `qh`
//! (ggml-common.h, `block_q5_0`).
//!
//! GPU layout: plane 0, 4 words per chunk: word g holds the low bits of elements 8g..8g+8, the
//! first in the lowest nibble. Plane 1, 1 word per chunk: `qh`. Plane 2, 1 word per 2 chunks: d of
//! the even chunk in the low half, of the odd one in the high half.

use super::{Facts, Format, Integers, Plane};
use super::{bits, round};
use crate::gpu::{Part, part};

/// 5-bit blocks of 32 with a scale.
#[derive(Debug)]
pub struct Q5_0;

impl Format for Q5_0 {
    fn facts(&self) -> Facts {
        Facts::gguf("q5_0", 6, (32, 22))
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        let d = bits::f16_at(block, 0);
        let fifth = bits::u32_at(block, 2);
        for (j, x) in out.iter_mut().enumerate() {
            let q = bits::nibble_and_fifth(&block[6..], fifth, j);
            *x = d * (f32::from(q) - 16.0);
        }
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        let (d, codes) = round::symmetric(weights, 16.0);
        bits::put_f16(block, 0, d);
        bits::put_u32(block, 2, bits::fifth_bits(&codes));
        bits::put_nibbles(&codes, &mut block[6..]);
    }

    fn integers(&self, block: &[u8], _: usize) -> Option<Integers> {
        let fifth = bits::u32_at(block, 2);
        let code = |j| bits::nibble_and_fifth(&block[6..], fifth, j);
        Some(Integers::new(bits::f16_at(block, 0), 16, code))
    }

    fn planes(&self) -> &[Plane] {
        &[
            Plane { words: 4, chunks: 1 },
            Plane { words: 1, chunks: 1 },
            Plane { words: 1, chunks: 2 },
        ]
    }

    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]) {
        for (c, block) in row.chunks_exact(22).enumerate() {
            bits::nibbles_to_words(&block[6..], &mut planes[0][4 * c..4 * c + 4]);
            planes[1][c] = bits::u32_at(block, 2);
            bits::put_half(planes[2], c, bits::u16_at(block, 0));
        }
    }

    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]) {
        for (c, block) in row.chunks_exact_mut(22).enumerate() {
            bits::words_to_nibbles(&planes[0][4 * c..4 * c + 4], &mut block[6..]);
            bits::put_u32(block, 2, planes[1][c]);
            bits::put_u16(block, 0, bits::half(planes[2], c));
        }
    }

    fn has_codes(&self) -> bool {
        true
    }

    fn offset(&self, block: &[u8], _chunk: usize) -> f32 {
        -16.0 * bits::f16_at(block, 0)
    }

    fn shader(&self) -> &'static [Part] {
        &[part!("formats/q5_0.wgsl")]
    }
}
