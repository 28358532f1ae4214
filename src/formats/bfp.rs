//! Plain block floating point, BFP(m, N): N weights share an 8-bit exponent and keep m-bit signed
//! mantissas, the sign included and no hidden bit; m + 8/N bits per weight.
//!
//! x = q·2^(E − 127 − (m − 2)), |q| < 2^(m−1), where E is the exponent field of the block's largest
//! weight (arXiv 2403.20137, whose BFP16 and BFP12 have m = 8 and 4). E = 255 makes the block NaN.
//! Names are `bfp:m4:n64`; `bfp16` and `bfp12` have N = 64, `bfp12:n32` and so on another.
//!
//! File: E in one byte, then N mantissas in two's complement, element j in bits mj..mj+m of a
//! little-endian stream.
//!
//! Encoding: q = x / step, nearest, ties to even, clamped to ±(2^(m−1) − 1). The error is at most
//! half a step, a whole one where the clamp cuts; a step is at most 2^(2−m) of the block's largest
//! magnitude. A NaN or an infinity makes the block NaN.
//!
//! GPU layout: plane 0, m words per chunk: the chunk's 32 mantissas, in the file's order. Plane 1:
//! the exponents, 16 bits per chunk for N = 16, and 8, 4, 2 for 32, 64, 128, so that a byte lies
//! across the chunks that share it:
//!
//! ```text
//! N = 64, a word for 8 chunks:  bit    0..4   4..8   8..12  12..16 ..
//!                               chunk  0      1      2      3
//!                               holds  E₀ low E₀ top E₁ low E₁ top
//! ```

use std::sync::LazyLock;

use super::stream::{self, Blocks};
use super::{Facts, Family, Format, FormatRef, Plane};
use crate::gpu::{Part, part};

/// The family, for the table.
pub(super) const FAMILY: Family = Family {
    name: "bfp",
    grammar: "bfp:m{2..8}:n{16,32,64,128}",
    aliases: &[
        ("bfp16", "bfp:m8:n64"),
        ("bfp16:n16", "bfp:m8:n16"),
        ("bfp16:n32", "bfp:m8:n32"),
        ("bfp16:n64", "bfp:m8:n64"),
        ("bfp16:n128", "bfp:m8:n128"),
        ("bfp12", "bfp:m4:n64"),
        ("bfp12:n16", "bfp:m4:n16"),
        ("bfp12:n32", "bfp:m4:n32"),
        ("bfp12:n64", "bfp:m4:n64"),
        ("bfp12:n128", "bfp:m4:n128"),
    ],
    members: &MEMBERS,
    samples: &["bfp:m4:n64", "bfp:m2:n16", "bfp:m3:n32", "bfp:m5:n16", "bfp:m7:n128", "bfp:m8:n64"],
};

static MEMBERS: LazyLock<Vec<FormatRef>> = LazyLock::new(|| {
    let pairs = (2..=8).flat_map(|m| [16, 32, 64, 128].map(|n| (m, n)));
    pairs.map(|(m, n)| -> FormatRef { Box::leak(Box::new(Bfp::new(m, n))) }).collect()
});

/// One member of the family.
#[derive(Debug)]
struct Bfp {
    name: &'static str,
    mantissa_bits: usize,
    block_len: usize,
    planes: [Plane; 2],
    overrides: [(&'static str, f64); 2],
}

impl Bfp {
    fn new(m: usize, n: usize) -> Self {
        Self {
            name: format!("bfp:m{m}:n{n}").leak(),
            mantissa_bits: m,
            block_len: n,
            planes: planes(m, n),
            overrides: [("MANTISSA_BITS", m as f64), ("BLOCK", n as f64)],
        }
    }
}

/// Mantissas, and exponents of which 32 / chunks bits belong to a chunk.
pub(super) const fn planes(m: usize, n: usize) -> [Plane; 2] {
    [Plane { words: m, chunks: 1 }, Plane { words: 1, chunks: n / 8 }]
}

impl Format for Bfp {
    fn facts(&self) -> Facts {
        Facts::new(self.name, (self.block_len, 1 + self.block_len * self.mantissa_bits / 8))
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        decode(self.mantissa_bits, block, out);
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        encode(self.mantissa_bits, weights, block);
    }

    fn planes(&self) -> &[Plane] {
        &self.planes
    }

    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]) {
        Blocks { bytes: self.block_bytes(), scale: 1 }.repack(row, planes);
    }

    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]) {
        Blocks { bytes: self.block_bytes(), scale: 1 }.unpack(planes, row);
    }

    fn shader(&self) -> &'static [Part] {
        SHADER
    }

    fn overrides(&self) -> &[(&'static str, f64)] {
        &self.overrides
    }
}

/// The decoder and encoder of every block with a shared exponent and integer mantissas.
pub(super) const SHADER: &[Part] = &[part!("lib/bit_stream.wgsl"), part!("formats/bfp.wgsl")];

/// The exponent of a step: x = q·2^this.
fn step_exponent(e: u8, m: usize) -> i32 {
    i32::from(e) - 127 - (m as i32 - 2)
}

pub(super) fn decode(m: usize, block: &[u8], out: &mut [f32]) {
    // In f64 every product is exact, and so is its rounding: no mantissa has more bits than even a
    // subnormal f32 of this exponent.
    let step = if block[0] == 255 { f64::NAN } else { exp2(step_exponent(block[0], m)) };
    for (x, code) in out.iter_mut().zip(stream::unpack(m, &block[1..])) {
        let q = ((code << (8 - m)) as i8) >> (8 - m);
        *x = (f64::from(q) * step) as f32;
    }
}

pub(super) fn encode(m: usize, weights: &[f32], block: &mut [u8]) {
    let peak = super::peak(weights);
    let finite = peak.is_finite();
    let e = if finite { (peak.to_bits() >> 23) as u8 } else { 255 };
    let inverse = exp2(-step_exponent(e, m));
    let top = f64::from((1u32 << (m - 1)) - 1);
    block[0] = e;
    let code = |j: usize| {
        let q = (f64::from(weights[j]) * inverse).round_ties_even().clamp(-top, top);
        if finite { q as i8 as u8 & (255 >> (8 - m)) } else { 0 }
    };
    stream::pack(m, &mut block[1..], code);
}

/// 2^e, exact for every e of a normal f64.
fn exp2(e: i32) -> f64 {
    f64::from_bits(((e + 1023) as u64) << 52)
}
