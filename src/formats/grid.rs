//! What GGUF's IQ formats share: groups of 8 or 4 weights are points of a grid, a code book whose
//! coordinates are few levels, times signs and a scale. The WGSL twin is `shaders/lib/grid.wgsl`.

use super::bits;

/// Weights in a block of every IQ format with a grid.
pub(super) const BLOCK: usize = 256;

/// A code book.
#[derive(Debug)]
pub(super) struct Grid {
    /// Points, two to a word, the even one low. A point numbers the levels of its coordinates.
    pub words: &'static [u32],
    /// Bits of a coordinate: 2 (a point is 8 weights) or 4 (4 weights).
    pub bits: u32,
    /// What a coordinate is worth.
    pub levels: &'static [f32],
}

impl Grid {
    /// Point `i`: its levels' numbers, the first coordinate lowest.
    pub fn point(&self, i: usize) -> u16 {
        bits::half(self.words, i)
    }

    /// What coordinate `j` of a point is worth.
    pub fn level(&self, point: u16, j: usize) -> f32 {
        self.levels[usize::from(point >> (self.bits * j as u32)) & ((1 << self.bits) - 1)]
    }

    /// The weights of point `i`: `scale` times its levels, negative where the bit in `signs` is
    /// set.
    pub fn decode(&self, i: usize, signs: u32, scale: f32, out: &mut [f32]) {
        let point = self.point(i);
        for (j, x) in out.iter_mut().enumerate() {
            let level = self.level(point, j);
            *x = scale * if signs >> j & 1 == 0 { level } else { -level };
        }
    }
}

/// Seven signs, and the eighth, which makes their number even (`ksigns_iq2xs` in ggml-common.h).
pub(super) fn even_signs(seven: u32) -> u32 {
    seven | (seven.count_ones() & 1) << 7
}

/// Half-bytes of scales: that of `i` is in byte i / 2, the even one low.
pub(super) fn nibble(bytes: &[u8], i: usize) -> u8 {
    bytes[i / 2] >> (4 * (i % 2)) & 15
}

/// Sets the half-byte that [`nibble`] reads, where it is still zero.
pub(super) fn put_nibble(bytes: &mut [u8], i: usize, x: u8) {
    bytes[i / 2] |= x << (4 * (i % 2));
}
