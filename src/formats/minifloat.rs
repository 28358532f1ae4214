//! Minifloats of 3 to 8 bits with a scale per row or per block: x = d·element.
//!
//! An element `e{E}m{M}` has a sign, E ≥ 1 exponent bits and M ≥ 0 mantissa bits, the bias
//! 2^(E−1) − 1 and subnormals as IEEE 754 has them. Every code is a number; with `:ieee` (E ≥ 2, M ≥ 1)
//! those of the top exponent are infinity and NaN. `e4m3:n32` is not OCP's E4M3, whose all ones is
//! NaN.
//!
//! - `:row`: an f32 in front of each row, max|x| / largest element. 1 + E + M bits per weight.
//! - `:n16`, `:n32`, `:n64`, `:n128`: an f16 h per block, d = h·2^−k with k = ⌊log2 of the largest
//!   element⌋; 16/N bits more. h is max|x| / (largest element / 2^k), so it is of the weights' own
//!   size, and an f16's range is that of the weights whatever E is.
//!
//! File: h, little end first, if there is one; then the codes as a little-endian stream, element j in
//! bits w·j.. with w = 1 + E + M. Blocks of `:row` have 32 codes.
//!
//! Encoding: quotients x / d in f32 by the scale as it is stored, to the nearest element, ties to the
//! even code, at most the largest. A block whose h is 0, infinite or NaN has codes of 0, so that it
//! decodes to zeros or to NaN. The error is at most half the gap between the elements around x / d,
//! times d; where h was rounded down, the largest weight may be cut by 2^−11 of its size, more where h is
//! subnormal (max|x| below 2^−14).
//!
//! GPU layout: plane 0, w words per chunk: the codes' stream. Plane 1, unless `:row`: h, a half word per
//! block, one word to 1, 2, 4 or 8 chunks for N = 16, 32, 64 and 128.

use std::sync::LazyLock;

use super::element::Element;
use super::stream::{self, Blocks};
use super::{CHUNK, Facts, Family, Format, FormatRef, Plane, RowScale, bits};
use crate::gpu::{Part, part};

/// The family, for the table.
pub(super) const FAMILY: Family = Family {
    name: "minifloat",
    grammar: "e{E}m{M}[:ieee]:{row,n16,n32,n64,n128}",
    aliases: &[],
    members: &MEMBERS,
    samples: &[
        "e4m3:n32",
        "e5m2:ieee:row",
        "e2m0:n16",
        "e2m1:n16",
        "e1m3:n64",
        "e3m2:n64",
        "e2m4:ieee:n128",
        "e7m0:n32",
    ],
};

/// Lengths of blocks with a scale of their own; 0 stands for a row.
const SCOPES: [usize; 5] = [0, 16, 32, 64, 128];

static MEMBERS: LazyLock<Vec<FormatRef>> = LazyLock::new(|| {
    let sizes = (1..8).flat_map(|e| (0..8 - e).map(move |m| (e, m))).filter(|(e, m)| e + m > 1);
    let finite = sizes.clone().map(|(e, m)| (format!("e{e}m{m}"), Element::finite(e, m)));
    let ieee = sizes.filter(|(e, m)| *e > 1 && *m > 0);
    let ieee = ieee.map(|(e, m)| (format!("e{e}m{m}:ieee"), Element::ieee(e, m)));
    let elements: Vec<(String, Element)> = finite.chain(ieee).collect();
    let members = elements.iter().flat_map(|(name, element)| {
        SCOPES.map(|scope| -> FormatRef {
            Box::leak(Box::new(Minifloat::new(name, *element, scope)))
        })
    });
    members.collect()
});

/// One member of the family.
#[derive(Debug)]
struct Minifloat {
    name: &'static str,
    element: Element,
    values: [f32; 256],
    /// Weights that share an f16, or 0.
    scope: usize,
    planes: Vec<Plane>,
    overrides: Vec<(&'static str, f64)>,
}

impl Minifloat {
    fn new(element_name: &str, element: Element, scope: usize) -> Self {
        let mut planes = vec![Plane { words: element.width(), chunks: 1 }];
        let mut overrides = element.overrides().to_vec();
        overrides.push(("SCOPE_LEN", scope as f64));
        let name: String = match scope {
            0 => format!("{element_name}:row"),
            n => {
                planes.push(Plane { words: 1, chunks: n / 16 });
                format!("{element_name}:n{n}")
            }
        };
        Self { name: name.leak(), element, values: element.values(), scope, planes, overrides }
    }

    /// Bytes in front of a block's codes.
    fn header(&self) -> usize {
        if self.scope == 0 { 0 } else { 2 }
    }

    /// 2^k: the largest element is 1 to 2 times that.
    fn power(&self) -> f32 {
        2f32.powi(self.element.max_exponent())
    }

    /// The bits of h for a block of this peak.
    fn scale_bits(&self, peak: u32) -> u16 {
        if peak > bits::INFINITY {
            return 0x7e00;
        }
        bits::f32_to_f16(f32::from_bits(peak) / (self.element.max() / self.power()))
    }

    /// d, of the bits of h.
    fn scale(&self, h: u16) -> f32 {
        bits::f16_to_f32(h) / self.power()
    }
}

impl Format for Minifloat {
    fn facts(&self) -> Facts {
        let len = if self.scope == 0 { CHUNK } else { self.scope };
        let codes = self.element.width() * len / 8;
        Facts::new(self.name, (len, self.header() + codes))
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        let (header, codes) = block.split_at(self.header());
        for (x, code) in out.iter_mut().zip(stream::unpack(self.element.width(), codes)) {
            *x = self.values[usize::from(code)];
        }
        if self.scope > 0 {
            let d = self.scale(bits::u16_at(header, 0));
            out.iter_mut().for_each(|x| *x *= d);
        }
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        let (header, codes) = block.split_at_mut(self.header());
        let (element, width) = (self.element, self.element.width());
        if self.scope == 0 {
            return stream::pack(width, codes, |j| element.encode(weights[j]));
        }
        let h = self.scale_bits(bits::peak_bits(weights));
        let d = self.scale(h);
        bits::put_u16(header, 0, h);
        if d > 0.0 && d.is_finite() {
            stream::pack(width, codes, |j| element.encode(weights[j] / d));
        } else {
            codes.fill(0);
        }
    }

    fn row_scale(&self) -> RowScale {
        if self.scope == 0 { RowScale::PerRow(self.element.max()) } else { RowScale::None }
    }

    fn planes(&self) -> &[Plane] {
        &self.planes
    }

    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]) {
        Blocks { bytes: self.block_bytes(), scale: self.header() }.repack(row, planes);
    }

    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]) {
        Blocks { bytes: self.block_bytes(), scale: self.header() }.unpack(planes, row);
    }

    fn shader(&self) -> &'static [Part] {
        &[part!("lib/bit_stream.wgsl"), part!("lib/element.wgsl"), part!("formats/minifloat.wgsl")]
    }

    fn overrides(&self) -> &[(&'static str, f64)] {
        &self.overrides
    }
}
