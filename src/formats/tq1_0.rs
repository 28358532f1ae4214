//! GGUF TQ1_0: blocks of 256, x = d·(q − 1) with q in 0..=2, five to a byte; 1.6875 bits per weight.
//!
//! File: `qs: [u8; 48], qh: [u8; 4], d: f16` (ggml-common.h, `block_tq1_0`). A byte b is the fraction
//! ⌈256·n/243⌉ / 256 of a number n of five ternary digits, the first element's the highest; digit i is
//! ((b·3^i mod 256)·3) / 256 (ggml-quants.c, `dequantize_row_tq1_0`). Elements by byte and digit:
//!
//! ```text
//! element 32i + j         digit i of qs[j],      j < 32, i < 5: chunks 0 to 4
//! element 160 + 16i + j   digit i of qs[32 + j], j < 16, i < 5: chunks 5, 6 and half of 7
//! element 240 + 4i + j    digit i of qh[j],      j < 4,  i < 4: the other half
//! ```
//!
//! GPU layout: chunks share bytes whose digits no permutation of bits can part, so that bytes stay
//! as they are. Plane 0, 12 words per block: `qs`. Plane 1, 1 word per block: `qh`. Plane 2, 1 word
//! per 2 blocks: d of the even block in the low half, of the odd one in the high half.

use super::super_block::SUPER_BLOCK;
use super::{Facts, Format, Plane, bits, round};
use crate::gpu::{Part, part};

/// Ternary blocks of 256 with a scale, five weights a byte.
#[derive(Debug)]
pub struct Tq1_0;

/// Where the scale stands; all before are digits.
const D: usize = 52;

impl Format for Tq1_0 {
    fn facts(&self) -> Facts {
        Facts::gguf("tq1_0", 34, (SUPER_BLOCK, 54))
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        let d = bits::f16_at(block, D);
        for (i, x) in out.iter_mut().enumerate() {
            let (byte, digit) = place(i);
            let fraction = (u32::from(block[byte]) * 3u32.pow(digit)) & 255;
            *x = d * (((fraction * 3) >> 8) as f32 - 1.0);
        }
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        let mut numbers = [0u32; D];
        let d = round::ternary(weights, |i, code| {
            let (byte, digit) = place(i);
            numbers[byte] += u32::from(code) * 3u32.pow(4 - digit);
        });
        for (byte, n) in block.iter_mut().zip(numbers) {
            *byte = (n * 256).div_ceil(243) as u8;
        }
        bits::put_f16(block, D, d);
    }

    fn planes(&self) -> &[Plane] {
        &[
            Plane { words: 12, chunks: 8 },
            Plane { words: 1, chunks: 8 },
            Plane { words: 1, chunks: 16 },
        ]
    }

    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]) {
        for (b, block) in row.chunks_exact(54).enumerate() {
            bits::bytes_to_words(&block[..48], &mut planes[0][12 * b..12 * b + 12]);
            planes[1][b] = bits::u32_at(block, 48);
            bits::put_half(planes[2], b, bits::u16_at(block, D));
        }
    }

    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]) {
        for (b, block) in row.chunks_exact_mut(54).enumerate() {
            bits::words_to_bytes(&planes[0][12 * b..12 * b + 12], &mut block[..48]);
            bits::put_u32(block, 48, planes[1][b]);
            bits::put_u16(block, D, bits::half(planes[2], b));
        }
    }

    fn shader(&self) -> &'static [Part] {
        &[part!("formats/tq1_0.wgsl")]
    }
}

/// The byte and the digit of element i.
fn place(i: usize) -> (usize, u32) {
    let (byte, digit) = match i {
        0..160 => (i % 32, i / 32),
        160..240 => (32 + i % 16, (i - 160) / 16),
        _ => (48 + i % 4, (i - 240) / 4),
    };
    (byte, digit as u32)
}
