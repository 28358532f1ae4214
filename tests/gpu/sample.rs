//! sample is exact: the same token as the reference's, from every list, by every setting. That the
//! reference draws by the right probabilities is tests/sampler.rs.

use mantissa::Gpu;
use mantissa::gpu::Buffer;
use mantissa::ops::Span;
use mantissa::ops::argmax::NOT_FINITE;
use mantissa::ops::sample::{Choice, record, reference};
use mantissa::ops::top_k;
use pollster::block_on;

use crate::support::{
    Case, Expect, Outcome, Random, case, compare, input, output, run, step, words,
};

pub fn trials() -> Vec<(String, Case)> {
    vec![
        case("settings", settings),
        case("extremes", extremes),
        case("not_finite", not_finite),
        case("equal candidates", equal),
    ]
}

/// The token lands in word 2 of 5, and nowhere else.
fn check(gpu: &Gpu, what: &str, x: &[f32], width: usize, choice: &Choice, at: u32) -> Outcome {
    let (bits, places) = top_k::reference(x, width);
    let list: Vec<u32> = bits.iter().chain(&places).copied().collect();
    let (from, to) = (input(gpu, &list)?, output(gpu, 5)?);
    let span = Span::alone(at as usize - 1, 1, at as usize);
    let (step, uniform) = (step(gpu, &[span])?, uniform(gpu, choice)?);
    run(gpu, |plan| record(plan, (&step, &uniform), (&from, width), &to, 2))?;
    let mut want = [Expect::Untouched; 5];
    want[2] = Expect::Bits(reference(choice, (&bits, &places), at));
    compare(&format!("{what}, {choice:?}"), &words(&to)?, &want)
}

fn uniform(gpu: &Gpu, choice: &Choice) -> mantissa::Result<Buffer> {
    let buffer = block_on(Buffer::uniform(gpu, "choice", Choice::WORDS))?;
    buffer.write(0, &[*choice]);
    Ok(buffer)
}

fn settings(gpu: &Gpu) -> Outcome {
    let mut random = Random::new(1);
    for trial in 0..60 {
        let width = [64, 256][trial % 2];
        let count = 1 + random.below(width);
        let top_p = [1.0, 0.95, 0.5, 1e-6][random.below(4)];
        let min_p = [0.0, 0.05, 0.5, 1.0][random.below(4)];
        let temperature = [0.1, 0.8, 1.0, 5.0][random.below(4)];
        let x = random.normals(300, 3.0);
        let choice = Choice::new(random.bits(), count, top_p, min_p, temperature);
        check(gpu, "settings", &x, width, &choice, 1 + random.below(8000) as u32)?;
    }
    Ok(())
}

fn extremes(gpu: &Gpu) -> Outcome {
    let mut x = Random::new(2).normals(200, 1e38);
    (x[3], x[4], x[5], x[6]) = (f32::MAX, f32::MIN, f32::NEG_INFINITY, f32::MAX);
    for temperature in [f32::MIN_POSITIVE, 1e-3, 1.0, 1e37, f32::MAX] {
        for min_p in [0.0, f32::MIN_POSITIVE, 1.0] {
            for top_p in [f32::MIN_POSITIVE, 0.999_999_94, 1.0] {
                let choice = Choice::new(u64::MAX, 256, top_p, min_p, temperature);
                check(gpu, "extremes", &x, 256, &choice, u32::MAX)?;
            }
        }
    }
    Ok(())
}

fn not_finite(gpu: &Gpu) -> Outcome {
    let choice = Choice::new(7, 40, 0.95, 0.05, 0.8);
    for bad in [f32::NAN, f32::INFINITY] {
        let mut x = vec![1.0; 100];
        x[70] = bad;
        let (bits, places) = top_k::reference(&x, 64);
        assert_eq!(reference(&choice, (&bits, &places), 1), NOT_FINITE);
        check(gpu, "a bad one", &x, 64, &choice, 1)?;
    }
    check(gpu, "none", &[f32::NEG_INFINITY; 9], 64, &choice, 1)
}

/// The weights' sum is as large as it can be.
fn equal(gpu: &Gpu) -> Outcome {
    for at in 1..20 {
        check(gpu, "equal", &[2.0; 256], 256, &Choice::new(3, 256, 1.0, 0.0, 1.0), at)?;
        check(gpu, "equal", &[2.0; 256], 256, &Choice::new(3, 256, 0.3, 1.0, 1.0), at)?;
    }
    Ok(())
}
