//! GGUF Q8_0: blocks of 32, x = d·q with q in −128..=127; 8.5 bits per weight.
//!
//! File: `d: f16, qs: [i8; 32]` (ggml-common.h, `block_q8_0`).
//!
//! GPU layout: plane 0, 8 words per chunk: word 2g holds the even and word 2g + 1 the odd elements of
//! 8g..8g+8, the first in the lowest byte, as the nibbles of other formats come apart. Plane 1, 1 word per 2 chunks: d of the even chunk in the low half, of the odd one in the
//! high half.

use super::{Facts, Format, Integers, Plane};
use super::{bits, round};
use crate::gpu::{Part, part};

/// 8-bit blocks of 32 with a scale.
#[derive(Debug)]
pub struct Q8_0;

impl Format for Q8_0 {
    fn facts(&self) -> Facts {
        Facts::gguf("q8_0", 8, (32, 34))
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        let d = bits::f16_at(block, 0);
        for (x, &q) in out.iter_mut().zip(&block[2..]) {
            *x = d * f32::from(q as i8);
        }
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        let (d, codes) = round::signed_bytes(weights);
        bits::put_f16(block, 0, d);
        for (byte, code) in block[2..].iter_mut().zip(codes) {
            *byte = code as u8;
        }
    }

    fn integers(&self, block: &[u8], _: usize) -> Option<Integers> {
        Some(Integers::new(bits::f16_at(block, 0), 0, |j| block[2 + j]))
    }

    fn planes(&self) -> &[Plane] {
        &[Plane { words: 8, chunks: 1 }, Plane { words: 1, chunks: 2 }]
    }

    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]) {
        for (c, block) in row.chunks_exact(34).enumerate() {
            bits::bytes_to_even_odd(&block[2..], &mut planes[0][8 * c..8 * c + 8]);
            bits::put_half(planes[1], c, bits::u16_at(block, 0));
        }
    }

    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]) {
        for (c, block) in row.chunks_exact_mut(34).enumerate() {
            bits::even_odd_to_bytes(&planes[0][8 * c..8 * c + 8], &mut block[2..]);
            bits::put_u16(block, 0, bits::half(planes[1], c));
        }
    }

    fn has_codes(&self) -> bool {
        true
    }

    fn shader(&self) -> &'static [Part] {
        &[part!("formats/q8_0.wgsl")]
    }
}
