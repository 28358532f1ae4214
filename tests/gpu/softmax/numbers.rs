//! Lengths and values.

use mantissa::Gpu;
use mantissa::gpu::{Access, Binding, Op, ParamsInfo, Part, Variant};
use mantissa::ops::EXTEXP;
use mantissa::ops::softmax::{Algorithm, Options};

use super::{Run, by_all, exp_error, nmse};
use crate::support::{Case, Expect, Outcome, Random, case, compare, input, output, run, words};

/// In registers, in a chunk, in several; whole vec4s and not.
const LENGTHS: [usize; 9] = [1, 2, 3, 16, 49, 63, 129, 1028, 12_289];

/// For awkward values: in registers and in chunks.
const FEW: [usize; 3] = [1, 63, 4099];

pub fn trials() -> Vec<(String, Case)> {
    vec![
        case("rows", rows),
        case("many_rows", many_rows),
        case("wide", wide),
        case("equal", equal),
        case("one_huge", one_huge),
        case("alternating_1e30", alternating),
        case("negative_infinity", negative_infinity),
        case("not_a_number", not_a_number),
        case("awkward_at_the_end", at_the_end),
        case("subnormal_results", subnormal),
        case("exponential", exponential),
        case("long_rows", long_rows),
        case("ggml", ggml),
        case("random_rows", random_rows),
    ]
}

fn rows(gpu: &Gpu) -> Outcome {
    let mut random = Random::new(5);
    for cols in LENGTHS {
        for spread in [1.0, 30.0] {
            let x = random.normals(3 * cols, spread);
            by_all(gpu, &format!("N(0, {spread})"), &x, cols)?;
        }
    }
    Ok(())
}

/// More rows than one workgroup takes, with workgroups to spare at the end.
fn many_rows(gpu: &Gpu) -> Outcome {
    for (rows, cols) in [(37, 3), (131, 63), (67, 1101)] {
        let x = Random::new(6).normals(rows * cols, 2.0);
        by_all(gpu, "many rows", &x, cols)?;
    }
    Ok(())
}

/// Far beyond where exp(x) itself overflows, and where one reduction ends and the next begins.
fn wide(gpu: &Gpu) -> Outcome {
    let mut random = Random::new(8);
    for most in [88.0, 1e4, 16_384.0, 1e5, 8e6] {
        for cols in [2, 63, 4099] {
            let uniform = |_| ((2.0 * random.uniform() - 1.0) * most) as f32;
            let x: Vec<f32> = (0..cols).map(uniform).collect();
            by_all(gpu, &format!("within {most}"), &x, cols)?;
            // Neighbours near the top and bottom of the range, so that many of them count.
            let near: Vec<f32> =
                x.iter().map(|v| most as f32 - v.abs() * (9.0 / most as f32)).collect();
            by_all(gpu, &format!("near {most}"), &near, cols)?;
            let low: Vec<f32> = near.iter().map(|v| v - 2.0 * most as f32).collect();
            by_all(gpu, &format!("near -{most}"), &low, cols)?;
        }
    }
    Ok(())
}

fn equal(gpu: &Gpu) -> Outcome {
    for cols in FEW {
        for value in [0.0, -0.0, 1.0, -88.0, 1e4, -1e30, f32::MAX, f32::MIN] {
            by_all(gpu, &format!("all {value}"), &vec![value; cols], cols)?;
        }
    }
    Ok(())
}

/// All others are so far below that they vanish: exactly one value counts.
fn one_huge(gpu: &Gpu) -> Outcome {
    let mut random = Random::new(9);
    for cols in FEW {
        for huge in [1e3, 1e6, 1e30, f32::MAX] {
            let mut x = random.normals(cols, 1.0);
            x[random.below(cols)] = huge;
            by_all(gpu, &format!("one {huge}"), &x, cols)?;
        }
    }
    Ok(())
}

