//! Options: scale, temperature, masks, causal limits, types, strides, in place, layouts.

use mantissa::Gpu;
use mantissa::gpu::Class;
use mantissa::ops::softmax::{Algorithm, Element, Layout, Options, Softmax, Split};
use pollster::block_on;

use super::Run;
use crate::support::{Case, Outcome, Random, U, case};

pub fn trials() -> Vec<(String, Case)> {
    vec![
        case("scale_and_temperature", scale),
        case("mask", mask),
        case("causal", causal),
        case("packed_f16", packed_f16),
        case("in_place", in_place),
        case("strides", strides),
        case("logarithm", logarithm),
        case("deterministic_bits_do_not_depend_on_lanes", deterministic),
        case("splits_differ_by_roundings_of_sums_alone", splits),
        case("options_that_are_refused", refused),
    ]
}

fn scale(gpu: &Gpu) -> Outcome {
    let x = Random::new(7).normals(5 * 300, 10.0);
    for (scale, temperature) in [(0.125, 1.0), (0.1, 1.0), (3.0, 1.0), (1.0, 0.7), (0.0, 1.0)] {
        let mut run = Run::of("scaled", &x, 300);
        (run.options.scale, run.options.temperature) = (scale, temperature);
        run.check(gpu)?;
    }
    // Products beyond what a float holds, and tiny values made large.
    for (values, scale) in [
        ([f32::MAX, 1.0, -f32::MAX, f32::MIN_POSITIVE], 3.0),
        ([1e30, 2e30, -1e30, 1.5e30], 1e18),
        ([1e-17, 2e-17, -3e-17, 0.0], 1e17),
        ([f32::NEG_INFINITY, -f32::MAX, -f32::MAX, f32::NEG_INFINITY], 2.0),
    ] {
        let x: Vec<f32> = values.iter().copied().cycle().take(52).collect();
        let mut run = Run::of("scaled far", &x, 4);
        run.options.scale = scale;
        run.check(gpu)?;
    }
    Ok(())
}

/// Masks of as many rows, of fewer, with −inf in part and in whole, with NaN and large values.
fn mask(gpu: &Gpu) -> Outcome {
    let mut random = Random::new(21);
    for cols in [5, 63, 301] {
        let x = random.normals(6 * cols, 3.0);
        for mask_rows in [1, 3, 6] {
            let mut mask = random.normals(mask_rows * cols, 2.0);
            for v in mask.iter_mut() {
                if random.below(4) == 0 {
                    *v = f32::NEG_INFINITY;
                }
            }
            if mask_rows == 3 {
                mask[cols..2 * cols].fill(f32::NEG_INFINITY);
                mask[2 * cols + 3] = f32::NAN;
            }
            if mask_rows == 6 {
                mask[cols + 1] = 2e4;
                mask[2 * cols + 2] = -3e38;
            }
            let algorithm = if cols == 5 { Algorithm::Online } else { Algorithm::TwoPass };
            let mut run = Run::of("masked", &x, cols);
            run.mask = &mask;
            run.options = Options { algorithm, scale: 0.5, ..Options::default() };
            run.check(gpu)?;
        }
    }
    Ok(())
}

/// Rows that see one value more each; a NaN behind the limit is not seen.
fn causal(gpu: &Gpu) -> Outcome {
    let mut random = Random::new(22);
    for (rows, cols, positions) in [(9, 9, [0, 4]), (6, 1100, [1, 1023])] {
        let mut x = random.normals(rows * cols, 3.0);
        x[cols - 1] = f32::NAN;
        for position in positions {
            let mut run = Run::of("causal", &x, cols);
            run.options.causal = Some(position);
            run.check(gpu)?;
        }
    }
    Ok(())
}

fn packed_f16(gpu: &Gpu) -> Outcome {
    let mut random = Random::new(23);
    for cols in [3, 1031] {
        let mut x = random.normals(3 * cols, 3.0);
        x[cols - 1] = 6e-8;
        x[2 * cols - 1] = f32::NEG_INFINITY;
        for (input, output) in [
            (Element::F16, Element::F16),
            (Element::F16, Element::F32),
            (Element::F32, Element::F16),
        ] {
            let mut run = Run::of("packed", &x, cols);
            (run.options.input, run.options.output) = (input, output);
            if input == output {
                run.check(gpu)?;
                run.in_place = true;
            }
            if input == output || cols == 1031 {
                run.check(gpu)?;
            }
        }
    }
    Ok(())
}

fn in_place(gpu: &Gpu) -> Outcome {
    for cols in [3, 5000] {
        let x = Random::new(24).normals(2 * cols, 3.0);
        let mut run = Run::of("in place", &x, cols);
        run.in_place = true;
        run.check(gpu)?;
    }
    Ok(())
}

