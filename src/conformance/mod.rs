//! Every kernel, on every format that it reads, against its reference: small cases with the same
//! random data everywhere, for a machine that no test has seen, such as a visitor's browser. The
//! tests in `tests/gpu/` go further; what is held against what is the same.

mod attention;
mod bound;
mod choosing;
mod packed;
mod random;
mod rows;

use std::fmt;

use crate::error::Result;
use crate::formats::{FAMILIES, FORMATS, FormatRef, by_name};
use crate::gpu::Gpu;
use crate::ops::glu::Activation;
use crate::ops::matmul::SUMS_STORED_FROM;
use crate::ops::softmax::Algorithm;

pub(crate) use random::Random;

/// One kernel, one format, one shape.
#[derive(Debug, Clone)]
pub struct Case {
    /// The operation's name.
    pub op: &'static str,
    /// The weights' format, where it reads or writes packed weights.
    pub format: Option<FormatRef>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Matmul { m: usize, n: usize, k: usize },
    MatmulFetched { m: usize, n: usize, k: usize },
    MatmulNormed { n: usize, between: usize, k: usize },
    MatmulQ8 { m: usize, n: usize, k: usize },
    Dequantize { rows: usize, cols: usize },
    Quantize { rows: usize, cols: usize },
    QuantizeQ8 { rows: usize, cols: usize },
    Softmax { rows: usize, cols: usize, algorithm: Algorithm },
    RmsNorm { rows: usize, cols: usize },
    Stage { rows: usize, cols: usize },
    Glu { rows: usize, cols: usize, activation: Activation },
    Argmax { cols: usize },
    TopK { cols: usize, k: usize },
    Sample { width: usize },
    Rope(attention::Rope),
    KvAppend(attention::Append),
    Attention(attention::Shape),
}

/// What became of a case.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The largest error over what is allowed, where the result need not be exact: 1 is the bound.
    pub error: Option<f64>,
    /// Whether all of it is as it must be.
    pub passed: bool,
    /// What was held against what; of a failure, the first value that is wrong.
    pub detail: String,
}

impl Outcome {
    /// Of a result that must have these bits.
    fn exact<T: PartialEq + fmt::Debug>(got: &[T], want: &[T], what: &str) -> Self {
        let first = (0..want.len().max(got.len())).find(|&i| got.get(i) != want.get(i));
        let detail = match first {
            None => format!("{} {what} equal the reference's", want.len()),
            Some(i) => format!("[{i}] is {:?}, not {:?}", got.get(i), want.get(i)),
        };
        Self { error: None, passed: first.is_none(), detail }
    }

    /// Of values, each with the exact one and how far it may be from it.
    pub(crate) fn near(got: &[f32], want: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let mut worst = (0.0, String::new());
        let mut count = 0;
        for (i, (exact, allowed)) in want.into_iter().enumerate() {
            count += 1;
            let value = got.get(i).map_or(f64::NAN, |v| f64::from(*v));
            let error = (value - exact).abs();
            let ratio = if error == 0.0 { 0.0 } else { error / allowed };
            // A NaN is no distance at all.
            let ratio = if ratio.is_nan() { f64::INFINITY } else { ratio };
            if ratio > worst.0 {
                worst = (ratio, format!("[{i}] is {value:e}, not {exact:e} ± {allowed:e}"));
            }
        }
        let passed = worst.0 <= 1.0 && got.len() == count;
        let within = || format!("{count} values within their bounds in f64");
        let detail = if passed { within() } else { worst.1 };
        Self { error: Some(worst.0), passed, detail }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Matmul { m, n, k } | Kind::MatmulQ8 { m, n, k } => write!(f, "{m}×{k} · {k}×{n}"),
            Kind::MatmulNormed { n, between, k } => {
                write!(f, "1×{k} · {k}×{between}, normed, · {between}×{n}")
            }
            Kind::MatmulFetched { m, n, k } => {
                write!(f, "{m}×{k} · {k}×{n}, x by way of workgroup memory")
            }
            Kind::Dequantize { rows, cols }
            | Kind::Quantize { rows, cols }
            | Kind::QuantizeQ8 { rows, cols } => write!(f, "{rows}×{cols}"),
            Kind::Softmax { rows, cols, algorithm } => write!(f, "{rows}×{cols}, {algorithm:?}"),
            Kind::RmsNorm { rows, cols } | Kind::Stage { rows, cols } => {
                write!(f, "{rows}×{cols}")
            }
            Kind::Glu { rows, cols, activation } => write!(f, "{rows}×{cols}, {activation:?}"),
            Kind::Argmax { cols } => write!(f, "{cols}"),
            Kind::TopK { cols, k } => write!(f, "{k} of {cols}"),
            Kind::Sample { width } => write!(f, "of {width}"),
            Kind::Rope(shape) => shape.fmt(f),
            Kind::KvAppend(shape) => shape.fmt(f),
            Kind::Attention(shape) => shape.fmt(f),
        }
    }
}

