//! NVFP4: blocks of 64, in each 16 weights x = d·k with k of E2M1's doubled values and 2d an
//! unsigned E4M3; 4.5 bits per weight. `nvfp4` is GGUF's; `nvfp4_scaled` is the same with an f32 for
//! the tensor, its largest magnitude / (448·6), as NVIDIA defines the format: without it, weights
//! below 2^−10 or so are lost.
//!
//! File: `d: [u8; 4], qs: [u8; 32]`; of the 16 weights s, element j in the low nibble of
//! `qs[8s + j]`, element j + 8 in the high one (ggml-common.h, `block_nvfp4`). The E4M3 0x7f is 0, and
//! code 8 is +0 (ggml-impl.h, `ggml_ue4m3_to_fp32`).
//!
//! `nvfp4` is encoded as `quantize_row_nvfp4_ref` does (ggml-quants.c), byte for byte: halves of an
//! E4M3 round up, all above 248 becomes 448, ties among codes go towards zero; a NaN becomes 0.
//! `nvfp4_scaled` is encoded to nearest even throughout, d from max|x| / 6: the block's largest
//! weight is within 1/16 of its size where d is normal (at least 2^−6 before the tensor's scale), and
//! others within 1/6 of the largest, E2M1's widest half step.
//!
//! GPU layout: plane 0, 4 words per chunk: word g holds elements 8g..8g+8, the first in the lowest
//! nibble. Plane 1, 1 word per 2 chunks: d of the four times 16 weights, lowest byte first.

use super::element::Element;
use super::{Facts, Format, Plane, RowScale};
use super::{bits, e2m1};
use crate::gpu::{Part, part};

/// E2M1 with an E4M3 for every 16.
#[derive(Debug)]
pub struct Nvfp4 {
    /// Whether the tensor has a scale too.
    tensor_scale: bool,
}

/// As GGUF stores it.
pub static NVFP4: Nvfp4 = Nvfp4 { tensor_scale: false };

/// With a scale for the tensor.
pub static NVFP4_SCALED: Nvfp4 = Nvfp4 { tensor_scale: true };

const E2M1: Element = Element::finite(2, 1);

impl Format for Nvfp4 {
    fn facts(&self) -> Facts {
        match self.tensor_scale {
            true => Facts::new("nvfp4_scaled", (64, 36)),
            false => Facts::gguf("nvfp4", 40, (64, 36)),
        }
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        let (scales, codes) = block.split_at(4);
        let sixteens = scales.iter().zip(codes.chunks_exact(8)).zip(out.chunks_exact_mut(16));
        for ((scale, codes), out) in sixteens {
            let d = half_e4m3(*scale);
            let (low, high) = out.split_at_mut(8);
            for ((code, low), high) in codes.iter().zip(low).zip(high) {
                *low = d * f32::from(e2m1::DOUBLED[usize::from(code & 15)]);
                *high = d * f32::from(e2m1::DOUBLED[usize::from(code >> 4)]);
            }
        }
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        let (scales, codes) = block.split_at_mut(4);
        let sixteens = scales.iter_mut().zip(codes.chunks_exact_mut(8));
        for ((scale, codes), x) in sixteens.zip(weights.chunks_exact(16)) {
            let peak = x.iter().fold(0f32, |peak, x| if peak < x.abs() { x.abs() } else { peak });
            *scale =
                if self.tensor_scale { Element::E4M3.encode(peak / 6.0) } else { e4m3(peak / 6.0) };
            let d = half_e4m3(*scale);
            let code = |x: f32| match self.tensor_scale {
                true if d > 0.0 => E2M1.encode(x / (2.0 * d)),
                true => 0,
                false => e2m1::nearest(x, d),
            };
            for (j, byte) in codes.iter_mut().enumerate() {
                *byte = code(x[j]) | code(x[j + 8]) << 4;
            }
        }
    }

    fn row_scale(&self) -> RowScale {
        if self.tensor_scale { RowScale::PerTensor(448.0 * 6.0) } else { RowScale::None }
    }

    fn planes(&self) -> &[Plane] {
        &[Plane { words: 4, chunks: 1 }, Plane { words: 1, chunks: 2 }]
    }

    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]) {
        for (b, block) in row.chunks_exact(36).enumerate() {
            planes[1][b] = bits::u32_at(block, 0);
            let words = planes[0][8 * b..8 * b + 8].chunks_exact_mut(2);
            for (words, codes) in words.zip(block[4..].chunks_exact(8)) {
                bits::byte_nibbles_to_words(codes, words);
            }
        }
    }

    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]) {
        for (b, block) in row.chunks_exact_mut(36).enumerate() {
            bits::put_u32(block, 0, planes[1][b]);
            let words = planes[0][8 * b..8 * b + 8].chunks_exact(2);
            for (words, codes) in words.zip(block[4..].chunks_exact_mut(8)) {
                bits::words_to_byte_nibbles(words, codes);
            }
        }
    }

    fn shader(&self) -> &'static [Part] {
        &[part!("lib/e2m1.wgsl"), part!("formats/nvfp4.wgsl")]
    }
}

/// Half of an unsigned E4M3 (`ggml_ue4m3_to_fp32`).
fn half_e4m3(code: u8) -> f32 {
    if code == 0x7f { 0.0 } else { Element::finite(4, 3).decode(code & 0x7f) * 0.5 }
}

/// The E4M3 of an x ≥ 0 as ggml rounds it (`ggml_fp32_to_ue4m3`).
fn e4m3(x: f32) -> u8 {
    if x < 2f32.powi(-6) {
        return (x * 512.0 + 0.5).min(7.0) as u8;
    }
    let rounded = ((x.min(448.0).to_bits() + 0x8_0000) >> 20) - (120 << 3);
    if rounded < 0x78 { rounded as u8 } else { 0x7e }
}
