//! GGUF Q4_K: blocks of 256 in eight parts of 32, x = d·s·q − dmin·m with q in 0..=15 and s, m in
//! 0..=63 of the part; 4.5 bits per weight.
//!
//! File: `d: f16, dmin: f16, scales: [u8; 12], qs: [u8; 128]`, the codes of parts 2i and 2i + 1 in
//! the low and the high nibbles of bytes 32i..32i+32 of `qs`; `scales` as in
//! [`scale_and_min`](super::super_block::scale_and_min) (ggml-common.h, `block_q4_K`).
//!
//! GPU layout: plane 0, 4 words per chunk: word g holds elements 8g..8g+8, the first in the lowest
//! nibble. Plane 1, 4 words per block:
//!
//! ```text
//! word 0: d | dmin << 16         word 2: low 4 bits of m of chunk c at 4c
//! word 1: low 4 bits of s at 4c  word 3: s >> 4 at 4c, m >> 4 at 4c + 2
//! ```
//!
//! Encoding (`fit.rs`): with R = max − min of the block's weights and 0, the root mean square error
//! of a block is at most R/28 + 2^-24. The covering step is at most (1 + 1/62.9)·R/15 + 2^-24, half
//! of which is less than R/29 + 2^-25; a minimum that is rounded up shifts the part's codes by at most
//! R/62.9 + 2^-24. Weights beyond ±65504·63 make the scales infinite.

use super::super_block::{self, Field, SUPER_BLOCK};
use super::{Facts, Format, Integers, Plane, bits};
use crate::gpu::{Part, part};

/// 4-bit blocks of 256 with scales and minima of 6 bits.
#[derive(Debug)]
pub struct Q4K;

impl Format for Q4K {
    fn facts(&self) -> Facts {
        Facts::gguf("q4_k", 12, (SUPER_BLOCK, 144))
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        let (d, dmin) = (bits::f16_at(block, 0), bits::f16_at(block, 2));
        for (c, out) in out.chunks_exact_mut(32).enumerate() {
            let (s, m) = super_block::scale_and_min(&block[4..16], c);
            let (s, m) = (d * f32::from(s), dmin * f32::from(m));
            for (j, x) in out.iter_mut().enumerate() {
                *x = s * f32::from(Field::nibble(c).get(&block[16..], j)) - m;
            }
        }
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        super_block::encode_affine(weights, 15.0, block, |block, c, j, code| {
            Field::nibble(c).put(&mut block[16..], j, code);
        });
    }

    fn integers(&self, block: &[u8], chunk: usize) -> Option<Integers> {
        let (d, dmin) = (bits::f16_at(block, 0), bits::f16_at(block, 2));
        let (s, m) = super_block::scale_and_min(&block[4..16], chunk);
        let code = |j| Field::nibble(chunk).get(&block[16..], j);
        let integers = Integers::new(d * f32::from(s), 0, code);
        Some(integers.and_minimum(-(dmin * f32::from(m))))
    }

    fn planes(&self) -> &[Plane] {
        &[Plane { words: 4, chunks: 1 }, Plane { words: 4, chunks: 8 }]
    }

    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]) {
        for (b, block) in row.chunks_exact(144).enumerate() {
            for (c, words) in planes[0][32 * b..32 * b + 32].chunks_exact_mut(4).enumerate() {
                Field::nibble(c).to_words(&block[16..], words);
            }
            let shared = &mut planes[1][4 * b..4 * b + 4];
            shared[0] = bits::u32_at(block, 0);
            super_block::scales_to_words(&block[4..16], &mut shared[1..]);
        }
    }

    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]) {
        row.fill(0);
        for (b, block) in row.chunks_exact_mut(144).enumerate() {
            for (c, words) in planes[0][32 * b..32 * b + 32].chunks_exact(4).enumerate() {
                Field::nibble(c).put_words(words, &mut block[16..]);
            }
            let shared = &planes[1][4 * b..4 * b + 4];
            bits::put_u32(block, 0, shared[0]);
            super_block::words_to_scales(&shared[1..], &mut block[4..16]);
        }
    }

    fn has_codes(&self) -> bool {
        true
    }

    fn offset(&self, block: &[u8], chunk: usize) -> f32 {
        let (_, m) = super_block::scale_and_min(&block[4..16], chunk);
        -bits::f16_at(block, 2) * f32::from(m)
    }

    fn shader(&self) -> &'static [Part] {
        &[part!("lib/scale_and_min.wgsl"), part!("formats/q4_k.wgsl")]
    }
}
