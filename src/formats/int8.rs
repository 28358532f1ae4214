//! Row-wise int8: x = s·q with q in −127..=127 and an f32 s per row, 8 + 32/K bits per weight
//! (vector-wise quantization of LLM.int8(), arXiv 2208.07339, section 2).
//!
//! File: s as a little-endian f32, then a byte per weight. s = max|x| / 127; q = x / s, nearest,
//! ties to even, so the error is at most s/2 (and a rounding of the division). A NaN or an infinity
//! in a row makes its scale one, and its codes 0 where they are NaN.
//!
//! GPU layout: plane 0, 8 words per chunk: word w holds elements 4w..4w+4, the first in the lowest
//! byte; s among the rows' scales.

use super::bits;
use super::{Facts, Format, Plane, RowScale};
use crate::gpu::{Part, part};

/// 8-bit integers with a scale per row.
#[derive(Debug)]
pub struct Int8;

impl Format for Int8 {
    fn facts(&self) -> Facts {
        Facts::new("int8", (1, 1))
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        out[0] = f32::from(block[0] as i8);
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        // NaN becomes 0.
        block[0] = weights[0].round_ties_even().clamp(-127.0, 127.0) as i8 as u8;
    }

    fn row_scale(&self) -> RowScale {
        RowScale::PerRow(127.0)
    }

    fn planes(&self) -> &[Plane] {
        &[Plane { words: 8, chunks: 1 }]
    }

    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]) {
        bits::bytes_to_words(row, planes[0]);
    }

    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]) {
        bits::words_to_bytes(planes[0], row);
    }

    fn shader(&self) -> &'static [Part] {
        &[part!("formats/int8.wgsl")]
    }
}
