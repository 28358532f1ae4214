//! OCP MX: blocks of 32 small floats with a power of two, x = 2^(s − 127)·element
//! (OCP Microscaling Formats v1.0, sections 5 and 6).
//!
//! | name | element | bits per weight | largest · smallest element |
//! |---|---|---|---|
//! | `mxfp4_ocp` | E2M1 | 4.25 | 6 · 2^−1 |
//! | `mxfp6_e2m3` | E2M3 | 6.25 | 7.5 · 2^−3 |
//! | `mxfp6_e3m2` | E3M2 | 6.25 | 28 · 2^−4 |
//! | `mxfp8_e4m3` | E4M3, all ones NaN | 8.25 | 448 · 2^−9 |
//! | `mxfp8_e5m2` | E5M2, with infinity and NaN | 8.25 | 57344 · 2^−16 |
//!
//! File: `s: u8` (E8M0; 255 makes the block NaN), then w·4 bytes: element j in bits w·j.. of the
//! little-endian bit stream. The specification leaves the order open; this one is ours.
//!
//! Decoding is exact: no product has more bits than an f32, down to 2^−143; above the largest f32
//! it is infinite. Encoding is the specification's (6.3): s = ⌊log2 max|x|⌋ − ⌊log2 max element⌋ +
//! 127, at least 0; elements to the nearest, ties to even, at most the largest. A NaN or an infinity
//! makes s 255 and all elements 0. The largest weights of a block may lie above the largest element
//! and are cut to it: by at most 1/4 of their size for E2M1, 1/8 for E3M2, E4M3 and E5M2, 1/16 for
//! E2M3. All others are within half a unit of their element's last place.
//!
//! GPU layout: plane 0, w words per chunk: the bit stream. Plane 1, 1 word per 4 chunks: s of chunk
//! c in byte c mod 4.

use std::sync::LazyLock;

use super::element::Element;
use super::stream::{self, Blocks};
use super::{Facts, Family, Format, FormatRef, Plane, bits};
use crate::gpu::{Part, part};

/// The five formats of floats.
pub(super) const FAMILY: Family = Family {
    name: "mx",
    grammar: "mxfp{4_ocp,6_e2m3,6_e3m2,8_e4m3,8_e5m2}",
    aliases: &[],
    members: &MEMBERS,
    samples: &["mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp4_ocp"],
};

static MEMBERS: LazyLock<Vec<FormatRef>> = LazyLock::new(|| {
    let member = |name, element| -> FormatRef { Box::leak(Box::new(Mx::new(name, element))) };
    vec![
        member("mxfp4_ocp", Element::finite(2, 1)),
        member("mxfp6_e2m3", Element::finite(2, 3)),
        member("mxfp6_e3m2", Element::finite(3, 2)),
        member("mxfp8_e4m3", Element::E4M3),
        member("mxfp8_e5m2", Element::ieee(5, 2)),
    ]
});

/// The scale of a block that has no number.
const NAN: u8 = 255;

/// A block of 32 elements of one kind.
#[derive(Debug)]
struct Mx {
    name: &'static str,
    element: Element,
    values: [f32; 256],
    overrides: [(&'static str, f64); 4],
    planes: [Plane; 2],
}

impl Mx {
    fn new(name: &'static str, element: Element) -> Self {
        let planes = [Plane { words: element.width(), chunks: 1 }, Plane { words: 1, chunks: 4 }];
        Self { name, element, values: element.values(), overrides: element.overrides(), planes }
    }
}

impl Format for Mx {
    fn facts(&self) -> Facts {
        Facts::new(self.name, (32, 1 + 4 * self.element.width()))
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        let scale = match u32::from(block[0]) {
            0 => f32::MIN_POSITIVE / 2.0,
            255 => f32::NAN,
            s => f32::from_bits(s << 23),
        };
        for (x, code) in out.iter_mut().zip(stream::unpack(self.element.width(), &block[1..])) {
            *x = scale * self.values[usize::from(code)];
        }
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        let peak = bits::peak_bits(weights);
        if peak >= bits::INFINITY {
            block.fill(0);
            block[0] = NAN;
            return;
        }
        let s = ((peak >> 23) as i32 - self.element.max_exponent()).max(0);
        // 2^(127 − s). What rounds here, because it is subnormal, rounds to 0 afterwards.
        let inverse = f32::from_bits(((254 - s) as u32) << 23);
        block[0] = s as u8;
        let code = |j: usize| self.element.encode(weights[j] * inverse);
        stream::pack(self.element.width(), &mut block[1..], code);
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
        &[
            part!("lib/bit_stream.wgsl"),
            part!("lib/element.wgsl"),
            part!("lib/e8m0.wgsl"),
            part!("formats/mx.wgsl"),
        ]
    }

    fn overrides(&self) -> &[(&'static str, f64)] {
        &self.overrides
    }
}
