//! What the formats with blocks of 256 share: codes that lie in strides in a file, and side by side
//! per chunk on the GPU.
//!
//! ggml keeps element j of a chunk in byte j of 32 bytes, and up to eight chunks in the same bytes,
//! at different bits (ggml-common.h). A [`Field`] is one chunk's bits of them.

use super::bits::u32_at;
use super::{bits, fit};

/// The largest binary16.
pub(super) const MAX_BINARY16: f32 = 65504.0;

/// Weights in a block.
pub(super) const SUPER_BLOCK: usize = 256;

/// Chunks in a block.
pub(super) const CHUNKS: usize = 8;

/// The codes of one chunk: `width` bits at `shift` of the 32 bytes from `at`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    at: usize,
    shift: usize,
    width: usize,
}

impl Field {
    /// Bit c of 32 bytes (Q3_K's `hmask`, Q5_K's `qh`).
    pub(super) fn bit(c: usize) -> Self {
        Self { at: 0, shift: c, width: 1 }
    }

    /// Two bits: four chunks to 32 bytes (`qs` of Q2_K, Q3_K and TQ2_0, `qh` of Q6_K).
    pub(super) fn crumb(c: usize) -> Self {
        Self { at: c / 4 * 32, shift: c % 4 * 2, width: 2 }
    }

    /// Four bits: two neighbouring chunks to 32 bytes (`qs` of Q4_K and Q5_K).
    pub(super) fn nibble(c: usize) -> Self {
        Self { at: c / 2 * 32, shift: c % 2 * 4, width: 4 }
    }

    /// Four bits: chunks c and c + 2 to 32 bytes, four to 64 (`ql` of Q6_K).
    pub(super) fn far_nibble(c: usize) -> Self {
        Self { at: c / 4 * 64 + c % 2 * 32, shift: c / 2 % 2 * 4, width: 4 }
    }

    /// Code j of the chunk.
    pub(super) fn get(self, bytes: &[u8], j: usize) -> u8 {
        bytes[self.at + j] >> self.shift & self.mask()
    }

    /// Sets code j, of which nothing is set yet; bits beyond the field's width are left out.
    pub(super) fn put(self, bytes: &mut [u8], j: usize, code: u8) {
        bytes[self.at + j] |= (code & self.mask()) << self.shift;
    }

    /// The chunk's 32 codes to `width` zeroed words, the first in the lowest bits.
    pub(super) fn to_words(self, bytes: &[u8], words: &mut [u32]) {
        for (i, eight) in bytes[self.at..self.at + 32].chunks_exact(8).enumerate() {
            let eight = u64::from(u32_at(eight, 0)) | u64::from(u32_at(eight, 4)) << 32;
            let bit = 8 * i * self.width;
            words[bit / 32] |= self.gather(eight >> self.shift) << (bit % 32);
        }
    }

    /// The inverse of [`to_words`](Self::to_words): sets the codes, of which nothing is set yet.
    pub(super) fn put_words(self, words: &[u32], bytes: &mut [u8]) {
        for (i, eight) in bytes[self.at..self.at + 32].chunks_exact_mut(8).enumerate() {
            let bit = 8 * i * self.width;
            let codes = self.spread(words[bit / 32] >> (bit % 32)) << self.shift;
            eight.iter_mut().zip(codes.to_le_bytes()).for_each(|(to, code)| *to |= code);
        }
    }

    /// The lowest `width` bits of eight bytes, side by side.
    fn gather(self, bytes: u64) -> u32 {
        let w = self.width;
        let x = bytes & every(8, w);
        let x = (x | x >> (8 - w)) & every(16, 2 * w);
        let x = (x | x >> (16 - 2 * w)) & every(32, 4 * w);
        (x | x >> (32 - 4 * w)) as u32 & every(64, 8 * w) as u32
    }

    /// The inverse of [`gather`](Self::gather), of the lowest 8·`width` bits.
    fn spread(self, codes: u32) -> u64 {
        let w = self.width;
        let x = u64::from(codes) & every(64, 8 * w);
        let x = (x | x << (32 - 4 * w)) & every(32, 4 * w);
        let x = (x | x << (16 - 2 * w)) & every(16, 2 * w);
        (x | x << (8 - w)) & every(8, w)
    }

    fn mask(self) -> u8 {
        (1 << self.width) - 1
    }
}

/// The lowest `bits` bits of every `of`.
fn every(of: usize, bits: usize) -> u64 {
    u64::MAX / (u64::MAX >> (64 - of)) * ((1 << bits) - 1)
}

/// Q4_K's and Q5_K's 12 bytes of eight scales and eight minima of six bits (ggml-quants.c,
/// `get_scale_min_k4`): those of chunk c.
pub(super) fn scale_and_min(bytes: &[u8], c: usize) -> (u8, u8) {
    if c < 4 {
        return (bytes[c] & 63, bytes[c + 4] & 63);
    }
    let low = bytes[c + 4];
    (low & 15 | bytes[c - 4] >> 6 << 4, low >> 4 | bytes[c] >> 6 << 4)
}

/// Sets those of chunk c in bytes where they are still zero.
pub(super) fn put_scale_and_min(bytes: &mut [u8], c: usize, (scale, min): (u8, u8)) {
    if c < 4 {
        bytes[c] |= scale;
        bytes[c + 4] |= min;
        return;
    }
    bytes[c + 4] = scale & 15 | min << 4;
    bytes[c - 4] |= scale >> 4 << 6;
    bytes[c] |= min >> 4 << 6;
}

/// The 12 bytes as three words: the scales' low four bits, the minima's, and 4 bits per chunk: two
/// high ones of the scale, two of the minimum.
pub(super) fn scales_to_words(bytes: &[u8], words: &mut [u32]) {
    for c in 0..CHUNKS {
        let (scale, min) = scale_and_min(bytes, c);
        words[0] |= u32::from(scale & 15) << (4 * c);
        words[1] |= u32::from(min & 15) << (4 * c);
        words[2] |= u32::from(scale >> 4 | min >> 4 << 2) << (4 * c);
    }
}

/// The inverse of [`scales_to_words`].
pub(super) fn words_to_scales(words: &[u32], bytes: &mut [u8]) {
    for c in 0..CHUNKS {
        let [scale, min, high] = [0, 1, 2].map(|i| (words[i] >> (4 * c) & 15) as u8);
        put_scale_and_min(bytes, c, (scale | (high & 3) << 4, min | high >> 2 << 4));
    }
}

/// Encodes a block of Q4_K or Q5_K but for its codes, of 0..=top, which are given to `put` with
/// their chunk and place.
pub(super) fn encode_affine(
    weights: &[f32],
    top: f32,
    block: &mut [u8],
    put: impl Fn(&mut [u8], usize, usize, u8),
) {
    block.fill(0);
    if let Some(odd) = fit::unfit(weights, MAX_BINARY16 * 63.0) {
        bits::put_u16(block, 0, odd);
        return bits::put_u16(block, 2, odd);
    }
    let fit = fit::Affine::<CHUNKS>::fit(weights, top, 63.0);
    bits::put_u16(block, 0, fit.d);
    bits::put_u16(block, 2, fit.dmin);
    for (c, x) in weights.chunks_exact(32).enumerate() {
        put_scale_and_min(&mut block[4..16], c, fit.codes[c]);
        let (s, m) = fit.step_and_min(c);
        for (j, &x) in x.iter().enumerate() {
            put(block, c, j, fit::affine_code(x, s, m, top));
        }
    }
}
