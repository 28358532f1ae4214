//! GGUF Q6_K: blocks of 256 in sixteen parts of 16, x = d·s·(q − 32) with q in 0..=63 and s in
//! −128..=127 of the part; 6.5625 bits per weight.
//!
//! File: `ql: [u8; 128], qh: [u8; 64], scales: [i8; 16], d: f16`. Of either half of the block, chunk
//! c's low four bits are the nibbles c / 2 of bytes 32·(c mod 2).. of 64 in `ql`, its high two bits
//! the bits 2c and 2c + 1 of 32 bytes of `qh` (ggml-common.h, `block_q6_K`).
//!
//! GPU layout: plane 0, 4 words per chunk: word g holds the low bits of elements 8g..8g+8, the
//! first in the lowest nibble. Plane 1, 2 words per chunk: word h holds the high bits of elements
//! 16h..16h+16, the first lowest. Plane 2, 9 words per 2 blocks:
//!
//! ```text
//! word i < 8: s of both parts of chunk 2i, then those of chunk 2i + 1, a byte each
//! word 8:     d of the even block | d of the odd one << 16
//! ```
//!
//! Encoding (`fit.rs`): with A the block's largest magnitude, the root mean square error of a block is
//! at most A/61 + 2^-24: half the covering step, (1 + 1/126.8)·A/31 + 2^-24. Scales are written
//! within ±127. Weights beyond ±65504·127·31 make d infinite.

use super::fit::{self, Integers};
use super::super_block::{Field, MAX_BINARY16, SUPER_BLOCK};
use super::{Facts, Format, Plane, bits};
use crate::gpu::{Part, part};

/// 6-bit blocks of 256 with scales of 8 bits.
#[derive(Debug)]
pub struct Q6K;

/// Where the fields of a block begin.
const QH: usize = 128;
const SCALES: usize = 192;
const D: usize = 208;

impl Format for Q6K {
    fn facts(&self) -> Facts {
        Facts::gguf("q6_k", 14, (SUPER_BLOCK, 210))
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        let d = bits::f16_at(block, D);
        for (c, out) in out.chunks_exact_mut(32).enumerate() {
            let scales = [0, 1].map(|i| d * f32::from(block[SCALES + 2 * c + i] as i8));
            for (j, x) in out.iter_mut().enumerate() {
                let high = Field::crumb(c).get(&block[QH..], j);
                let q = Field::far_nibble(c).get(block, j) | high << 4;
                *x = scales[j / 16] * (f32::from(q) - 32.0);
            }
        }
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        type Grid = Integers<-32, 31>;
        block.fill(0);
        if let Some(odd) = fit::unfit(weights, MAX_BINARY16 * 127.0 * 31.0) {
            return bits::put_u16(block, D, odd);
        }
        let fit = fit::Scales::<16>::fit::<Grid>(weights, 127.0);
        bits::put_u16(block, D, fit.d);
        for (i, x) in weights.chunks_exact(16).enumerate() {
            block[SCALES + i] = fit.scales[i] as u8;
            let (c, step) = (i / 2, fit.step(i));
            for (j, &x) in x.iter().enumerate() {
                let (j, code) = (i % 2 * 16 + j, fit::on_grid::<Grid>(x, step) + 32.0);
                Field::far_nibble(c).put(block, j, code as u8);
                Field::crumb(c).put(&mut block[QH..], j, code as u8 >> 4);
            }
        }
    }

    fn integers(&self, block: &[u8], chunk: usize) -> Option<super::Integers> {
        let code = |j| {
            let high = Field::crumb(chunk).get(&block[QH..], j);
            Field::far_nibble(chunk).get(block, j) | high << 4
        };
        let scales = [0, 1].map(|i| i32::from(block[SCALES + 2 * chunk + i] as i8));
        let integers = super::Integers::new(bits::f16_at(block, D), 32, code);
        Some(super::Integers { scales, ..integers })
    }

    fn planes(&self) -> &[Plane] {
        &[
            Plane { words: 4, chunks: 1 },
            Plane { words: 2, chunks: 1 },
            Plane { words: 9, chunks: 16 },
        ]
    }

    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]) {
        for (b, block) in row.chunks_exact(210).enumerate() {
            for c in 0..8 {
                let at = 8 * b + c;
                Field::far_nibble(c).to_words(block, &mut planes[0][4 * at..4 * at + 4]);
                Field::crumb(c).to_words(&block[QH..], &mut planes[1][2 * at..2 * at + 2]);
            }
            let scales = &mut planes[2][b / 2 * 9..b / 2 * 9 + 9];
            bits::bytes_to_words(&block[SCALES..D], &mut scales[b % 2 * 4..b % 2 * 4 + 4]);
            bits::put_half(&mut scales[8..], b % 2, bits::u16_at(block, D));
        }
    }

    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]) {
        row.fill(0);
        for (b, block) in row.chunks_exact_mut(210).enumerate() {
            for c in 0..8 {
                let at = 8 * b + c;
                Field::far_nibble(c).put_words(&planes[0][4 * at..4 * at + 4], block);
                Field::crumb(c).put_words(&planes[1][2 * at..2 * at + 2], &mut block[QH..]);
            }
            let scales = &planes[2][b / 2 * 9..b / 2 * 9 + 9];
            bits::words_to_bytes(&scales[b % 2 * 4..b % 2 * 4 + 4], &mut block[SCALES..D]);
            bits::put_u16(block, D, bits::half(&scales[8..], b % 2));
        }
    }

    fn shader(&self) -> &'static [Part] {
        &[part!("lib/crumbs.wgsl"), part!("formats/q6_k.wgsl")]
    }
}
