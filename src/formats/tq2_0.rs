//! GGUF TQ2_0: blocks of 256, x = d·(q − 1) with q in 0..=2 (3 decodes, but is not written); 2.0625
//! bits per weight.
//!
//! File: `qs: [u8; 64], d: f16`, chunk c's codes the bits 2·(c mod 4).. of bytes 32·(c / 4).. of `qs`
//! (ggml-common.h, `block_tq2_0`).
//!
//! GPU layout: plane 0, 2 words per chunk: word h holds elements 16h..16h+16, the first lowest.
//! Plane 1, 1 word per 2 blocks: d of the even block in the low half, of the odd one in the high
//! half.

use super::super_block::{Field, SUPER_BLOCK};
use super::{Facts, Format, Plane, bits, round};
use crate::gpu::{Part, part};

/// Ternary blocks of 256 with a scale, two bits a weight.
#[derive(Debug)]
pub struct Tq2_0;

impl Format for Tq2_0 {
    fn facts(&self) -> Facts {
        Facts::gguf("tq2_0", 35, (SUPER_BLOCK, 66))
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        let d = bits::f16_at(block, 64);
        for (i, x) in out.iter_mut().enumerate() {
            *x = d * (f32::from(Field::crumb(i / 32).get(block, i % 32)) - 1.0);
        }
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        block.fill(0);
        let d = round::ternary(weights, |i, code| Field::crumb(i / 32).put(block, i % 32, code));
        bits::put_f16(block, 64, d);
    }

    fn planes(&self) -> &[Plane] {
        &[Plane { words: 2, chunks: 1 }, Plane { words: 1, chunks: 16 }]
    }

    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]) {
        for (b, block) in row.chunks_exact(66).enumerate() {
            for (c, words) in planes[0][16 * b..16 * b + 16].chunks_exact_mut(2).enumerate() {
                Field::crumb(c).to_words(block, words);
            }
            bits::put_half(planes[1], b, bits::u16_at(block, 64));
        }
    }

    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]) {
        row.fill(0);
        for (b, block) in row.chunks_exact_mut(66).enumerate() {
            for (c, words) in planes[0][16 * b..16 * b + 16].chunks_exact(2).enumerate() {
                Field::crumb(c).put_words(words, block);
            }
            bits::put_u16(block, 64, bits::half(planes[1], b));
        }
    }

    fn shader(&self) -> &'static [Part] {
        &[part!("lib/crumbs.wgsl"), part!("formats/tq2_0.wgsl")]
    }
}
