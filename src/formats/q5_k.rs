//! GGUF Q5_K: blocks of 256 in eight parts of 32, x = d·s·q − dmin·m with q in 0..=31 and s, m in
//! 0..=63 of the part; 5.5 bits per weight.
//!
//! File: `d: f16, dmin: f16, scales: [u8; 12], qh: [u8; 32], qs: [u8; 128]`: as Q4_K, and the fifth
//! bit of element j of part c in bit c of `qh[j]` (ggml-common.h, `block_q5_K`).
//!
//! GPU layout: plane 0, 4 words per chunk: word g holds the low bits of elements 8g..8g+8, the
//! first in the lowest nibble. Plane 1, 1 word per chunk: bit j is the fifth of element j. Plane 2,
//! 4 words per block: Q4_K's plane 1.
//!
//! Encoding (`fit.rs`): with R = max − min of the block's weights and 0, the root mean square error
//! of a block is at most R/60 + 2^-24. The covering step is at most (1 + 1/62.9)·R/31 + 2^-24, half
//! of which is less than R/61 + 2^-25; a minimum that is rounded up shifts the part's codes by at most
//! R/62.9 + 2^-24. Weights beyond ±65504·63 make the scales infinite.

use super::super_block::{self, Field, SUPER_BLOCK};
use super::{Facts, Format, Plane, bits};
use crate::gpu::{Part, part};

/// 5-bit blocks of 256 with scales and minima of 6 bits.
#[derive(Debug)]
pub struct Q5K;

impl Format for Q5K {
    fn facts(&self) -> Facts {
        Facts::gguf("q5_k", 13, (SUPER_BLOCK, 176))
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        let (d, dmin) = (bits::f16_at(block, 0), bits::f16_at(block, 2));
        let (qh, qs) = block[16..].split_at(32);
        for (c, out) in out.chunks_exact_mut(32).enumerate() {
            let (s, m) = super_block::scale_and_min(&block[4..16], c);
            let (s, m) = (d * f32::from(s), dmin * f32::from(m));
            for (j, x) in out.iter_mut().enumerate() {
                let q = Field::nibble(c).get(qs, j) | Field::bit(c).get(qh, j) << 4;
                *x = s * f32::from(q) - m;
            }
        }
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        super_block::encode_affine(weights, 31.0, block, |block, c, j, code| {
            Field::bit(c).put(&mut block[16..], j, code >> 4);
            Field::nibble(c).put(&mut block[48..], j, code);
        });
    }

    fn planes(&self) -> &[Plane] {
        &[
            Plane { words: 4, chunks: 1 },
            Plane { words: 1, chunks: 1 },
            Plane { words: 4, chunks: 8 },
        ]
    }

    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]) {
        for (b, block) in row.chunks_exact(176).enumerate() {
            for c in 0..8 {
                let at = 8 * b + c;
                Field::nibble(c).to_words(&block[48..], &mut planes[0][4 * at..4 * at + 4]);
                Field::bit(c).to_words(&block[16..], &mut planes[1][at..=at]);
            }
            let scales = &mut planes[2][4 * b..4 * b + 4];
            scales[0] = bits::u32_at(block, 0);
            super_block::scales_to_words(&block[4..16], &mut scales[1..]);
        }
    }

    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]) {
        row.fill(0);
        for (b, block) in row.chunks_exact_mut(176).enumerate() {
            for c in 0..8 {
                let at = 8 * b + c;
                Field::nibble(c).put_words(&planes[0][4 * at..4 * at + 4], &mut block[48..]);
                Field::bit(c).put_words(&planes[1][at..=at], &mut block[16..]);
            }
            let scales = &planes[2][4 * b..4 * b + 4];
            bits::put_u32(block, 0, scales[0]);
            super_block::words_to_scales(&scales[1..], &mut block[4..16]);
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
        &[part!("lib/scale_and_min.wgsl"), part!("formats/q5_k.wgsl")]
    }
}
