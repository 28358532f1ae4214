//! The small permutations of bits and the conversions of floats that formats share.

/// Weights in a block of the formats with 4- and 5-bit codes.
pub(super) const BLOCK: usize = 32;

/// The bits of infinity; a NaN's are above.
pub(super) const INFINITY: u32 = 0x7f80_0000;

/// The bits of the largest magnitude: above [`INFINITY`] where there is a NaN.
pub(super) fn peak_bits(weights: &[f32]) -> u32 {
    weights.iter().fold(0, |peak, x| peak.max(x.to_bits() & 0x7fff_ffff))
}

/// The value of a binary16, by its bits: NaN payloads stay, no device flag can flush a subnormal.
/// The twin of `f16_value` in `shaders/lib/vec8.wgsl`.
pub(super) fn f16_to_f32(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let mantissa = u32::from(bits & 0x3ff);
    let magnitude = match u32::from(bits >> 10) & 31 {
        0 => (mantissa as f32 * 2f32.powi(-24)).to_bits(),
        31 => 0x7f80_0000 | mantissa << 13,
        exponent => (exponent + 112) << 23 | mantissa << 13,
    };
    f32::from_bits(sign | magnitude)
}

/// The nearest binary16, ties to even. A NaN stays one and keeps the payload bits that fit.
pub(super) fn f32_to_f16(x: f32) -> u16 {
    if !x.is_nan() {
        return half::f16::from_f32(x).to_bits();
    }
    let [low, high] = [x.to_bits() >> 13, x.to_bits() >> 16].map(|b| b as u16);
    let payload = low & 0x3ff;
    high & 0x8000 | 0x7c00 | payload.max(1)
}

/// The little-endian `u16` at `at`.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// The little-endian `u32` at `at`.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The value of the binary16 at `at`.
pub(super) fn f16_at(bytes: &[u8], at: usize) -> f32 {
    f16_to_f32(u16_at(bytes, at))
}

/// Writes a little-endian `u16` at `at`.
pub(super) fn put_u16(bytes: &mut [u8], at: usize, x: u16) {
    bytes[at..at + 2].copy_from_slice(&x.to_le_bytes());
}

/// Writes a little-endian `u32` at `at`.
pub(super) fn put_u32(bytes: &mut [u8], at: usize, x: u32) {
    bytes[at..at + 4].copy_from_slice(&x.to_le_bytes());
}

/// Writes the binary16 nearest to `x` at `at`.
pub(super) fn put_f16(bytes: &mut [u8], at: usize, x: f32) {
    put_u16(bytes, at, f32_to_f16(x));
}

/// Little-endian bytes to words; the inverse of [`words_to_bytes`].
pub(super) fn bytes_to_words(bytes: &[u8], words: &mut [u32]) {
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = u32_at(bytes, 0);
    }
}

/// Words to little-endian bytes.
pub(super) fn words_to_bytes(words: &[u32], bytes: &mut [u8]) {
    for (word, bytes) in words.iter().zip(bytes.chunks_exact_mut(4)) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
}

/// Each eight bytes to two words: those at even places, and those at odd ones.
pub(super) fn bytes_to_even_odd(bytes: &[u8], words: &mut [u32]) {
    for (pair, b) in words.chunks_exact_mut(2).zip(bytes.chunks_exact(8)) {
        pair[0] = u32::from_le_bytes([b[0], b[2], b[4], b[6]]);
        pair[1] = u32::from_le_bytes([b[1], b[3], b[5], b[7]]);
    }
}

/// The inverse of [`bytes_to_even_odd`].
pub(super) fn even_odd_to_bytes(words: &[u32], bytes: &mut [u8]) {
    for (pair, b) in words.chunks_exact(2).zip(bytes.chunks_exact_mut(8)) {
        let places = pair[0].to_le_bytes().into_iter().zip(pair[1].to_le_bytes());
        b.chunks_exact_mut(2)
            .zip(places)
            .for_each(|(to, (even, odd))| to.copy_from_slice(&[even, odd]));
    }
}

/// Sets bytes from byte `at` on, in words where they are still zero.
pub(super) fn put_bytes(words: &mut [u32], at: usize, bytes: &[u8]) {
    for (i, &byte) in (at..).zip(bytes) {
        words[i / 4] |= u32::from(byte) << (8 * (i % 4));
    }
}

/// The bytes that [`put_bytes`] set.
pub(super) fn get_bytes(words: &[u32], at: usize, bytes: &mut [u8]) {
    for (i, byte) in (at..).zip(bytes) {
        *byte = (words[i / 4] >> (8 * (i % 4))) as u8;
    }
}

