//! Softmax by all algorithms, at the lengths, layouts and values where softmaxes break. Every
//! tolerance is `Layout::error_bound`, the theorem of docs/SOFTMAX.md, plus what rounding
//! scale·x + mask to f32 does to the arguments.

mod cases;
mod numbers;

use half::f16;
use mantissa::Gpu;
use mantissa::gpu::PlanBuilder;
use mantissa::ops::extexp::{EXP_ERROR, EXP_FAR};
use mantissa::ops::softmax::{
    Algorithm, Answer, Element, Layout, Options, Softmax, Tensors, reference_of,
};
use pollster::block_on;

use crate::support::{
    Case, Expect, Outcome, Random, U, case, compare, in_place, input, output, run, words,
};

/// On every device: a row that is held, and one that is cut.
pub fn trials() -> Vec<(String, Case)> {
    vec![case("held_and_cut", held_and_cut)]
}

/// On devices with nothing masked off: no kernel of softmax uses f16 or subgroups.
pub fn long_trials() -> Vec<(String, Case)> {
    cases::trials().into_iter().chain(numbers::trials()).collect()
}

fn held_and_cut(gpu: &Gpu) -> Outcome {
    for (rows, cols) in [(9, 50), (2, 5000)] {
        let x = Random::new(4).normals(rows * cols, 10.0);
        Run::of("held and cut", &x, cols).check(gpu)?;
    }
    Ok(())
}

/// Relative error of an exponential; the same wherever `most` lies below where order alone counts.
pub fn exp_error(most: f64) -> f64 {
    assert!(most < f64::from(EXP_FAR), "no bound is claimed for exp({most})");
    EXP_ERROR * U
}

/// What a test runs.
struct Run<'a> {
    what: &'a str,
    x: &'a [f32],
    cols: usize,
    mask: &'a [f32],
    in_place: bool,
    options: Options,
}

impl<'a> Run<'a> {
    fn of(what: &'a str, x: &'a [f32], cols: usize) -> Self {
        Self { what, x, cols, mask: &[], in_place: false, options: Options::default() }
    }

    fn rows(&self) -> usize {
        self.x.len() / self.cols
    }

    fn scale(&self) -> f32 {
        self.options.scale / self.options.temperature
    }

    /// Rows at their stride; f16 rows are packed. What lies between rows would show.
    fn packed_x(&self) -> Vec<u32> {
        let element = self.options.input;
        let stride = self.options.x_stride.unwrap_or(element.stride(self.cols));
        let spread = |pad: f32| {
            self.x.chunks_exact(self.cols).flat_map(move |row| {
                row.iter().copied().chain(std::iter::repeat_n(pad, stride - row.len()))
            })
        };
        match element {
            Element::F32 => spread(f32::NAN).map(f32::to_bits).collect(),
            Element::F16 => {
                let halves: Vec<u32> =
                    spread(f32::NAN).map(|v| u32::from(f16::from_f32(v).to_bits())).collect();
                halves.chunks(2).map(|w| w[0] | w[1] << 16).collect()
            }
        }
    }

    fn answers(&self) -> Vec<Answer> {
        let row = |(i, row): (usize, &[f32])| {
            let row: Vec<f32> = match self.options.input {
                Element::F32 => row.to_vec(),
                Element::F16 => row.iter().map(|v| f16::from_f32(*v).to_f32()).collect(),
            };
            let mask_rows = (self.mask.len() / self.cols).max(1);
            let mask = self.mask.chunks_exact(self.cols).nth(i % mask_rows).unwrap_or(&[]);
            let visible = self.options.causal.map_or(self.cols, |p| p + i + 1);
            reference_of(&row, mask, self.scale(), visible)
        };
        self.x.chunks_exact(self.cols).enumerate().map(row).collect()
    }

