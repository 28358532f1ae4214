//! IEEE 754 binary32, as it is: 32 bits per weight.
//!
//! GPU layout: one plane, a word per weight.

use super::{Format, Plane};

/// 32-bit floats.
#[derive(Debug)]
pub struct F32;

impl Format for F32 {
    fn name(&self) -> &str {
        "f32"
    }

    fn gguf_type(&self) -> Option<u32> {
        Some(0)
    }

    fn block_len(&self) -> usize {
        1
    }

    fn block_bytes(&self) -> usize {
        4
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        out[0] = f32::from_le_bytes([block[0], block[1], block[2], block[3]]);
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        block.copy_from_slice(&weights[0].to_le_bytes());
    }

    fn planes(&self) -> &[Plane] {
        &[Plane { words: 32, chunks: 1 }]
    }

    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]) {
        for (word, bytes) in planes[0].iter_mut().zip(row.chunks_exact(4)) {
            *word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
    }

    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]) {
        for (word, bytes) in planes[0].iter().zip(row.chunks_exact_mut(4)) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
    }

    fn shader(&self) -> &'static str {
        include_str!("../../shaders/formats/f32.wgsl")
    }
}
