//! GGUF IQ4_NL: blocks of 32, x = d·v[q] with sixteen fixed values v; 4.5 bits per weight.
//!
//! File: `d: f16, qs: [u8; 16]`, element j in the low nibble of `qs[j]`, element j + 16 in the high
//! one (ggml-common.h, `block_iq4_nl` and `kvalues_iq4nl`).
//!
//! GPU layout: Q4_0's. Plane 0, 4 words per chunk: word g holds elements 8g..8g+8, the first in the
//! lowest nibble. Plane 1, 1 word per 2 chunks: d of the even chunk in the low half, of the odd one
//! in the high half.
//!
//! Encoding (`fit.rs`): with A the block's largest magnitude, the root mean square error of a block is
//! at most A/9.4 + 2^-20: a d that covers A is at most (1 + 2^-10)·A/113 + 2^-24, and no number
//! within the values is more than 12 from one. Weights beyond ±65504·113 make d infinite.

use super::iq4::{self, Iq4};
use super::super_block::MAX_BINARY16;
use super::{Facts, Format, Plane, bits, fit};
use crate::gpu::{Part, part};

/// 4-bit blocks of 32 with a scale and values that are not evenly spaced.
#[derive(Debug)]
pub struct Iq4Nl;

impl Format for Iq4Nl {
    fn facts(&self) -> Facts {
        Facts::gguf("iq4_nl", 20, (32, 18))
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        let d = bits::f16_at(block, 0);
        for (j, x) in out.iter_mut().enumerate() {
            *x = d * iq4::value(bits::nibble(&block[2..], j));
        }
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        block.fill(0);
        if let Some(odd) = fit::unfit(weights, MAX_BINARY16 * 113.0) {
            return bits::put_u16(block, 0, odd);
        }
        bits::put_u16(block, 0, fit::single::<Iq4>(weights));
        iq4::put_codes(weights, bits::f16_at(block, 0), &mut block[2..]);
    }

    fn planes(&self) -> &[Plane] {
        &[Plane { words: 4, chunks: 1 }, Plane { words: 1, chunks: 2 }]
    }

    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]) {
        bits::half_and_nibbles_to_planes(row, planes);
    }

    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]) {
        bits::planes_to_half_and_nibbles(planes, row);
    }

    fn shader(&self) -> &'static [Part] {
        &[part!("lib/iq4.wgsl"), part!("formats/iq4_nl.wgsl")]
    }
}
