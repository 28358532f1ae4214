//! The sixteen values of IQ4_NL and IQ4_XS, denser around zero than at their ends.

use super::bits;
use super::fit::{self, Grid};

/// What the codes stand for (ggml-common.h, `kvalues_iq4nl`).
const VALUES: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// The farthest that a number from −113 to 113 is from a value: half of 113 − 89.
#[cfg(test)]
const FARTHEST: i16 = 12;

/// The code nearest to the middle of each interval of a half, from −128 up. Values are whole, so
/// that no interval has a tie within.
const NEAREST: [u8; 512] = {
    let mut codes = [0; 512];
    let mut i = 0;
    while i < 512 {
        // In quarters.
        let middle = 2 * (i as i32 - 256) + 1;
        let mut code = 1;
        while code < 16 {
            let best = (4 * VALUES[codes[i] as usize] as i32 - middle).abs();
            if (4 * VALUES[code] as i32 - middle).abs() < best {
                codes[i] = code as u8;
            }
            code += 1;
        }
        i += 1;
    }
    codes
};

/// Their values.
const NEAREST_VALUE: [f32; 512] = {
    let mut values = [0.0; 512];
    let mut i = 0;
    while i < 512 {
        values[i] = VALUES[NEAREST[i] as usize] as f32;
        i += 1;
    }
    values
};

/// What a code stands for.
pub(super) fn value(code: u8) -> f32 {
    f32::from(VALUES[usize::from(code & 15)])
}

/// The codes of 32 weights that are d times a value, as 16 bytes of nibbles.
pub(super) fn put_codes(weights: &[f32], d: f32, qs: &mut [u8]) {
    let (mut codes, inverse) = ([0; 32], fit::inverse(d));
    codes.iter_mut().zip(weights).for_each(|(to, x)| *to = code(x * inverse));
    bits::put_nibbles(&codes, qs);
}

/// The code of the value nearest to v.
fn code(v: f32) -> u8 {
    NEAREST[interval(v)]
}

/// The interval that v lies in, or the nearest. Adding 2^23 leaves a whole number in the lowest bits;
/// where v is on a border, either side will do.
fn interval(v: f32) -> usize {
    let place = v.clamp(-127.75, 127.75) * 2.0 + 255.5;
    (place + 8_388_608.0).to_bits() as usize % NEAREST.len()
}

/// The values as a grid to fit a scale to.
#[derive(Debug)]
pub(super) struct Iq4;

impl Grid for Iq4 {
    const ENDS: (f32, f32) = (-127.0, 113.0);
    const STEP: f32 = 24.0;

    fn nearest(v: f32) -> f32 {
        NEAREST_VALUE[interval(v)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The encoders' bounds rest on this.
    #[test]
    fn codes_are_the_nearest_values() {
        for quarter in -600..600i16 {
            let distance = |value: i8| (4 * i16::from(value) - quarter).abs();
            let got = distance(VALUES[usize::from(code(f32::from(quarter) / 4.0))]);
            let near = Iq4::nearest(f32::from(quarter) / 4.0);
            assert_eq!(near, value(code(f32::from(quarter) / 4.0)));
            assert_eq!(Some(got), VALUES.into_iter().map(distance).min(), "{quarter}/4");
            assert!(quarter.abs() > 4 * 113 || got <= 4 * FARTHEST);
        }
    }
}
