//! argmax is exact: the place of the largest value, the first of equals.

use mantissa::Gpu;
use mantissa::ops::argmax::{NOT_FINITE, record, reference};
use mantissa::ops::stride;

use crate::support::{Case, Expect, Outcome, Random, case, compare, input, output, run, words};

pub fn trials() -> Vec<(String, Case)> {
    vec![
        case("lengths", lengths),
        case("rows", rows),
        case("ties", ties),
        case("zeros_are_equal", zeros_are_equal),
        case("not_finite", not_finite),
        case("extremes", extremes),
    ]
}

/// The index lands in word 3 of 7, and nowhere else.
fn check(gpu: &Gpu, what: &str, x: &[f32], want: u32) -> Outcome {
    let (from, to) = (input(gpu, x)?, output(gpu, 7)?);
    run(gpu, |plan| record(plan, &from, (1, x.len()), &to, 3))?;
    let mut expected = [Expect::Untouched; 7];
    expected[3] = Expect::Bits(want);
    compare(what, &words(&to)?, &expected)
}

fn lengths(gpu: &Gpu) -> Outcome {
    let mut random = Random::new(1);
    for cols in [1, 2, 3, 255, 256, 257, 1000, 49_152] {
        let x = random.normals(cols, 5.0);
        check(gpu, &format!("{cols} values"), &x, reference(&x))?;
        let place = random.below(cols);
        let mut low = vec![-2.5; cols];
        low[place] = -2.25;
        check(gpu, &format!("{cols} negative values"), &low, place as u32)?;
    }
    Ok(())
}

/// Each row by itself, whatever lies between them.
fn rows(gpu: &Gpu) -> Outcome {
    let mut random = Random::new(3);
    for (rows, cols) in [(1, 5), (4, 255), (9, 1001), (65, 64)] {
        let mut x = vec![f32::NAN; rows * stride(cols)];
        let mut want = vec![Expect::Untouched; 2];
        for (r, row) in x.chunks_exact_mut(stride(cols)).enumerate() {
            row[..cols].copy_from_slice(&random.normals(cols, 5.0));
            if r % 4 == 3 {
                row[r % cols] = f32::INFINITY;
            }
            want.push(Expect::Bits(reference(&row[..cols])));
        }
        let (from, to) = (input(gpu, &x)?, output(gpu, rows + 2)?);
        run(gpu, |plan| record(plan, &from, (rows, cols), &to, 2))?;
        compare(&format!("{rows} rows of {cols}"), &words(&to)?, &want)?;
    }
    Ok(())
}

fn ties(gpu: &Gpu) -> Outcome {
    check(gpu, "all equal", &[1.5; 1000], 0)?;
    // In lanes above and below each other, and twice in one lane.
    for places in [[999, 3], [300, 299], [44, 300], [511, 256], [257, 1]] {
        let mut x = vec![0.0; 1000];
        places.iter().for_each(|&p: &usize| x[p] = 7.0);
        check(gpu, &format!("{places:?}"), &x, places[0].min(places[1]) as u32)?;
    }
    Ok(())
}

/// −0 = +0, so the first of them wins whatever its sign.
fn zeros_are_equal(gpu: &Gpu) -> Outcome {
    let mut x = vec![-1.0; 600];
    (x[10], x[20], x[290]) = (-0.0, 0.0, 0.0);
    check(gpu, "-0 first", &x, reference(&x))?;
    check(gpu, "by hand", &x, 10)
}

fn not_finite(gpu: &Gpu) -> Outcome {
    let mut random = Random::new(2);
    let negative_nan = f32::from_bits(0xffc0_0001);
    let signalling = f32::from_bits(0x7f80_0001);
    for bad in [f32::NAN, negative_nan, signalling, f32::INFINITY, f32::NEG_INFINITY] {
        for place in [0, 255, 256, 700] {
            let mut x = random.normals(701, 1.0);
            x[place] = bad;
            let what = format!("{bad} ({:#x}) at {place}", bad.to_bits());
            check(gpu, &what, &x, NOT_FINITE)?;
        }
    }
    Ok(())
}

fn extremes(gpu: &Gpu) -> Outcome {
    let tiny = f32::from_bits(1);
    check(gpu, "largest", &[1.0, f32::MAX, 2.0], 1)?;
    check(gpu, "all lowest", &[f32::MIN; 300], 0)?;
    check(gpu, "subnormals", &[0.0, -tiny, tiny, f32::from_bits(2), tiny], 3)
}