    /// Runs it; the words of y and of the log-sum-exps, guards included.
    fn results(&self, gpu: &Gpu) -> Result<(Vec<u32>, Vec<u32>), libtest_mimic::Failed> {
        let rows = self.rows();
        let options = Options { mask_rows: self.mask.len() / self.cols, ..self.options };
        let softmax = block_on(Softmax::new(gpu, (rows, self.cols), options))?;
        let packed = self.packed_x();
        let y = if self.in_place {
            let as_floats: Vec<f32> = packed.iter().map(|w| f32::from_bits(*w)).collect();
            in_place(gpu, &as_floats)?
        } else {
            let stride = options.y_stride.unwrap_or(options.output.stride(self.cols));
            output(gpu, rows * stride / if options.output == Element::F16 { 2 } else { 1 })?
        };
        let x = if self.in_place { y.clone() } else { input(gpu, &packed)? };
        let mask = if self.mask.is_empty() { None } else { Some(input(gpu, self.mask)?) };
        let sums = output(gpu, rows)?;
        let tensors = Tensors { x: &x, mask: mask.as_ref(), y: &y, log_sum_exp: Some(&sums) };
        run(gpu, |plan: &mut PlanBuilder| softmax.record(plan, &tensors))?;
        Ok((words(&y)?, words(&sums)?))
    }

    fn check(&self, gpu: &Gpu) -> Outcome {
        let layout = block_on(Softmax::new(gpu, (self.rows(), self.cols), self.options))?.layout();
        let what = format!("{}, rows of {}, {:?}, {layout:?}", self.what, self.cols, self.options);
        let (y, sums) = self.results(gpu)?;
        let answers = self.answers();
        let bounds: Vec<Bounds> = answers.iter().map(|a| Bounds::of(self, a, &layout)).collect();

        let stride = self.options.y_stride.unwrap_or(self.options.output.stride(self.cols));
        let mut want = Vec::new();
        for (answer, bounds) in answers.iter().zip(&bounds) {
            want.extend((0..self.cols).map(|i| bounds.expect(answer, i)));
            let gap = if self.in_place { Expect::Written } else { Expect::Untouched };
            let gap = if self.options.output == Element::F16 { Expect::Bits(0) } else { gap };
            want.extend(std::iter::repeat_n(gap, stride - self.cols));
        }
        let y = match self.options.output {
            Element::F32 => y,
            Element::F16 => unpacked(&y, want.len()),
        };
        compare(&what, &y, &want)?;
        let want: Vec<Expect> = answers.iter().zip(&bounds).map(|(a, b)| b.expect_sum(a)).collect();
        compare(&format!("{what}: log-sum-exp"), &sums, &want)?;
        if self.options.output == Element::F32 && !self.options.log && stride == self.cols {
            sums_to_one(&what, &y, &answers)?;
        }
        Ok(())
    }
}

/// Halves as floats, then the guards.
fn unpacked(words: &[u32], values: usize) -> Vec<u32> {
    let half = |w: u32| f16::from_bits(w as u16).to_f32().to_bits();
    let halves = words[..values / 2].iter().flat_map(|w| [half(*w), half(w >> 16)]);
    halves.chain(words[values / 2..].iter().copied()).collect()
}

/// |Σy − 1| ≤ 1e-6 for each row of numbers.
fn sums_to_one(what: &str, y: &[u32], answers: &[Answer]) -> Outcome {
    let cols = answers[0].y.len();
    for (row, answer) in y.chunks(cols).zip(answers) {
        let sum: f64 = row.iter().map(|w| f64::from(f32::from_bits(*w))).sum();
        if answer.log_sum_exp.is_finite() && (sum - 1.0).abs() > 1e-6 {
            return Err(format!("{what}: a row sums to 1 + {:e}", sum - 1.0).into());
        }
    }
    Ok(())
}

/// Normalised mean squared error of a run's y.
fn nmse(run: &Run, gpu: &Gpu) -> Result<f64, libtest_mimic::Failed> {
    let (y, _) = run.results(gpu)?;
    let right = run.answers().into_iter().flat_map(|a| a.y);
    let (mut error, mut power) = (0.0, 0.0);
    for (got, want) in y.iter().zip(right) {
        error += (f64::from(f32::from_bits(*got)) - want).powi(2);
        power += want * want;
    }
    Ok(error / power)
}