/// Half `c mod 2` of word `c / 2`: a plane of 16-bit scales.
pub(super) fn half(plane: &[u32], c: usize) -> u16 {
    (plane[c / 2] >> (16 * (c % 2))) as u16
}

/// Sets the half that [`half`] reads, in a word whose half is still zero.
pub(super) fn put_half(plane: &mut [u32], c: usize, x: u16) {
    plane[c / 2] |= u32::from(x) << (16 * (c % 2));
}

/// Code j of GGUF's 16 nibble bytes: j < 16 in the low half of byte j, j + 16 in its high half.
pub(super) fn nibble(qs: &[u8], j: usize) -> u8 {
    qs[j % 16] >> (j / 16 * 4) & 15
}

/// The five-bit code j: its nibble, and bit j of `fifth` above it.
pub(super) fn nibble_and_fifth(qs: &[u8], fifth: u32, j: usize) -> u8 {
    nibble(qs, j) | ((fifth >> j & 1) << 4) as u8
}

/// The inverse of [`nibble`]: 16 bytes of the low four bits of 32 codes.
pub(super) fn put_nibbles(codes: &[u8; BLOCK], qs: &mut [u8]) {
    for (j, q) in qs[..16].iter_mut().enumerate() {
        *q = codes[j] & 15 | codes[j + 16] << 4;
    }
}

/// The fifth bits of 32 codes: bit j is that of code j.
pub(super) fn fifth_bits(codes: &[u8; BLOCK]) -> u32 {
    codes.iter().enumerate().fold(0, |bits, (j, code)| bits | u32::from(code >> 4 & 1) << j)
}

/// GGUF's 16 nibble bytes to 4 words of 8 codes, in the order of the codes, lowest nibble first.
pub(super) fn nibbles_to_words(qs: &[u8], words: &mut [u32]) {
    for half in 0..2 {
        let mut pair = [0; 2];
        byte_nibbles_to_words(&qs[8 * half..], &mut pair);
        [words[half], words[half + 2]] = pair;
    }
}

/// The inverse of [`nibbles_to_words`].
pub(super) fn words_to_nibbles(words: &[u32], qs: &mut [u8]) {
    for half in 0..2 {
        words_to_byte_nibbles(&[words[half], words[half + 2]], &mut qs[8 * half..8 * half + 8]);
    }
}

/// 8 bytes to two words: their low nibbles, and their high ones.
pub(super) fn byte_nibbles_to_words(bytes: &[u8], words: &mut [u32]) {
    let bytes = u64::from(u32_at(bytes, 0)) | u64::from(u32_at(bytes, 4)) << 32;
    words[0] = gather_nibbles(bytes);
    words[1] = gather_nibbles(bytes >> 4);
}

/// The inverse of [`byte_nibbles_to_words`].
pub(super) fn words_to_byte_nibbles(words: &[u32], bytes: &mut [u8]) {
    let both = spread_nibbles(words[0]) | spread_nibbles(words[1]) << 4;
    bytes.copy_from_slice(&both.to_le_bytes());
}

/// The low nibbles of 8 bytes, side by side.
fn gather_nibbles(bytes: u64) -> u32 {
    let x = bytes & 0x0f0f_0f0f_0f0f_0f0f;
    let x = (x | x >> 4) & 0x00ff_00ff_00ff_00ff;
    let x = (x | x >> 8) & 0x0000_ffff_0000_ffff;
    (x | x >> 16) as u32
}

/// The inverse of [`gather_nibbles`].
fn spread_nibbles(word: u32) -> u64 {
    let x = u64::from(word);
    let x = (x | x << 16) & 0x0000_ffff_0000_ffff;
    let x = (x | x << 8) & 0x00ff_00ff_00ff_00ff;
    (x | x << 4) & 0x0f0f_0f0f_0f0f_0f0f
}

/// A row of blocks of a binary16 and 16 nibble bytes (Q4_0, IQ4_NL) to its planes: 4 words of codes a
/// chunk, half a word of scale.
pub(super) fn half_and_nibbles_to_planes(row: &[u8], planes: &mut [&mut [u32]]) {
    for (c, block) in row.chunks_exact(18).enumerate() {
        nibbles_to_words(&block[2..], &mut planes[0][4 * c..4 * c + 4]);
        put_half(planes[1], c, u16_at(block, 0));
    }
}

/// The inverse of [`half_and_nibbles_to_planes`].
pub(super) fn planes_to_half_and_nibbles(planes: &[&[u32]], row: &mut [u8]) {
    for (c, block) in row.chunks_exact_mut(18).enumerate() {
        words_to_nibbles(&planes[0][4 * c..4 * c + 4], &mut block[2..]);
        put_u16(block, 0, half(planes[1], c));
    }
}
