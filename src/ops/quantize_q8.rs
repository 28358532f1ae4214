//! Rows of f32 as signed bytes with a scale per 32 (GGUF's Q8_1, but for scales in f32), which
//! [`matmul_q8`](super::matmul_q8) multiplies with.

use super::{check_loop, fold};
use crate::error::{Error, Result};
use crate::formats::CHUNK;
use crate::gpu::{
    Access, Binding, Buffer, F32_BITS, Gpu, Grid, Op, Part, PlanBuilder, VEC8, Variant, params,
    part,
};

params! {
    /// Chunks in a row.
    chunks: u32,
    /// Rows to write.
    rows: u32,
    /// First row of x.
    x_row: u32,
    /// vec4s from row to row of x.
    x_stride: u32,
    /// 0, which the compiler does not know.
    opaque_zero: u32,
}

pub(super) const SEPARATE: Part = part!("lib/separate.wgsl");

/// The operation.
pub static OP: Op = Op {
    name: "quantize_q8",
    parts: &[part!("ops/quantize_q8.wgsl"), VEC8, F32_BITS, SEPARATE],
    formats: &[],
    reduces: false,
    bindings: &[
        Binding { name: "x", access: Access::Read },
        Binding { name: "q8", access: Access::Write },
    ],
    params: Params::INFO,
};

const LANES: usize = 64;

/// Words that a chunk takes.
pub const CHUNK_WORDS: usize = 12;

/// Words that rows of `cols` values take.
pub fn words(rows: usize, cols: usize) -> usize {
    rows * cols.div_ceil(CHUNK) * CHUNK_WORDS
}

/// A lane per chunk.
///
/// # Errors
/// [`Error::Shape`] where a row is no whole number of chunks.
pub fn workgroups(rows: usize, cols: usize) -> Result<Grid> {
    if cols == 0 || !cols.is_multiple_of(CHUNK) {
        let expected = format!("rows of a multiple of {CHUNK}");
        return Err(Error::Shape { op: "quantize_q8", expected, got: cols.to_string() });
    }
    // Two loops, however many there are.
    check_loop("quantize_q8", 12)?;
    Ok(fold((rows * (cols / CHUNK)).div_ceil(LANES)))
}

/// Records `rows` rows of `cols` values of x, from row `x_row` on, as bytes: rows 0.. of `q8`.
///
/// # Errors
/// As [`workgroups`].
pub fn record(
    plan: &mut PlanBuilder,
    (x, x_row): (&Buffer, usize),
    (rows, cols): (usize, usize),
    q8: &Buffer,
) -> Result<()> {
    let grid = workgroups(rows, cols)?;
    let params = Params {
        chunks: (cols / CHUNK) as u32,
        rows: rows as u32,
        x_row: x_row as u32,
        x_stride: cols as u32 / 4,
        opaque_zero: 0,
    };
    let variant = Variant::of(&[("LANES", LANES as f64)]);
    plan.dispatch(&OP, variant, &params, &[x, q8], grid)
}

/// Host rows of `cols` values as bytes: [`CHUNK_WORDS`] words for each 32 values.
///
/// # Errors
/// [`Error::Shape`] where they are no whole rows of whole chunks; what the device says.
pub async fn quantize_q8(gpu: &Gpu, x: &[f32], cols: usize) -> Result<Vec<u32>> {
    let rows = super::rows_of("quantize_q8", x.len(), cols)?;
    let words = words(rows, cols);
    let (x, q8) = (Buffer::from_slice(gpu, "x", x).await?, Buffer::new(gpu, "q8", words).await?);
    let mut plan = PlanBuilder::new(gpu, "quantize_q8");
    record(&mut plan, (&x, 0), (rows, cols), &q8)?;
    plan.run().await?;
    q8.read(0, words).await
}

/// A chunk of values as bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chunk {
    /// The step.
    pub d: f32,
    /// The bytes.
    pub codes: [i8; CHUNK],
}

/// Steps below this count as 0, so that no product with them is subnormal, which devices may flush.
const LEAST_STEP: f32 = 1.0 / (1u64 << 63) as f32 / 2.0;

impl Chunk {
    /// Rounds 32 values to the nearest byte, halves away from zero. A NaN or an infinity makes the
    /// step NaN.
    pub fn encode(x: &[f32]) -> Self {
        let peak = x.iter().fold(0, |peak, x| peak.max(x.to_bits() & 0x7fff_ffff));
        let peak = f32::from_bits(peak);
        if !peak.is_finite() {
            return Self { d: f32::from_bits(0x7fc0_0000), codes: [0; CHUNK] };
        }
        let d = peak / 127.0;
        if d < LEAST_STEP {
            return Self { d: 0.0, codes: [0; CHUNK] };
        }
        let inverse = 1.0 / d;
        let code = |x: f32| ((x.abs() * inverse + 0.5) as i8) * if x < 0.0 { -1 } else { 1 };
        let mut codes = [0; CHUNK];
        codes.iter_mut().zip(x).for_each(|(to, &x)| *to = code(x));
        Self { d, codes }
    }

    /// The sum of all codes, and that of the first half.
    pub fn sums(&self) -> [i32; 2] {
        let sum = |codes: &[i8]| codes.iter().copied().map(i32::from).sum();
        [sum(&self.codes), sum(&self.codes[..16])]
    }

    /// d·Σ codes.
    pub fn scaled_sum(&self) -> f32 {
        self.d * self.sums()[0] as f32
    }

    /// The words that the device has of it.
    pub fn words(&self) -> [u32; CHUNK_WORDS] {
        let mut words = [0; CHUNK_WORDS];
        for (j, code) in self.codes.iter().enumerate() {
            let (g, in_group) = (j / 8, j % 8);
            words[4 * (in_group % 2) + g] |= u32::from(*code as u8) << (in_group / 2 * 8);
        }
        let [whole, half] = self.sums();
        let about = [self.d.to_bits(), whole as u32, half as u32, self.scaled_sum().to_bits()];
        words[8..].copy_from_slice(&about);
        words
    }
}

/// The chunks of rows of values, exactly as the device makes them.
pub fn reference(x: &[f32]) -> Vec<Chunk> {
    x.chunks(CHUNK).map(Chunk::encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_within_half_a_step() {
        let x: [f32; CHUNK] = std::array::from_fn(|j| ((j * j) as f32).sin() * 3.0);
        let chunk = Chunk::encode(&x);
        for (x, code) in x.iter().zip(chunk.codes) {
            let error = (f64::from(*x) - f64::from(chunk.d) * f64::from(code)).abs();
            assert!(error <= f64::from(chunk.d) * 0.50001, "{error} of {}", chunk.d);
        }
        assert!(chunk.codes.iter().any(|c| c.unsigned_abs() == 127));
    }

    #[test]
    fn the_smallest_steps_are_zero_and_the_rest_is_not() {
        let least = 127.0 * LEAST_STEP;
        assert_eq!(Chunk::encode(&[least; CHUNK]).codes, [127; CHUNK]);
        let below = Chunk::encode(&[f32::from_bits(least.to_bits() - 1); CHUNK]);
        assert_eq!((below.d, below.codes), (0.0, [0; CHUNK]));
        assert!(Chunk::encode(&[f32::INFINITY; CHUNK]).scaled_sum().is_nan());
    }

    #[test]
    fn rows_are_whole_chunks() {
        assert!(matches!(workgroups(1, 33), Err(Error::Shape { .. })));
        assert_eq!(workgroups(3, 64).unwrap(), [1, 1, 1]);
    }
}