impl Case {
    /// Runs it on a device.
    ///
    /// # Errors
    /// What the device says: then nothing is known of the kernel.
    pub async fn run(&self, gpu: &Gpu) -> Result<Outcome> {
        let format = || self.format.map_or_else(|| by_name("f32"), Ok);
        match self.kind {
            Kind::Matmul { m, n, k } => packed::matmul(gpu, format()?, (m, n, k)).await,
            Kind::MatmulFetched { m, n, k } => {
                packed::matmul_fetched(gpu, format()?, (m, n, k)).await
            }
            Kind::MatmulNormed { n, between, k } => {
                packed::matmul_normed(gpu, format()?, (n, between, k)).await
            }
            Kind::MatmulQ8 { m, n, k } => packed::matmul_q8(gpu, format()?, (m, n, k)).await,
            Kind::QuantizeQ8 { rows, cols } => packed::quantize_q8(gpu, (rows, cols)).await,
            Kind::Dequantize { rows, cols } => {
                packed::dequantize(gpu, format()?, (rows, cols)).await
            }
            Kind::Quantize { rows, cols } => packed::quantize(gpu, format()?, (rows, cols)).await,
            Kind::Softmax { rows, cols, algorithm } => {
                rows::softmax(gpu, (rows, cols), algorithm).await
            }
            Kind::RmsNorm { rows, cols } => rows::rms_norm(gpu, (rows, cols), false).await,
            Kind::Stage { rows, cols } => rows::rms_norm(gpu, (rows, cols), true).await,
            Kind::Glu { rows, cols, activation } => rows::glu(gpu, (rows, cols), activation).await,
            Kind::Argmax { cols } => choosing::argmax(gpu, cols).await,
            Kind::TopK { cols, k } => choosing::top_k(gpu, cols, k).await,
            Kind::Sample { width } => choosing::sample(gpu, width).await,
            Kind::Rope(shape) => attention::rope(gpu, shape).await,
            Kind::KvAppend(shape) => attention::kv_append(gpu, format()?, shape).await,
            Kind::Attention(shape) => attention::attention(gpu, format()?, shape).await,
        }
    }
}

/// Every format of the table, and of each family the members that take every branch of its part.
fn formats() -> impl Iterator<Item = FormatRef> {
    let samples = FAMILIES.iter().flat_map(|f| f.samples);
    FORMATS.iter().copied().chain(samples.filter_map(|name| by_name(name).ok()))
}

