//! GGUF Q2_K: blocks of 256 in sixteen parts of 16, x = d·s·q − dmin·m with q in 0..=3 and s, m in
//! 0..=15 of the part; 2.625 bits per weight.
//!
//! File: `scales: [u8; 16], qs: [u8; 64], d: f16, dmin: f16`, s in the low and m in the high nibble
//! of a part's byte of `scales`; chunk c's codes are the bits 2·(c mod 4).. of bytes 32·(c / 4).. of
//! `qs` (ggml-common.h, `block_q2_K`).
//!
//! GPU layout: plane 0, 2 words per chunk: word h holds elements 16h..16h+16, the first lowest.
//! Plane 1, 1 word per 2 chunks: the bytes of `scales` of their four parts. Plane 2, 1 word per
//! block: d | dmin << 16.
//!
//! Encoding (`fit.rs`): with R = max − min of the block's weights and 0, the root mean square error
//! of a block is at most R/5.6 + 2^-24: half the covering step, (1 + 1/14.9)·R/3 + 2^-24; a minimum
//! that is rounded up shifts the part's codes by less, R/14.9 + 2^-24. Weights beyond ±65504·15 make
//! the scales infinite.

use super::super_block::{Field, MAX_BINARY16, SUPER_BLOCK};
use super::{Facts, Format, Plane, bits, fit};
use crate::gpu::{Part, part};

/// 2-bit blocks of 256 with scales and minima of 4 bits.
#[derive(Debug)]
pub struct Q2K;

/// Where the fields of a block begin.
const QS: usize = 16;
const D: usize = 80;

impl Format for Q2K {
    fn facts(&self) -> Facts {
        Facts::gguf("q2_k", 10, (SUPER_BLOCK, 84))
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        let (d, dmin) = (bits::f16_at(block, D), bits::f16_at(block, D + 2));
        for (i, out) in out.chunks_exact_mut(16).enumerate() {
            let s = d * f32::from(block[i] & 15);
            let m = dmin * f32::from(block[i] >> 4);
            for (j, x) in out.iter_mut().enumerate() {
                let q = Field::crumb(i / 2).get(&block[QS..], i % 2 * 16 + j);
                *x = s * f32::from(q) - m;
            }
        }
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        block.fill(0);
        if let Some(odd) = fit::unfit(weights, MAX_BINARY16 * 15.0) {
            return [D, D + 2].into_iter().for_each(|at| bits::put_u16(block, at, odd));
        }
        let fit = fit::Affine::<16>::fit(weights, 3.0, 15.0);
        bits::put_u16(block, D, fit.d);
        bits::put_u16(block, D + 2, fit.dmin);
        for (i, x) in weights.chunks_exact(16).enumerate() {
            let (scale, min) = fit.codes[i];
            block[i] = scale | min << 4;
            let (s, m) = fit.step_and_min(i);
            for (j, &x) in x.iter().enumerate() {
                let code = fit::affine_code(x, s, m, 3.0);
                Field::crumb(i / 2).put(&mut block[QS..], i % 2 * 16 + j, code);
            }
        }
    }

    fn planes(&self) -> &[Plane] {
        &[
            Plane { words: 2, chunks: 1 },
            Plane { words: 1, chunks: 2 },
            Plane { words: 1, chunks: 8 },
        ]
    }

    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]) {
        for (b, block) in row.chunks_exact(84).enumerate() {
            for (c, words) in planes[0][16 * b..16 * b + 16].chunks_exact_mut(2).enumerate() {
                Field::crumb(c).to_words(&block[QS..], words);
            }
            bits::bytes_to_words(&block[..QS], &mut planes[1][4 * b..4 * b + 4]);
            planes[2][b] = bits::u32_at(block, D);
        }
    }

    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]) {
        row.fill(0);
        for (b, block) in row.chunks_exact_mut(84).enumerate() {
            for (c, words) in planes[0][16 * b..16 * b + 16].chunks_exact(2).enumerate() {
                Field::crumb(c).put_words(words, &mut block[QS..]);
            }
            bits::words_to_bytes(&planes[1][4 * b..4 * b + 4], &mut block[..QS]);
            bits::put_u32(block, D, planes[2][b]);
        }
    }

    fn shader(&self) -> &'static [Part] {
        &[part!("lib/crumbs.wgsl"), part!("formats/q2_k.wgsl")]
    }
}
