//! Chunks of weights as small integers with scales, for multiplication with int8 activations; the
//! twin of `shaders/lib/integers.wgsl`.

use super::{CHUNK, FormatRef};

/// A chunk of weights: weight j is d·scales\[j / 16\]·(codes\[j\] − zero) + m.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Integers {
    /// The codes.
    pub codes: [i8; CHUNK],
    /// What code stands for nothing.
    pub zero: i32,
    /// A factor for each half.
    pub scales: [i32; 2],
    /// The step.
    pub d: f32,
    /// What every weight has on top, where the format has a minimum.
    pub m: Option<f32>,
}

impl Integers {
    /// A chunk with one step; `code` gives the code at a place.
    pub(super) fn new(d: f32, zero: i32, code: impl Fn(usize) -> u8) -> Self {
        Self { codes: std::array::from_fn(|j| code(j) as i8), zero, scales: [1; 2], d, m: None }
    }

    /// The same with a minimum.
    pub(super) fn and_minimum(self, m: f32) -> Self {
        Self { m: Some(m), ..self }
    }
}

/// The chunks of a row of whole blocks; `None` for a format without integers. The row has no scale
/// of its own in any that has them.
pub fn row_integers(format: FormatRef, row: &[u8]) -> Option<Vec<Integers>> {
    let in_block = format.block_len().div_ceil(CHUNK);
    let blocks = row.chunks_exact(format.block_bytes());
    blocks.flat_map(|block| (0..in_block).map(|c| format.integers(block, c))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::{FORMATS, decode_row, encode_row, row_bytes};
    use crate::gpu::link;

    /// A row of four blocks.
    fn row(format: FormatRef) -> (Vec<u8>, Vec<f32>) {
        let k = 4 * format.block_len();
        let weights: Vec<f32> = (0..k).map(|i| ((i * i) as f32 * 0.37).sin() + 0.1).collect();
        let mut row = vec![0; row_bytes(format, k).unwrap()];
        encode_row(format, &weights, &mut row).unwrap();
        let mut decoded = vec![0.0; k];
        decode_row(format, &row, &mut decoded).unwrap();
        (row, decoded)
    }

    #[test]
    fn they_are_the_weights() {
        let mut names = Vec::new();
        for &format in FORMATS.iter().filter(|f| f.integers(&row(**f).0, 0).is_some()) {
            names.push(format.name());
            let (row, decoded) = row(format);
            let chunks = row_integers(format, &row).unwrap();
            assert_eq!(chunks.len(), decoded.len() / CHUNK);
            for (chunk, decoded) in chunks.iter().zip(decoded.chunks_exact(CHUNK)) {
                for (j, want) in decoded.iter().enumerate() {
                    let code = chunk.scales[j / 16] * (i32::from(chunk.codes[j]) - chunk.zero);
                    let m = chunk.m.map_or(0.0, f64::from);
                    let value = f64::from(chunk.d) * f64::from(code) + m;
                    assert_eq!(value as f32, *want, "{} {j}", format.name());
                }
            }
        }
        assert_eq!(names, ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q4_k", "q6_k", "mxfp4"]);
    }

    #[test]
    fn shaders_have_them_where_formats_do() {
        for format in FORMATS {
            let declares =
                |part: &crate::gpu::Part| link::declared(part.text).any(|n| n == "integers");
            let shader = format.shader().iter().any(declares);
            assert_eq!(shader, format.integers(&row(*format).0, 0).is_some(), "{}", format.name());
        }
    }
}