fn alternating(gpu: &Gpu) -> Outcome {
    for cols in FEW {
        let x: Vec<f32> = (0..cols).map(|i| if i % 2 == 0 { 1e30 } else { -1e30 }).collect();
        by_all(gpu, "±1e30", &x, cols)?;
    }
    Ok(())
}

/// −inf contributes nothing; a row of nothing else is zeros.
fn negative_infinity(gpu: &Gpu) -> Outcome {
    let mut random = Random::new(10);
    for cols in FEW {
        by_all(gpu, "all -inf", &vec![f32::NEG_INFINITY; cols], cols)?;
        let mut x = random.normals(2 * cols, 3.0);
        for v in x.iter_mut() {
            if random.below(3) == 0 {
                *v = f32::NEG_INFINITY;
            }
        }
        by_all(gpu, "part -inf", &x, cols)?;
        let mut x = vec![f32::NEG_INFINITY; cols];
        x[cols / 2] = -f32::MAX;
        by_all(gpu, "all but the lowest float -inf", &x, cols)?;
    }
    Ok(())
}

/// +inf or NaN spoils its own row and no other.
fn not_a_number(gpu: &Gpu) -> Outcome {
    let mut random = Random::new(11);
    let bad = [f32::INFINITY, f32::NAN, f32::from_bits(0xffc0_0001), f32::from_bits(0x7f80_0001)];
    for cols in FEW {
        for bad in bad {
            let mut x = random.normals(3 * cols, 3.0);
            x[cols + random.below(cols)] = bad;
            by_all(gpu, &format!("{:#x}", bad.to_bits()), &x, cols)?;
        }
        let mut x = vec![f32::NEG_INFINITY; cols];
        x[cols / 2] = f32::NAN;
        by_all(gpu, "NaN among -inf", &x, cols)?;
    }
    Ok(())
}

/// Ordinary values, and one of each awkward kind among the last: in a row's last whole vec4s, and
/// behind them.
fn at_the_end(gpu: &Gpu) -> Outcome {
    let mut random = Random::new(15);
    for cols in [15, 77, 4100] {
        let mut x = random.normals(8 * cols, 3.0);
        let kinds = [f32::NEG_INFINITY, 3e38, -3e38, 1e5];
        for (row, kind) in x.chunks_exact_mut(cols).zip(kinds.iter().chain(&kinds)) {
            row[cols - 1 - random.below(11)] = *kind;
        }
        by_all(gpu, "awkward at the end", &x, cols)?;
    }
    Ok(())
}

/// Results around the smallest normal float and below.
fn subnormal(gpu: &Gpu) -> Outcome {
    for cols in [63, 2001] {
        let x: Vec<f32> =
            (0..cols).map(|i| if i == 0 { 0.0 } else { -85.0 - i as f32 / 97.0 }).collect();
        by_all(gpu, "subnormal results", &x, cols)?;
    }
    Ok(())
}

/// A vocabulary and ggml's lengths, and beyond.
fn long_rows(gpu: &Gpu) -> Outcome {
    let mut random = Random::new(12);
    for cols in [200_001, 643_251] {
        by_all(gpu, "long", &random.normals(cols, 4.0), cols)?;
    }
    for spread in [1.0, 1e4] {
        let x = random.normals(2_000_003, spread);
        Run::of("2,000,003", &x, x.len()).check(gpu)?;
    }
    let x = random.normals(2 * 65_537, 30.0);
    let mut run = Run::of("two long rows", &x, 65_537);
    run.options.deterministic = true;
    run.check(gpu)
}