/// THE list of cases.
pub fn cases() -> Vec<Case> {
    let plain = |op, kind| Case { op, format: None, kind };
    let mut cases = Vec::new();
    for format in formats() {
        let cols = 96usize.next_multiple_of(format.block_len());
        let mut add = |op, kind| cases.push(Case { op, format: Some(format), kind });
        add("dequantize", Kind::Dequantize { rows: 9, cols });
        // A row of x as in decoding, and as many as in a prompt.
        add("matmul", Kind::Matmul { m: 1, n: 19, k: 2 * cols });
        add("matmul", Kind::Matmul { m: 33, n: 19, k: cols });
        if crate::ops::matmul_q8::can_multiply(format) {
            add("matmul_q8", Kind::MatmulQ8 { m: 1, n: 19, k: 2 * cols });
            add("matmul_q8", Kind::MatmulQ8 { m: 33, n: 19, k: cols });
        }
        if crate::ops::quantize::can_encode(format) {
            add("quantize", Kind::Quantize { rows: 5, cols });
        }
        if crate::ops::kv::can_hold(format) {
            attention::APPENDS.iter().for_each(|shape| add("kv_append", Kind::KvAppend(*shape)));
            add("attention", Kind::Attention(attention::OF_FORMAT));
        }
    }
    // Enough weights for sums to wait in memory, as on SwiftShader.
    let large = Kind::Matmul { m: 9, n: SUMS_STORED_FROM / 544 + 34, k: 544 };
    cases.push(Case { op: "matmul", format: by_name("q4_1").ok(), kind: large });
    // Five chunks for the four that lanes are on at once, a row of x past a tile.
    cases.push(plain("matmul", Kind::MatmulFetched { m: 9, n: 70, k: 160 }));
    // Lanes that add up squares: one group of them is full, and one is not.
    let normed = Kind::MatmulNormed { n: 19, between: 96, k: 64 };
    cases.push(Case { op: "matmul", format: by_name("q4_1").ok(), kind: normed });
    for algorithm in Algorithm::ALL {
        for (rows, cols) in [(5, 63), (3, 4096), (1, 49_152)] {
            cases.push(plain("softmax", Kind::Softmax { rows, cols, algorithm }));
        }
    }
    for (rows, cols) in [(3, 65), (2, 576)] {
        cases.push(plain("rms_norm", Kind::RmsNorm { rows, cols }));
        cases.push(plain("stage", Kind::Stage { rows, cols }));
        for activation in [Activation::Silu, Activation::Gelu] {
            cases.push(plain("glu", Kind::Glu { rows, cols, activation }));
        }
    }
    cases.push(plain("quantize_q8", Kind::QuantizeQ8 { rows: 5, cols: 576 }));
    cases.extend([257, 49_152].map(|cols| plain("argmax", Kind::Argmax { cols })));
    let top_k = [(257, 64), (49_152, 64), (49_152, 256)];
    cases.extend(top_k.map(|(cols, k)| plain("top_k", Kind::TopK { cols, k })));
    cases.extend([64, 256].map(|width| plain("sample", Kind::Sample { width })));
    cases.extend(attention::ROPES.map(|shape| plain("rope", Kind::Rope(shape))));
    cases.extend(attention::SHAPES.map(|shape| plain("attention", Kind::Attention(shape))));
    cases.push(plain("attention_combine", Kind::Attention(attention::SPLIT)));
    cases
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::OPS;

    #[test]
    fn every_operation_and_every_format_is_there() {
        let cases = cases();
        for op in OPS {
            assert!(cases.iter().any(|case| case.op == op.name), "{}", op.name);
        }
        for format in formats() {
            for op in ["matmul", "dequantize"] {
                let is_it =
                    |c: &&Case| c.op == op && c.format.is_some_and(|f| f.name() == format.name());
                assert!(cases.iter().find(is_it).is_some(), "{op} {}", format.name());
            }
        }
    }

    #[test]
    fn wrong_values_fail() {
        let want = [(1.0, 1e-6), (2.0, 1e-6)];
        assert!(Outcome::near(&[1.0, 2.0], want).passed);
        for bad in [&[1.0, 2.1][..], &[1.0, f32::NAN], &[1.0], &[1.0, 2.0, 3.0], &[2.0, 1.0]] {
            assert!(!Outcome::near(bad, want).passed, "{bad:?}");
        }
        assert!(Outcome::exact(&[1, 2], &[1, 2], "words").passed);
        for bad in [&[1, 3][..], &[1], &[1, 2, 3]] {
            assert!(!Outcome::exact(bad, &[1, 2], "words").passed, "{bad:?}");
        }
    }
}
