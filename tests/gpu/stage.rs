//! Rows of x as texels, and their RMSNorm.

use mantissa::Gpu;
use mantissa::gpu::{TEXEL_ROW, Texels};
use mantissa::ops::stage::{record, texels};
use mantissa::ops::{rms_norm, stride};
use pollster::block_on;

use crate::rms_norm::tolerance;
use crate::support::{Case, Expect, Outcome, Random, case, compare, input, run};

pub fn trials() -> Vec<(String, Case)> {
    vec![
        case("rows", rows),
        case("scales", scales),
        case("nothing_else", nothing_else),
        case("words", word_texels),
    ]
}

struct Shape {
    rows: usize,
    cols: usize,
    first: usize,
}

/// Copied to the bit, and normed; what pads a row of x is NaN, and 0 in the texels.
fn check(gpu: &Gpu, &Shape { rows, cols, first }: &Shape, scale: f32) -> Outcome {
    let mut random = Random::new(cols as u64);
    let mut x = vec![f32::NAN; (first + rows) * stride(cols)];
    for row in x.chunks_exact_mut(stride(cols)) {
        row[..cols].fill_with(|| random.normal() * scale);
    }
    let (mut gain, eps) = (random.normals(cols, 1.0), 1e-5);
    let exact: Vec<Vec<f64>> = x[first * stride(cols)..]
        .chunks_exact(stride(cols))
        .map(|x| rms_norm::reference(&x[..cols], &gain, eps))
        .collect();
    gain.resize(stride(cols), 7.0);
    let (from, gain) = (input(gpu, &x)?, input(gpu, &gain)?);
    let make = || Texels::zeros(gpu, "staged", texels(rows, cols));
    let (plain, normed) = (block_on(make())?, block_on(make())?);
    run(gpu, |plan| {
        record(plan, (&from, first, rows), cols, None, &plain)?;
        record(plan, (&from, first, rows), cols, Some((&gain, eps)), &normed)
    })?;
    let what = format!("{rows} rows of {cols} from {first}, scale {scale}");
    let given = x[first * stride(cols)..].chunks_exact(stride(cols));
    let padded = |mut row: Vec<Expect>| {
        row.resize(stride(cols), Expect::Bits(0));
        row
    };
    let want =
        given.flat_map(|x| padded(x[..cols].iter().map(|v| Expect::Bits(v.to_bits())).collect()));
    let got = block_on(plain.read(0, rows * stride(cols)))?;
    compare(&what, &got, &want.collect::<Vec<_>>())?;
    let near = |y: &f64| Expect::Near(*y, tolerance(cols) * y.abs());
    let want = exact.iter().flat_map(|row| padded(row.iter().map(near).collect()));
    let got = block_on(normed.read(0, rows * stride(cols)))?;
    compare(&format!("{what}, normed"), &got, &want.collect::<Vec<_>>())
}

/// Rows that end within a row of texels, at its end, and behind it.
fn rows(gpu: &Gpu) -> Outcome {
    for cols in [1, 2, 3, 4, 31, 33, 576, 1000, 4095, 4096, 4097] {
        for rows in [1, 3, 17] {
            check(gpu, &Shape { rows, cols, first: 0 }, 1.0)?;
        }
    }
    check(gpu, &Shape { rows: 5000, cols: 5, first: 0 }, 1.0)?;
    // More rows than one dimension of a launch holds.
    check(gpu, &Shape { rows: 65_537, cols: 3, first: 0 }, 1.0)?;
    check(gpu, &Shape { rows: 2, cols: 66, first: 4 }, 1.0)
}

fn scales(gpu: &Gpu) -> Outcome {
    for scale in [0.0, 1e-4, 1e3, 1e15] {
        check(gpu, &Shape { rows: 2, cols: 577, first: 1 }, scale)?;
    }
    Ok(())
}

/// Texels beyond the rows keep what was there.
fn nothing_else(gpu: &Gpu) -> Outcome {
    let (ones, twos) = (input(gpu, &[1.0f32; 4 * 40])?, input(gpu, &[2.0f32; 4 * 12])?);
    let to = block_on(Texels::zeros(gpu, "staged", 40))?;
    run(gpu, |plan| {
        record(plan, (&ones, 0, 4), 40, None, &to)?;
        record(plan, (&twos, 0, 4), 10, None, &to)
    })?;
    let row = |value: f32, n| vec![Expect::Bits(value.to_bits()); n];
    let pad = || vec![Expect::Bits(0); 2];
    let four = |_| [row(2.0, 10), pad()].concat();
    let want = [(0..4).flat_map(four).collect(), row(1.0, 160 - 48)].concat();
    compare("texels behind the rows", &block_on(to.read(0, 160))?, &want)
}

/// Words that fill no row of texels, one, and more, come back from any place.
fn word_texels(gpu: &Gpu) -> Outcome {
    let row = 4 * TEXEL_ROW;
    for len in [1, 5, row - 1, row, row + 1, 3 * row + 7] {
        let words: Vec<u32> = (0..len as u32).map(|i| i.wrapping_mul(0x9e37_79b9)).collect();
        let texels = block_on(Texels::from_words(gpu, "words", &words))?;
        for (at, n) in [(0, len), (len - 1, 1), (len / 2, len - len / 2), (len / 3, 1), (0, 0)] {
            if block_on(texels.read(at, n))? != words[at..at + n] {
                return Err(format!("{n} words from {at} of {len}").into());
            }
        }
        let end = texels.size() as usize / 4;
        if block_on(texels.read(end, 1)).is_ok() {
            return Err(format!("a word behind the last of {len}").into());
        }
    }
    Ok(())
}
