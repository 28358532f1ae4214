//! What is done on the way in and out of a multiplication: RMSNorm, gates, and texels in place of buffers.

use mantissa::Gpu;
use mantissa::formats::{self, FormatRef};
use mantissa::gpu::{PlanBuilder, Texels};
use mantissa::ops::glu::{self, Activation};
use mantissa::ops::matmul::{Fused, Input, Output, Tile, To, record_tiled, reference_by};
use mantissa::ops::{Matrix, Placement};
use pollster::block_on;

use super::{Shape, machines, padded};
use crate::glu::tolerance;
use crate::support::{
    Expect, Outcome, Random, compare, gamma, in_texels, input, output, rows_of_bytes, run, words,
};

/// What is fused into a multiplication, by itself and on the CPU: x → (normed x)·Wᵀ + bias, and gates
/// with their ups.
pub fn check(
    gpu: &Gpu,
    format: FormatRef,
    shape: Shape,
    norm: bool,
    glu: Option<Activation>,
) -> Outcome {
    let Shape { m, n, k, .. } = shape;
    // Large enough to be seen beside a mean square of 9.
    let eps = 0.5f32;
    let mut random = Random::new((n * k + m) as u64);
    let blocks = random.blocks(format, (n, k))?;
    let (x, gain) = (random.normals(m * k, 3.0), random.normals(k, 1.0));
    let bias = random.normals(n, 1.0);
    let Shape { row_tile: tile, shard_bytes, texels, .. } = shape;
    let placement = Placement { tile, shard_bytes, texels };
    let w = block_on(Matrix::upload_placed(gpu, "w", format, (n, k), &blocks, placement))?;
    let (from, gain_buffer) = (input(gpu, &padded(&x, k))?, input(gpu, &padded(&gain, k))?);
    let bias_buffer = input(gpu, &bias)?;
    let columns = if glu.is_some() { n / 2 } else { n };
    let y = output(gpu, m * columns)?;
    let out = Output { y: &y, stride: columns, at: 0, accumulate: false };
    let norm_given = norm.then_some((&gain_buffer, eps));
    let fused = Fused { norm: norm_given, bias: Some(&bias_buffer), glu };
    let got = if shape.handed_on {
        let (x, to) = (in_texels(gpu, &from)?, in_texels(gpu, &y)?);
        let (x, to_texels) = (Input::Texels(&x, m), To::Texels(&to));
        run(gpu, |plan| record_tiled(plan, shape.tile, &w, x, fused, to_texels))?;
        block_on(to.read(0, (y.size() / 4) as usize))?
    } else {
        run(gpu, |plan| record_tiled(plan, shape.tile, &w, (&from, 0, m), fused, out))?;
        words(&y)?
    };

    let mut want = Vec::new();
    for x in x.chunks_exact(k) {
        let mean = x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / k as f64;
        let scale = if norm { 1.0 / (mean + f64::from(eps)).sqrt() } else { 1.0 };
        // Products with the gain in f32, as the kernel has them: one rounding, counted below.
        let scaled = |(v, g): (&f32, &f32)| if norm { v * g } else { *v };
        let x: Vec<f32> = x.iter().zip(&gain).map(scaled).collect();
        let rows = reference_by(format, &blocks, (n, k), &x, shape.tile.uses_codes(format))?;
        // K products and sums, the gain, the bias; the mean of K squares (half of whose error is
        // left by the root), the root (2.5 ulp of a division, 1 of a root) and the product with it.
        let sums: Vec<(f64, f64)> = rows
            .into_iter()
            .zip(&bias)
            .map(|((sum, size), b)| {
                let b = f64::from(*b);
                (sum * scale + b, gamma(2 * k + 10) * (size * scale + b.abs()))
            })
            .collect();
        match glu {
            None => want.extend(sums.iter().map(|(y, error)| Expect::Near(*y, *error))),
            Some(act) => want.extend(sums.chunks_exact(2).map(|pair| {
                let [(gate, gate_error), (up, up_error)] = [pair[0], pair[1]];
                // |act'| ≤ 1.13 for both, and |act| ≤ |gate|; 1.2 leaves room for what is of second
                // order. The activation's own error is that of its test; a product follows.
                let nearest = gate as f32;
                let activated = glu::reference(nearest, 1.0, act);
                let moved = 1.2 * (gate_error + (gate - f64::from(nearest)).abs());
                let act_error = moved + tolerance(nearest, 1.0, activated, act);
                let error = act_error * (up.abs() + up_error) + gate.abs() * up_error;
                let y = activated * up;
                Expect::Near(y, error + gamma(1) * (y.abs() + error))
            })),
        }
    }
    let what = format!("{m} × {n} × {k} {}, {:?}, norm {norm}, {glu:?}", format.name(), shape.tile);
    compare(&what, &got, &want)
}

