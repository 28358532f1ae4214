//! MXINT8: blocks of 32, x = q/64·2^(s − 127) with q in two's complement, 8.25 bits per weight
//! (OCP Microscaling Formats v1.0, section 5.3).
//!
//! That is BFP(8, 32): a file's block is the E8M0 scale s, 255 for NaN, then 32 bytes. Encoding,
//! error and GPU layout are those of `bfp.rs`: s = ⌊log₂ max|x|⌋ + 127, q nearest, ties to even,
//! saturated to ±127 (the specification lets the code of −2 be left out, to keep both signs alike).

use super::bfp;
use super::stream::Blocks;
use super::{Facts, Format, Plane};
use crate::gpu::Part;

/// 8-bit integers with a shared power of two.
#[derive(Debug)]
pub struct MxInt8;

impl Format for MxInt8 {
    fn facts(&self) -> Facts {
        Facts::new("mxint8", (32, 33))
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        bfp::decode(8, block, out);
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        bfp::encode(8, weights, block);
    }

    fn planes(&self) -> &[Plane] {
        const { &bfp::planes(8, 32) }
    }

    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]) {
        Blocks { bytes: 33, scale: 1 }.repack(row, planes);
    }

    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]) {
        Blocks { bytes: 33, scale: 1 }.unpack(planes, row);
    }

    fn shader(&self) -> &'static [Part] {
        bfp::SHADER
    }

    fn overrides(&self) -> &[(&'static str, f64)] {
        &[("MANTISSA_BITS", 8.0), ("BLOCK", 32.0)]
    }
}