/// The SOFT_MAX cases of ggml's test-backend-ops that have no sinks and no ALiBi: values in −1..1.
fn ggml(gpu: &Gpu) -> Outcome {
    let mut random = Random::new(13);
    let mut shapes = vec![(200_001, 6), (200_000, 4), (643_251, 3)];
    for cols in [16, 15, 1024, 1023] {
        shapes.extend([16, 15, 1024, 1023].map(|rows| (cols, rows)));
    }
    for (cols, rows) in shapes {
        let x: Vec<f32> = (0..rows * cols).map(|_| random.uniform() as f32 * 2.0 - 1.0).collect();
        for (scale, masked) in [(1.0, false), (0.1, true)] {
            let mask = random.normals(if masked { cols } else { 0 }, 1.0);
            let mut run = Run::of("ggml", &x, cols);
            run.mask = &mask;
            run.options.scale = scale;
            let error = nmse(&run, gpu)?;
            if error.is_nan() || error > 1e-6 {
                return Err(format!("{rows} × {cols}, scale {scale}: NMSE {error:e}").into());
            }
        }
    }
    Ok(())
}

/// Random rows are far better than the worst case: NMSE below 1e-12, and each element of two-pass
/// within 4e-7 up to 65,536 values.
fn random_rows(gpu: &Gpu) -> Outcome {
    let mut random = Random::new(14);
    for cols in [10, 4099, 65_536] {
        for spread in [1.0, 30.0] {
            let x = random.normals(2 * cols, spread);
            for algorithm in Algorithm::ALL {
                let mut run = Run::of("random", &x, cols);
                run.options = Options { algorithm, ..run.options };
                let error = nmse(&run, gpu)?;
                if error.is_nan() || error > 1e-12 {
                    return Err(format!("{algorithm:?} {cols}: NMSE {error:e}").into());
                }
            }
            let run = Run::of("random", &x, cols);
            let (y, _) = run.results(gpu)?;
            let right = run.answers().into_iter().flat_map(|a| a.y);
            let want: Vec<Expect> =
                right.map(|y| Expect::Near(y, 4e-7 * y + 2f64.powi(-126))).collect();
            compare(&format!("4e-7, rows of {cols}, N(0, {spread})"), &y, &want)?;
        }
    }
    Ok(())
}

/// A kernel of one call.
static EXPONENTIAL: Op = Op {
    name: "exponential",
    parts: &[
        Part {
            path: "tests",
            text: "struct Params { n: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < params.n {
        let pair = pair_exp(x[id.x]);
        y[2u * id.x] = pair.v;
        y[2u * id.x + 1u] = pair.e;
    }
}
",
        },
        EXTEXP,
    ],
    formats: &[],
    reduces: false,
    bindings: &[
        Binding { name: "x", access: Access::Read },
        Binding { name: "y", access: Access::Write },
    ],
    params: ParamsInfo { size: 4, fields: &[("n", 0)] },
};

/// pair_exp itself on a dense sample of every binade, against exp in f64.
fn exponential(gpu: &Gpu) -> Outcome {
    let (from, to) = (2f32.powi(-30).to_bits(), 8_388_608f32.to_bits());
    let step = (to - from) as usize / 250_000;
    let positive = (from..to).step_by(step).map(f32::from_bits);
    let x: Vec<f32> = positive.flat_map(|x| [x, -x]).collect();
    let (from, y) = (input(gpu, &x)?, output(gpu, 2 * x.len())?);
    let grid = [x.len().div_ceil(64) as u32, 1, 1];
    let n = x.len() as u32;
    run(gpu, |plan| plan.dispatch(&EXPONENTIAL, Variant::default(), &n, &[&from, &y], grid))?;
    let got = words(&y)?;
    let (mut mantissas, mut want) = (Vec::new(), Vec::new());
    for (x, pair) in x.iter().zip(got.chunks_exact(2)) {
        let e = f64::from(f32::from_bits(pair[1]));
        // fdlibm's split of ln 2: exact products, since e has 24 bits at most.
        let t = (f64::from(*x) - e * f64::from_bits(0x3fe6_2e42_fee0_0000))
            - e * f64::from_bits(0x3dea_39ef_3579_3c76);
        if e.fract() != 0.0 || t.abs() > 0.36 {
            return Err(format!("exp({x:e}) has the exponent {e}").into());
        }
        mantissas.push(pair[0]);
        want.push(Expect::Near(t.exp(), exp_error(1.0) * t.exp()));
    }
    compare("exp", &mantissas, &want)
}