/// Larger tiles take drivers long to compile, minutes where they have barriers: on the machine itself.
pub fn norms(gpu: &Gpu) -> Outcome {
    let large = [(9, 96), (17, 65)];
    for (name, large) in [("q4_1", &large[..1]), ("q6_k", &[]), ("f32", &large[1..])] {
        let format = formats::by_name(name)?;
        for caps in machines(gpu) {
            let large = if caps == gpu.caps() { large } else { &[] };
            for &(m, k) in [(1, 576), (3, 64)].iter().chain(large) {
                let k = usize::next_multiple_of(k, format.block_len());
                check(gpu, format, Shape::of(caps, format, m, 35, k), true, None)?;
            }
        }
    }
    Ok(())
}

pub fn gates(gpu: &Gpu) -> Outcome {
    let (silu, gelu) = (Activation::Silu, Activation::Gelu);
    let all =
        [("q4_1", silu, 17, 34), ("q4_1", gelu, 1, 70), ("q8_0", silu, 1, 2), ("f32", gelu, 3, 6)];
    for (name, act, m, n) in all {
        let format = formats::by_name(name)?;
        for caps in machines(gpu).into_iter().filter(|caps| m <= 8 || *caps == gpu.caps()) {
            let shape = Shape::of(caps, format, m, n, 96);
            check(gpu, format, shape, m == 1, Some(act))?;
            // Room for 17 rows: no gate may be cut from its up.
            let cut = Shape { shard_bytes: rows_of_bytes(format, 17, 96), ..shape };
            check(gpu, format, cut, m == 1, Some(act))?;
        }
    }
    Ok(())
}

/// Gates and ups to texels, from texels: in one shard and in several, for rows that fill no tile.
pub fn gates_in_texels(gpu: &Gpu) -> Outcome {
    let (silu, gelu) = (Activation::Silu, Activation::Gelu);
    for (name, act, m, n) in [("q4_1", silu, 1, 72), ("q8_0", gelu, 3, 8), ("q4_0", silu, 17, 136)]
    {
        let format = formats::by_name(name)?;
        for caps in machines(gpu).into_iter().filter(|caps| m <= 8 || *caps == gpu.caps()) {
            let shape =
                Shape::of(caps, format, m, n, 100_usize.next_multiple_of(format.block_len()));
            let tile = Tile { rows: 8, ..shape.tile };
            let shape = Shape { tile, row_tile: 8, handed_on: true, ..shape };
            check(gpu, format, shape, m == 1, Some(act))?;
            let cut = Shape { shard_bytes: rows_of_bytes(format, 17, shape.k), ..shape };
            check(gpu, format, cut, m == 1, Some(act))?;
        }
    }
    Ok(())
}

/// Tiles that would leave parts of texels, what is no gate, and textures too small for the rows are refused
/// before anything runs: a texture has whole rows of 1,024 texels.
pub fn texels_refused(gpu: &Gpu) -> Outcome {
    let format = formats::by_name("q8_0")?;
    let own = Shape::of(gpu.caps(), format, 1, 16, 32).tile;
    let (four, eight) = (Tile { rows: 4, ..own }, Tile { rows: 8, ..own });
    let silu = Some(Activation::Silu);
    let small = block_on(Texels::zeros(gpu, "a row of texels", 1))?;
    let large = block_on(Texels::zeros(gpu, "two rows of texels", 1025))?;
    // Rows of eight texels of x, and of n / 8 of y.
    let cases = [
        ("nothing", true, 16, 8, 32, eight, silu),
        ("half a texel to a lane", false, 16, 8, 32, four, silu),
        ("half a texel to a row", false, 12, 8, 32, eight, silu),
        ("no gates", false, 16, 8, 32, eight, None),
        ("nothing", true, 8, 128, 32, eight, silu),
        ("too few texels of x", false, 8, 129, 32, eight, silu),
        ("too few texels of y", false, 264, 32, 32, eight, silu),
    ];
    for (what, taken, n, m, k, tile, glu) in cases {
        let blocks = Random::new(1).blocks(format, (n, k))?;
        let w = block_on(Matrix::upload(gpu, "w", format, (n, k), &blocks))?;
        let x = if what.ends_with("of y") { &large } else { &small };
        let mut plan = PlanBuilder::new(gpu, "refused");
        let fused = Fused { glu, ..Fused::default() };
        let (x, y) = (Input::Texels(x, m), To::Texels(&small));
        match record_tiled(&mut plan, tile, &w, x, fused, y) {
            Ok(()) if taken => {}
            Err(mantissa::Error::Shape { op: "matmul", .. }) if !taken => {}
            other => return Err(format!("{what}: {other:?}").into()),
        }
    }
    Ok(())
}
