//! GGUF MXFP4: blocks of 32, x = 2^(e − 128)·k with k of E2M1's doubled values; 4.25 bits per weight.
//!
//! File: `e: u8, qs: [u8; 16]`, element j in the low nibble of `qs[j]`, element j + 16 in the high
//! one (ggml-common.h, `block_mxfp4`). It differs from OCP's: e = 255 is not NaN, ties go towards
//! zero, code 8 is +0.
//!
//! Encoding is `gguf.quants`'s byte for byte, whose exponent is ⌊log2f(max|x|)⌋ + 125 in eight bits:
//! of peaks just below a power of two, those whose logarithm rounds up to it count as that power,
//! and peaks below 2^−125 wrap around to a scale that makes all of the block 0. A peak that is
//! infinite or NaN has e = 0; there is no code for either.
//!
//! GPU layout: plane 0, 4 words per chunk: word g holds elements 8g..8g+8, the first in the lowest
//! nibble. Plane 1, 1 word per 4 chunks: e of chunk c in byte c mod 4.

use super::{Facts, Format, Integers, Plane};
use super::{bits, e2m1};
use crate::gpu::{Part, part};

/// E2M1 with a power of two per block of 32, as GGUF stores it.
#[derive(Debug)]
pub struct Mxfp4;

impl Format for Mxfp4 {
    fn facts(&self) -> Facts {
        Facts::gguf("mxfp4", 39, (32, 17))
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        let d = half_scale(block[0]);
        for (j, x) in out.iter_mut().enumerate() {
            *x = d * f32::from(e2m1::DOUBLED[usize::from(bits::nibble(&block[1..], j))]);
        }
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        block[0] = exponent(bits::peak_bits(weights));
        let d = half_scale(block[0]);
        let mut codes = [0; bits::BLOCK];
        for (code, x) in codes.iter_mut().zip(weights) {
            *code = e2m1::nearest(*x, d);
        }
        bits::put_nibbles(&codes, &mut block[1..]);
    }

    fn integers(&self, block: &[u8], _: usize) -> Option<Integers> {
        // So that no product is subnormal, which devices may flush.
        let d = if block[0] < 90 { 0.0 } else { half_scale(block[0]) };
        let code = |j| e2m1::DOUBLED[usize::from(bits::nibble(&block[1..], j))] as u8;
        Some(Integers::new(d, 0, code))
    }

    fn planes(&self) -> &[Plane] {
        &[Plane { words: 4, chunks: 1 }, Plane { words: 1, chunks: 4 }]
    }

    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]) {
        for (c, block) in row.chunks_exact(17).enumerate() {
            bits::nibbles_to_words(&block[1..], &mut planes[0][4 * c..4 * c + 4]);
            bits::put_bytes(planes[1], c, &block[..1]);
        }
    }

    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]) {
        for (c, block) in row.chunks_exact_mut(17).enumerate() {
            bits::words_to_nibbles(&planes[0][4 * c..4 * c + 4], &mut block[1..]);
            bits::get_bytes(planes[1], c, &mut block[..1]);
        }
    }

    fn has_codes(&self) -> bool {
        true
    }

    fn shader(&self) -> &'static [Part] {
        &[part!("lib/e8m0.wgsl"), part!("lib/e2m1.wgsl"), part!("formats/mxfp4.wgsl")]
    }
}

/// 2^(e − 128) (ggml-impl.h, `ggml_e8m0_to_fp32_half`).
fn half_scale(e: u8) -> f32 {
    let e = u32::from(e);
    f32::from_bits(if e < 2 { 0x0020_0000 << e } else { (e - 1) << 23 })
}

/// ⌊log2f(peak)⌋ + 125 in eight bits, the logarithm rounded to the nearest f32.
fn exponent(peak: u32) -> u8 {
    if peak == 0 || peak >= bits::INFINITY {
        return 0;
    }
    // peak = m·2^(floor − 23), m in 2^23 .. 2^24.
    let subnormal = peak.leading_zeros().saturating_sub(8);
    let floor = (peak >> 23).max(1) as i32 - 127 - subnormal as i32;
    let m = (peak << subnormal) & 0x7f_ffff | 0x80_0000;
    // The logarithm lies below floor + 1 by ((1 << 24) − m)·2^−24 / ln 2, and rounds up where that is
    // less than half an ulp, 2^(p − 24): 88 is ⌊2^7·ln 2⌋.
    let p = ((floor ^ floor >> 31) as u32).checked_ilog2();
    let up = p.is_some_and(|p| (1 << 24) - m <= 88 >> (7 - p));
    (floor + 125 + i32::from(up)) as u8
}