/// The errors that a row may have.
struct Bounds {
    /// Relative, of each y.
    relative: Vec<f64>,
    /// Of y's or the sum's logarithm, before their own roundings.
    of_sum: f64,
    log: bool,
    half: bool,
    /// ln of the largest sum there may be.
    most: f64,
}

impl Bounds {
    fn of(run: &Run, answer: &Answer, layout: &Layout) -> Self {
        let algorithm = run.options.algorithm;
        let most = answer.z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // scale·x is rounded unless it is a power of two, the mask's sum always.
        let (scaled, masked) = (run.scale() != 1.0, !run.mask.is_empty());
        let argument = |i: usize| match answer.z[i] {
            z if !z.is_finite() => 0.0,
            z => {
                let product = z.abs() + if masked { (z - f64::from(run.x[i])).abs() } else { 0.0 };
                let product = if masked { product + z.abs() } else { product };
                U * (if scaled { product } else { 0.0 } + if masked { z.abs() } else { 0.0 })
            }
        };
        let arguments: Vec<f64> = (0..run.cols).map(argument).collect();
        let mean: f64 = arguments.iter().zip(&answer.y).map(|(a, y)| a * y).sum();
        let relative = (0..run.cols)
            .map(|i| {
                let below = if answer.z[i].is_finite() { most - answer.z[i] } else { 0.0 };
                layout.error_bound(algorithm, run.cols, below) + arguments[i] + mean
            })
            .collect();
        Self {
            relative,
            of_sum: layout.error_bound(algorithm, run.cols, 0.0) + mean,
            log: run.options.log,
            half: run.options.output == Element::F16,
            most: (run.cols as f64).ln() + 1.0,
        }
    }

    fn expect(&self, answer: &Answer, i: usize) -> Expect {
        let (z, y) = (answer.z[i], answer.y[i]);
        if y.is_nan() {
            return Expect::Nan;
        }
        if self.log && z == f64::NEG_INFINITY {
            return Expect::Bits(f32::NEG_INFINITY.to_bits());
        }
        if z == f64::NEG_INFINITY {
            return Expect::Bits(0);
        }
        let (value, mut tolerance) = if self.log {
            // z less the exponent's part (5 differences), less ln V (8 roundings).
            let value = z - answer.log_sum_exp;
            let differences = 5.0 * U * (value.abs() + self.most) + U * value.abs();
            (value, self.relative[i] + differences + 8.0 * U * self.most)
        } else {
            (y, self.relative[i] * y + 2f64.powi(-126))
        };
        if self.half {
            // Half an ulp of binary16, or of its subnormals.
            tolerance += (value.abs() + tolerance) * 2f64.powi(-11) + 2f64.powi(-25);
        }
        if self.half && value.abs() > 65_504.0 {
            return Expect::Written;
        }
        Expect::Near(value, tolerance)
    }

    fn expect_sum(&self, answer: &Answer) -> Expect {
        let value = answer.log_sum_exp;
        if value.is_nan() {
            return Expect::Nan;
        }
        if value == f64::NEG_INFINITY {
            return Expect::Bits(f32::NEG_INFINITY.to_bits());
        }
        // e·ln 2 (two products, two sums) and ln V (8 roundings).
        let roundings = 4.0 * U * (value.abs() + self.most) + 8.0 * U * self.most;
        Expect::Near(value, self.of_sum + roundings)
    }
}

/// Every algorithm on the same rows.
fn by_all(gpu: &Gpu, what: &str, x: &[f32], cols: usize) -> Outcome {
    for algorithm in Algorithm::ALL {
        let mut run = Run::of(what, x, cols);
        run.options.algorithm = algorithm;
        run.check(gpu)?;
    }
    Ok(())
}
