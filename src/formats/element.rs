//! Small floats, the elements of blocks: 1 sign bit, E exponent bits and M mantissa bits, 3 to 8
//! bits in all. With bias b, exponent field e and mantissa m a code is worth
//! ±(1 + m/2^M)·2^(e − b), or ±m/2^M·2^(1 − b) where e = 0. Codes above the largest finite one, where
//! a kind has any, are infinity (mantissa 0) or NaN. `shaders/lib/element.wgsl` is the twin.

use super::bits::INFINITY;

/// A kind of small float.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element {
    exponent_bits: u32,
    mantissa_bits: u32,
    bias: u32,
    /// The code of the largest finite value.
    largest: u32,
}

impl Element {
    /// Every code a number.
    pub(super) const fn finite(exponent_bits: u32, mantissa_bits: u32) -> Self {
        let largest = (1 << (exponent_bits + mantissa_bits)) - 1;
        Self { exponent_bits, mantissa_bits, bias: (1 << (exponent_bits - 1)) - 1, largest }
    }

    /// The top exponent means infinity and NaN, as in IEEE 754.
    pub(super) const fn ieee(exponent_bits: u32, mantissa_bits: u32) -> Self {
        let largest = (((1 << exponent_bits) - 1) << mantissa_bits) - 1;
        Self { largest, ..Self::finite(exponent_bits, mantissa_bits) }
    }

    /// OCP's E4M3: no infinity, and NaN is all ones.
    pub(super) const E4M3: Self = Self { largest: 0x7e, ..Self::finite(4, 3) };

    /// Bits of a code.
    pub(super) fn width(self) -> usize {
        1 + (self.exponent_bits + self.mantissa_bits) as usize
    }

    /// The largest finite value.
    pub(super) fn max(self) -> f32 {
        self.decode(self.largest as u8)
    }

    /// ⌊log2⌋ of the largest finite value.
    pub(super) fn max_exponent(self) -> i32 {
        (self.largest >> self.mantissa_bits) as i32 - self.bias as i32
    }

    /// What the WGSL part is specialised by.
    pub(super) fn overrides(self) -> [(&'static str, f64); 4] {
        [
            ("EXPONENT_BITS", self.exponent_bits.into()),
            ("MANTISSA_BITS", self.mantissa_bits.into()),
            ("EXPONENT_BIAS", self.bias.into()),
            ("LARGEST_CODE", self.largest.into()),
        ]
    }

    /// The value of a code; bits above the code's own are ignored.
    pub(super) fn decode(self, code: u8) -> f32 {
        let (sign_at, up) = (self.exponent_bits + self.mantissa_bits, 23 - self.mantissa_bits);
        let code = u32::from(code);
        let sign = (code >> sign_at & 1) << 31;
        let size = code & ((1 << sign_at) - 1);
        let bits = if size > self.largest {
            INFINITY | size << up
        } else if size >> self.mantissa_bits == 0 {
            let unit = f32::from_bits((128 - self.bias - self.mantissa_bits) << 23);
            (size as f32 * unit).to_bits()
        } else {
            (size << up) + ((127 - self.bias) << 23)
        };
        f32::from_bits(sign | bits)
    }

    /// The value of every byte, as [`decode`](Self::decode) has it.
    pub(super) fn values(self) -> [f32; 256] {
        std::array::from_fn(|code| self.decode(code as u8))
    }

    /// The nearest code, of two the even one. Too large values become the largest finite one; NaN
    /// becomes the code of all ones, and 0 where every code is a number.
    pub(super) fn encode(self, x: f32) -> u8 {
        let sign_at = self.exponent_bits + self.mantissa_bits;
        let sign = (x.to_bits() >> 31) << sign_at;
        let size = x.to_bits() & 0x7fff_ffff;
        let all_ones = (1 << sign_at) - 1;
        if size > INFINITY {
            return (sign | if self.largest < all_ones { all_ones } else { 0 }) as u8;
        }
        // Exponents count from that of the smallest normal code; there and below, the unit stays.
        // An f32 without an exponent is far too small for its missing bit to matter.
        let exponent = (size >> 23) as i32 - (128 - self.bias as i32);
        let mantissa = size & 0x7f_ffff | 0x80_0000;
        let m = ((exponent.clamp(0, 1 << self.exponent_bits) as u32) << 23) + mantissa;
        let cut = (23 - self.mantissa_bits + (-exponent).max(0) as u32).min(31);
        let rounded = (m + (1 << (cut - 1)) - 1 + (m >> cut & 1)) >> cut;
        (sign | rounded.min(self.largest)) as u8
    }
}
