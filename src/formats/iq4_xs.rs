//! GGUF IQ4_XS: blocks of 256 in eight parts of 32, x = d·(s − 32)·v[q] with IQ4_NL's sixteen values v
//! and s in 0..=63 of the part; 4.25 bits per weight.
//!
//! File: `d: f16, scales_h: u16, scales_l: [u8; 4], qs: [u8; 128]`. Part c's low four bits of s are
//! nibble c of `scales_l`, its high two the bits 2c and 2c + 1 of `scales_h`; its codes are bytes
//! 16c..16c+16 of `qs`, as in IQ4_NL (ggml-common.h, `block_iq4_xs`).
//!
//! GPU layout: plane 0, 4 words per chunk: word g holds elements 8g..8g+8, the first in the lowest
//! nibble. Plane 1, 2 words per block: d | scales_h << 16, then scales_l.
//!
//! Encoding (`fit.rs`): with A the block's largest magnitude, the root mean square error of a block is
//! at most A/9.1 + 2^-20: scales that cover every weight are at most (1 + 1/30.9)·A/113 + 2^-24, and no
//! number within the values is more than 12 from one. Scales are written within ±31. Weights beyond
//! ±65504·31·113 make d infinite.

use super::iq4::{self, Iq4};
use super::super_block::{MAX_BINARY16, SUPER_BLOCK};
use super::{Facts, Format, Plane, bits, fit};
use crate::gpu::{Part, part};

/// 4-bit blocks of 256 with scales of 6 bits and values that are not evenly spaced.
#[derive(Debug)]
pub struct Iq4Xs;

impl Format for Iq4Xs {
    fn facts(&self) -> Facts {
        Facts::gguf("iq4_xs", 23, (SUPER_BLOCK, 136))
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        let d = bits::f16_at(block, 0);
        for (c, out) in out.chunks_exact_mut(32).enumerate() {
            let low = bits::u32_at(block, 4) >> (4 * c) & 15;
            let high = bits::u16_at(block, 2) >> (2 * c) & 3;
            let step = d * (low as f32 + f32::from(high << 4) - 32.0);
            for (j, x) in out.iter_mut().enumerate() {
                *x = step * iq4::value(bits::nibble(&block[8 + 16 * c..], j));
            }
        }
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        block.fill(0);
        if let Some(odd) = fit::unfit(weights, MAX_BINARY16 * 31.0 * 113.0) {
            return bits::put_u16(block, 0, odd);
        }
        let fit = fit::Scales::<8>::fit::<Iq4>(weights, 31.0);
        let (mut low, mut high) = (0, 0);
        for (c, x) in weights.chunks_exact(32).enumerate() {
            let s = (fit.scales[c] + 32) as u8;
            low |= u32::from(s & 15) << (4 * c);
            high |= u16::from(s >> 4) << (2 * c);
            iq4::put_codes(x, fit.step(c), &mut block[8 + 16 * c..24 + 16 * c]);
        }
        bits::put_u16(block, 0, fit.d);
        bits::put_u16(block, 2, high);
        bits::put_u32(block, 4, low);
    }

    fn planes(&self) -> &[Plane] {
        &[Plane { words: 4, chunks: 1 }, Plane { words: 2, chunks: 8 }]
    }

    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]) {
        for (b, block) in row.chunks_exact(136).enumerate() {
            bits::bytes_to_words(&block[..8], &mut planes[1][2 * b..2 * b + 2]);
            let words = planes[0][32 * b..32 * b + 32].chunks_exact_mut(4);
            for (qs, words) in block[8..].chunks_exact(16).zip(words) {
                bits::nibbles_to_words(qs, words);
            }
        }
    }

    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]) {
        for (b, block) in row.chunks_exact_mut(136).enumerate() {
            bits::words_to_bytes(&planes[1][2 * b..2 * b + 2], &mut block[..8]);
            let words = planes[0][32 * b..32 * b + 32].chunks_exact(4);
            for (qs, words) in block[8..].chunks_exact_mut(16).zip(words) {
                bits::words_to_nibbles(words, qs);
            }
        }
    }

    fn shader(&self) -> &'static [Part] {
        &[part!("lib/iq4.wgsl"), part!("formats/iq4_xs.wgsl")]
    }
}
