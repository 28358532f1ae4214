//! NF4: blocks of 64, x = a·T[q] with a = max|x| in f32 and T the 16 quantiles of a normal
//! distribution, scaled to −1..1; 4.5 bits per weight (QLoRA, arXiv 2305.14314, appendix E).
//!
//! File: a as a little-endian f32, then 32 bytes, element j in nibble j of a little-endian stream.
//! q is the code nearest to x / a, the lower of two equally near. The widest gap in T is 0.3038, so
//! the error is at most 0.152·a. A NaN in a block makes a NaN; an infinity makes a infinite.
//!
//! GPU layout: plane 0, 4 words per chunk, word g = elements 8g..8g+8, lowest nibble first. Plane 1,
//! a word for 2 chunks: a.

use super::bits;
use super::stream::{self, Blocks};
use super::{Facts, Format, Plane};
use crate::gpu::{Part, part};

/// 4-bit codes for normally distributed weights.
#[derive(Debug)]
pub struct Nf4;

const LEN: usize = 64;
const BYTES: usize = 36;

/// QLoRA, appendix E.
const TABLE: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

impl Format for Nf4 {
    fn facts(&self) -> Facts {
        Facts::new("nf4", (LEN, BYTES))
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        let a = f32::from_bits(bits::u32_at(block, 0));
        for (x, code) in out.iter_mut().zip(stream::unpack(4, &block[4..])) {
            *x = a * TABLE[usize::from(code & 15)];
        }
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        let a = super::peak(weights);
        let a = if a.is_nan() { f32::NAN } else { a };
        bits::put_u32(block, 0, a.to_bits());
        stream::pack(4, &mut block[4..], |j| nearest(weights[j], a));
    }

    fn planes(&self) -> &[Plane] {
        &[Plane { words: 4, chunks: 1 }, Plane { words: 1, chunks: 2 }]
    }

    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]) {
        Blocks { bytes: BYTES, scale: 4 }.repack(row, planes);
    }

    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]) {
        Blocks { bytes: BYTES, scale: 4 }.unpack(planes, row);
    }

    fn shader(&self) -> &'static [Part] {
        &[part!("formats/nf4.wgsl")]
    }
}

/// The code nearest to x / a; that of 0 where this is no number.
fn nearest(x: f32, a: f32) -> u8 {
    let ratio = if a > 0.0 { x / a } else { 0.0 };
    if !ratio.is_finite() {
        return 7;
    }
    // Exact in f64.
    let middle = |pair: &[f32]| (f64::from(pair[0]) + f64::from(pair[1])) / 2.0;
    TABLE.windows(2).filter(|pair| f64::from(ratio) > middle(pair)).count() as u8
}