/// What lies between the rows is neither read nor written.
fn strides(gpu: &Gpu) -> Outcome {
    for (cols, x_stride, y_stride) in [(5, 8, 7), (1100, 1104, 1101)] {
        let x = Random::new(25).normals(4 * cols, 3.0);
        let mut run = Run::of("strided", &x, cols);
        (run.options.x_stride, run.options.y_stride) = (Some(x_stride), Some(y_stride));
        run.check(gpu)?;
    }
    Ok(())
}

fn logarithm(gpu: &Gpu) -> Outcome {
    let mut random = Random::new(26);
    for (cols, spread) in [(1, 1.0), (63, 30.0), (1501, 1e4), (1501, 1e6), (1501, 3.0)] {
        let mut x = random.normals(3 * cols, spread);
        if cols > 1 {
            x[0] = f32::NEG_INFINITY;
            x[cols..2 * cols].fill(f32::NEG_INFINITY);
        }
        for algorithm in [Algorithm::TwoPass, Algorithm::Online] {
            let mut run = Run::of("logarithm", &x, cols);
            (run.options.log, run.options.algorithm) = (true, algorithm);
            run.check(gpu)?;
        }
    }
    Ok(())
}

/// The layouts that a CPU and a GPU choose, and workgroups of other sizes: the same bits.
fn deterministic(gpu: &Gpu) -> Outcome {
    let most = gpu.limits().max_compute_invocations_per_workgroup as usize;
    for cols in [50, 1003, 140_001] {
        let x = Random::new(27).normals(cols, 5.0);
        let mut first = None;
        let choices =
            [Class::Software, Class::Gpu].map(|c| Layout::choose(c, most, (1, cols), true));
        let forced = [256].map(|lanes| Layout { lanes, ..choices[0] });
        for layout in choices.into_iter().chain(forced) {
            let mut run = Run::of("deterministic", &x, cols);
            run.options.layout = Some(layout);
            run.check(gpu)?;
            let bits = run.results(gpu)?;
            if *first.get_or_insert(bits.clone()) != bits {
                return Err(format!("rows of {cols}: {layout:?} gives other bits").into());
            }
        }
    }
    Ok(())
}

/// Two layouts share every exponential; sums differ by their additions' roundings, quotients and
/// products by their own. Where the sum is exact (ones and zeros), so are the bits.
fn splits(gpu: &Gpu) -> Outcome {
    let cols = 16_384;
    let layout = |team, chunk| Layout { lanes: 64, team, split: Split::Chunks(chunk) };
    let layouts = [layout(8, 128), layout(8, 512), layout(8, 4096), layout(64, 1024)];
    let random = Random::new(28).normals(cols, 5.0);
    let ones: Vec<f32> =
        random.iter().map(|v| if *v > 0.0 { 0.0 } else { f32::NEG_INFINITY }).collect();
    for (x, exact) in [(&random, false), (&ones, true)] {
        let mut results: Vec<(Layout, Vec<u32>)> = Vec::new();
        for layout in layouts {
            let mut run = Run::of("split", x, cols);
            run.options.layout = Some(layout);
            run.check(gpu)?;
            results.push((layout, run.results(gpu)?.0));
        }
        for (layout, bits) in &results[1..] {
            let roundings = (layout.depth(cols) + results[0].0.depth(cols) + 2 * 6) as f64;
            let wrong = bits.iter().zip(&results[0].1).any(|(a, b)| {
                let [a, b] = [a, b].map(|w| f64::from(f32::from_bits(*w)));
                (a - b).abs() > if exact { 0.0 } else { 1.01 * roundings * U * a + 2f64.powi(-126) }
            });
            if wrong {
                return Err(format!("{layout:?} and {:?} differ by more", results[0].0).into());
            }
        }
    }
    Ok(())
}

fn refused(gpu: &Gpu) -> Outcome {
    let none = Options::default();
    let wrong = [
        Options { scale: f32::NAN, ..none },
        Options { scale: -1.0, ..none },
        Options { scale: f32::INFINITY, ..none },
        Options { temperature: 0.0, ..none },
        Options { temperature: -2.0, ..none },
        Options { x_stride: Some(9), ..none },
        Options { input: Element::F16, x_stride: Some(11), ..none },
        Options { layout: Some(Layout { lanes: 8, team: 1, split: Split::Hold(5) }), ..none },
        Options { layout: Some(Layout { lanes: 9, team: 3, split: Split::Rows }), ..none },
        Options { layout: Some(Layout { lanes: 8, team: 8, split: Split::Chunks(0) }), ..none },
        Options { layout: Some(Layout { lanes: 1 << 20, team: 8, split: Split::Rows }), ..none },
    ];
    for options in wrong {
        if block_on(Softmax::new(gpu, (2, 10), options)).is_ok() {
            return Err(format!("{options:?} is taken").into());
        }
    }
    if block_on(Softmax::new(gpu, (2, 0), none)).is_ok() {
        return Err("rows of nothing are taken".into());
    }
    Ok(())
}
