//! GGUF Q4_1: blocks of 32, x = d·q + m with q in 0..=15; 5 bits per weight.
//!
//! File: `d: f16, m: f16, qs: [u8; 16]`, element j in the low nibble of `qs[j]`, element j + 16 in
//! the high one (ggml-common.h, `block_q4_1`).
//!
//! GPU layout: plane 0, 4 words per chunk: word g holds elements 8g..8g+8, the first in the lowest
//! nibble. Plane 1, 1 word per chunk: d in the low half, m in the high half.

use super::{Format, Plane};

/// 4-bit blocks of 32 with a scale and a minimum.
#[derive(Debug)]
pub struct Q4_1;

impl Format for Q4_1 {
    fn name(&self) -> &str {
        "q4_1"
    }

    fn gguf_type(&self) -> Option<u32> {
        Some(3)
    }

    fn block_len(&self) -> usize {
        32
    }

    fn block_bytes(&self) -> usize {
        20
    }

    fn decode(&self, _block: &[u8], _out: &mut [f32]) {
        todo!()
    }

    fn encode(&self, _weights: &[f32], _block: &mut [u8]) {
        todo!()
    }

    fn planes(&self) -> &[Plane] {
        &[Plane { words: 4, chunks: 1 }, Plane { words: 1, chunks: 1 }]
    }

    fn repack(&self, _row: &[u8], _planes: &mut [&mut [u32]]) {
        todo!()
    }

    fn unpack(&self, _planes: &[&[u32]], _row: &mut [u8]) {
        todo!()
    }

    fn shader(&self) -> &'static str {
        include_str!("../../shaders/formats/q4_1.wgsl")
    }
}
