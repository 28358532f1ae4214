//! top_k is exact: which values, in which order, at which places.

use mantissa::Gpu;
use mantissa::ops::top_k::{NONE, list_words, record, reference, scratch_words};

use crate::support::{Case, Expect, Outcome, Random, case, compare, input, output, run, words};

pub fn trials() -> Vec<(String, Case)> {
    vec![
        case("shapes", shapes),
        case("ties", ties),
        case("all_equal", all_equal),
        case("not_finite", not_finite),
        case("extremes", extremes),
        case("fewer_than_k", fewer),
    ]
}

fn check(gpu: &Gpu, what: &str, x: &[f32], k: usize) -> Outcome {
    let (from, to) = (input(gpu, x)?, output(gpu, list_words(k))?);
    let scratch = output(gpu, scratch_words(x.len(), k))?;
    run(gpu, |plan| record(plan, &from, (x.len(), k), &scratch, &to))?;
    let (bits, places) = reference(x, k);
    let want: Vec<_> = bits.into_iter().chain(places).map(Expect::Bits).collect();
    compare(what, &words(&to)?, &want)
}

fn shapes(gpu: &Gpu) -> Outcome {
    let mut random = Random::new(1);
    for cols in [1, 2, 255, 256, 257, 1000, 4095, 4096, 4097, 8192, 49_152, 128_256] {
        for k in [1, 3, 64, 255, 256] {
            // A few units apart, as logits are, and by powers of two.
            let wide = random.below(2) == 1;
            let spread = |x: f32| if wide { x.signum() * (x.abs() * 30.0).exp2() } else { x * 4.0 };
            let x: Vec<f32> = random.normals(cols, 1.0).into_iter().map(spread).collect();
            check(gpu, &format!("{k} of {cols}"), &x, k)?;
        }
    }
    Ok(())
}

/// Few distinct values, so that the last one is cut among equals, within chunks and across them.
fn ties(gpu: &Gpu) -> Outcome {
    let mut random = Random::new(2);
    for distinct in [2, 5, 100] {
        for cols in [300, 4096, 20_000] {
            let x: Vec<f32> = (0..cols).map(|_| random.below(distinct) as f32 - 1.0).collect();
            check(gpu, &format!("{distinct} values in {cols}"), &x, 64)?;
        }
    }
    // Keys that differ in the first, the second or the last digit alone.
    for shift in [0, 9, 10, 20, 21, 30] {
        let flip =
            |i: usize| f32::from_bits(0x3f80_0000 ^ (u32::from(i.is_multiple_of(3)) << shift));
        check(gpu, &format!("bit {shift}"), &(0..5000).map(flip).collect::<Vec<_>>(), 64)?;
    }
    Ok(())
}

fn all_equal(gpu: &Gpu) -> Outcome {
    for value in [0.0, -0.0, 1.5, f32::MIN, f32::NEG_INFINITY, f32::INFINITY] {
        check(gpu, &format!("{value}"), &[value; 10_000], 64)?;
    }
    // Zeros of both signs are equal, and keep their signs.
    let zeros: Vec<f32> = (0..5000).map(|i| if i % 3 == 0 { -0.0 } else { 0.0 }).collect();
    check(gpu, "zeros", &zeros, 256)
}

fn not_finite(gpu: &Gpu) -> Outcome {
    let mut random = Random::new(3);
    let negative_nan = f32::from_bits(0xffc0_0001);
    let signalling = f32::from_bits(0x7f80_0001);
    for bad in [f32::NAN, negative_nan, signalling, f32::INFINITY, f32::NEG_INFINITY] {
        for place in [0, 255, 4096, 8999] {
            let mut x = random.normals(9000, 1.0);
            x[place] = bad;
            check(gpu, &format!("{bad} ({:#x}) at {place}", bad.to_bits()), &x, 5)?;
        }
    }
    let mut x = random.normals(9000, 1.0);
    for i in 0..2000 {
        x[i * 4] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, negative_nan][i % 4];
    }
    check(gpu, "many", &x, 256)
}

fn extremes(gpu: &Gpu) -> Outcome {
    let tiny = |n: u32| f32::from_bits(n);
    check(gpu, "subnormals", &[0.0, -tiny(1), tiny(1), tiny(2), tiny(1), -tiny(3)], 6)?;
    check(gpu, "ends", &[1.0, f32::MAX, f32::MIN, f32::MIN_POSITIVE, f32::INFINITY], 4)
}

/// The rest of the list is −inf, nowhere.
fn fewer(gpu: &Gpu) -> Outcome {
    for k in [0, 257] {
        let refused = check(gpu, "k", &[1.0; 300], k).is_err();
        assert!(refused, "{k} of 300");
    }
    let (_, places) = reference(&[1.0, 2.0], 4);
    assert_eq!(places, [1, 0, NONE, NONE]);
    check(gpu, "2", &[1.0, 2.0], 64)?;
    check(gpu, "none but -inf", &[f32::NEG_INFINITY; 3], 64)?;
    // A last chunk of one value, as small as can be.
    let mut x = Random::new(4).normals(4097, 1.0);
    x[4096] = f32::NEG_INFINITY;
    check(gpu, "a short chunk", &x, 256)
}
