//! GGUF Q3_K: blocks of 256 in sixteen parts of 16, x = d·(s − 32)·(q − 4) with q in 0..=7 and s in
//! 0..=63 of the part; 3.4375 bits per weight.
//!
//! File: `hmask: [u8; 32], qs: [u8; 64], scales: [u8; 12], d: f16`. Chunk c's high bits are bit c of
//! the bytes of `hmask`, its low two the bits 2·(c mod 4).. of bytes 32·(c / 4).. of `qs`. Part i's
//! low four bits are nibble i / 8 of byte i mod 8 of `scales`, its high two the bits 2·(i / 4).. of
//! byte 8 + i mod 4 (ggml-common.h, `block_q3_K`).
//!
//! GPU layout: plane 0, 2 words per chunk: word h holds the low bits of elements 16h..16h+16, the
//! first lowest. Plane 1, 1 word per chunk: bit j is the high one of element j. Plane 2, 7 words per
//! 2 blocks:
//!
//! ```text
//! words 0, 1: low 4 bits of the even block's s, part i at bit 4·(i mod 8) of word i / 8
//! word 2:     high 2 bits of the even block's s, part i at 2i
//! words 3..6: the odd block's
//! word 6:     d of the even block | d of the odd one << 16
//! ```
//!
//! Encoding (`fit.rs`): with A the block's largest magnitude, the root mean square error of a block is
//! at most A/5.8 + 2^-24: half the covering step, (1 + 1/30.9)·A/3 + 2^-24. Scales are written
//! within ±31. Weights beyond ±65504·31·3 make d infinite.

use super::fit::{self, Integers};
use super::super_block::{Field, MAX_BINARY16, SUPER_BLOCK};
use super::{Facts, Format, Plane, bits};
use crate::gpu::{Part, part};

/// 3-bit blocks of 256 with scales of 6 bits.
#[derive(Debug)]
pub struct Q3K;

/// Where the fields of a block begin.
const QS: usize = 32;
const SCALES: usize = 96;
const D: usize = 108;

impl Format for Q3K {
    fn facts(&self) -> Facts {
        Facts::gguf("q3_k", 11, (SUPER_BLOCK, 110))
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        let d = bits::f16_at(block, D);
        for (c, out) in out.chunks_exact_mut(32).enumerate() {
            let scales = [2 * c, 2 * c + 1].map(|i| d * (f32::from(scale(block, i)) - 32.0));
            for (j, x) in out.iter_mut().enumerate() {
                let high = Field::bit(c).get(block, j);
                let q = Field::crumb(c).get(&block[QS..], j) | high << 2;
                *x = scales[j / 16] * (f32::from(q) - 4.0);
            }
        }
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        type Grid = Integers<-4, 3>;
        block.fill(0);
        if let Some(odd) = fit::unfit(weights, MAX_BINARY16 * 31.0 * 3.0) {
            return bits::put_u16(block, D, odd);
        }
        let fit = fit::Scales::<16>::fit::<Grid>(weights, 31.0);
        bits::put_u16(block, D, fit.d);
        for (i, x) in weights.chunks_exact(16).enumerate() {
            put_scale(block, i, (fit.scales[i] + 32) as u8);
            let (c, step) = (i / 2, fit.step(i));
            for (j, &x) in x.iter().enumerate() {
                let (j, code) = (i % 2 * 16 + j, fit::on_grid::<Grid>(x, step) + 4.0);
                Field::crumb(c).put(&mut block[QS..], j, code as u8);
                Field::bit(c).put(block, j, code as u8 >> 2);
            }
        }
    }

    fn planes(&self) -> &[Plane] {
        &[
            Plane { words: 2, chunks: 1 },
            Plane { words: 1, chunks: 1 },
            Plane { words: 7, chunks: 16 },
        ]
    }

    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]) {
        for (b, block) in row.chunks_exact(110).enumerate() {
            for c in 0..8 {
                let at = 8 * b + c;
                Field::crumb(c).to_words(&block[QS..], &mut planes[0][2 * at..2 * at + 2]);
                Field::bit(c).to_words(block, &mut planes[1][at..=at]);
            }
            let shared = &mut planes[2][b / 2 * 7..b / 2 * 7 + 7];
            for i in 0..16 {
                let (s, words) = (u32::from(scale(block, i)), &mut shared[b % 2 * 3..]);
                words[i / 8] |= (s & 15) << (i % 8 * 4);
                words[2] |= s >> 4 << (2 * i);
            }
            bits::put_half(&mut shared[6..], b % 2, bits::u16_at(block, D));
        }
    }

    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]) {
        row.fill(0);
        for (b, block) in row.chunks_exact_mut(110).enumerate() {
            for c in 0..8 {
                let at = 8 * b + c;
                Field::crumb(c).put_words(&planes[0][2 * at..2 * at + 2], &mut block[QS..]);
                Field::bit(c).put_words(&planes[1][at..=at], block);
            }
            let shared = &planes[2][b / 2 * 7..b / 2 * 7 + 7];
            for i in 0..16 {
                let words = &shared[b % 2 * 3..];
                let (low, high) = (words[i / 8] >> (i % 8 * 4) & 15, words[2] >> (2 * i) & 3);
                put_scale(block, i, (low | high << 4) as u8);
            }
            bits::put_u16(block, D, bits::half(&shared[6..], b % 2));
        }
    }

    fn shader(&self) -> &'static [Part] {
        &[part!("lib/crumbs.wgsl"), part!("formats/q3_k.wgsl")]
    }
}

/// Part i's s.
fn scale(block: &[u8], i: usize) -> u8 {
    let scales = &block[SCALES..D];
    scales[i % 8] >> (i / 8 * 4) & 15 | (scales[8 + i % 4] >> (i / 4 * 2) & 3) << 4
}

/// Sets part i's s, of which nothing is set yet.
fn put_scale(block: &mut [u8], i: usize, s: u8) {
    let scales = &mut block[SCALES..D];
    scales[i % 8] |= (s & 15) << (i / 8 * 4);
    scales[8 + i % 4] |= s >> 4 << (i / 4 * 2);
}
