//! y = x·Wᵀ on packed weights: every format, tile and flag against f64 on the decoded weights.

mod fused;
mod scaled;

use mantissa::Gpu;
use mantissa::formats::{self, FormatRef};
use mantissa::gpu::{Caps, Class};
use mantissa::ops::glu::Activation;
use mantissa::ops::matmul::{
    self, Fused, Output, SUMS_STORED_FROM, Share, Tile, record_tiled, reference, reference_by,
};
use mantissa::ops::{Matrix, Placement, stride};
use mantissa::tune;
use pollster::block_on;

use crate::support::{
    Case, Expect, OfFormat, Outcome, Random, SENTINEL, case, compare, gamma, input, of_format,
    output, rows_of_bytes, run, subgroups_asked_for, tested_formats, words,
};

pub fn trials() -> Vec<(String, Case)> {
    let mut trials = reducing_trials();
    trials.extend([case("flags", flags), case("rows_of_x", rows_of_x), case("tails", tails)]);
    trials.push(case("texels_refused", fused::texels_refused));
    trials.push(case("norms_refused", scaled::norms_refused));
    trials
}

/// What adds up over lanes, in each layout of work and with all that is fused before and behind it.
pub fn reducing_trials() -> Vec<(String, Case)> {
    vec![
        case("tiles", tiles),
        case("fetched", fetched),
        case("by_quad", by_quad),
        case("candidates", candidates),
        case("norms", fused::norms),
        case("gates", fused::gates),
        case("gates_in_texels", fused::gates_in_texels),
        case("norms_ahead", scaled::norms_ahead),
        case("rows_are_apart", rows_are_apart),
    ]
}

/// What takes memory.
pub fn long_trials() -> Vec<(String, Case)> {
    vec![case("beyond_a_binding", beyond_a_binding)]
}

/// What is done with a format.
pub fn format_trials(format: FormatRef) -> Vec<(String, Case)> {
    let all: [(&str, OfFormat); 5] = [
        ("shapes", shapes),
        ("long", long),
        ("shards", shards),
        ("tails", tails_of),
        ("slice", slice),
    ];
    of_format(format, &all)
}

/// One multiplication; what is not said is plain.
#[derive(Clone, Copy)]
struct Shape {
    m: usize,
    n: usize,
    k: usize,
    tile: Tile,
    row_tile: usize,
    shard_bytes: u64,
    texels: bool,
    first_row: usize,
    bias: bool,
    accumulate: bool,
    /// A row of x that is all NaN.
    nan_row: Option<usize>,
    /// Whether x comes from texels, and y goes to such.
    handed_on: bool,
}

impl Shape {
    /// The tile that such a machine takes.
    fn of(caps: Caps, format: FormatRef, m: usize, n: usize, k: usize) -> Self {
        let (row_tile, texels) = if caps.class == Class::Software { (8, true) } else { (1, false) };
        let tile = Tile::choose(caps, format, (n, k), m);
        Self {
            m,
            n,
            k,
            tile,
            row_tile,
            shard_bytes: 100 << 20,
            texels,
            first_row: 0,
            bias: false,
            accumulate: false,
            nan_row: None,
            handed_on: false,
        }
    }
}

/// The machine itself and, since a format may be read from a buffer and from a texture, one of the other
/// class; with a thorough format all.
fn machines_for(gpu: &Gpu, format: FormatRef) -> Vec<Caps> {
    let mut machines = machines(gpu);
    let own = gpu.caps();
    machines.retain(|caps| is_thorough(format) || *caps == own || caps.class != own.class);
    machines
}

/// The machine itself, and those that can do nothing more than they must, but where it is only about
/// the size of its subgroups.
fn machines(gpu: &Gpu) -> Vec<Caps> {
    let mut machines = vec![gpu.caps()];
    if subgroups_asked_for().is_some() {
        return machines;
    }
    for plain in [Class::Software, Class::Gpu].map(Caps::plain) {
        if plain.sharing() != gpu.caps().sharing() || plain.class != gpu.caps().class {
            machines.push(plain);
        }
    }
    machines
}

/// Rows of k floats, whole vec4s apart.
fn padded(rows: &[f32], k: usize) -> Vec<f32> {
    let mut padded = vec![0.0; rows.len() / k * stride(k)];
    for (to, from) in padded.chunks_exact_mut(stride(k)).zip(rows.chunks_exact(k)) {
        to[..k].copy_from_slice(from);
    }
    padded
}

/// The operands, and the result with its sentinels.
struct Run {
    blocks: Vec<u8>,
    x: Vec<f32>,
    bias: Vec<f32>,
    before: Vec<f32>,
    words: Vec<u32>,
}

/// The result begins at column 3 of rows that are 5 words longer.
const AT: usize = 3;
const BEHIND: usize = 2;

fn launch(gpu: &Gpu, format: FormatRef, s: Shape) -> Result<Run, libtest_mimic::Failed> {
    let mut random = Random::new((s.n * s.k + s.m) as u64);
    let blocks = random.blocks(format, (s.n, s.k))?;
    let (mut x, bias) = (random.normals((s.first_row + s.m) * s.k, 1.0), random.normals(s.n, 1.0));
    if let Some(row) = s.nan_row {
        x[(s.first_row + row) * s.k..][..s.k].fill(f32::NAN);
    }
    let y_stride = AT + s.n + BEHIND;
    let before = random.normals(s.m * y_stride, 1.0);

    let Shape { row_tile: tile, shard_bytes, texels, .. } = s;
    let placement = Placement { tile, shard_bytes, texels };
    let w = Matrix::upload_placed(gpu, "w", format, (s.n, s.k), &blocks, placement);
    let w = block_on(w)?;
    let (from, bias_buffer) = (input(gpu, &padded(&x, s.k))?, input(gpu, &bias)?);
    let y = output(gpu, s.m * y_stride)?;
    if s.accumulate {
        for (row, before) in before.chunks_exact(y_stride).enumerate() {
            y.write(row * y_stride + AT, &before[AT..AT + s.n]);
        }
    }
    let out = Output { y: &y, stride: y_stride, at: AT, accumulate: s.accumulate };
    let fused = Fused { bias: s.bias.then_some(&bias_buffer), ..Fused::default() };
    run(gpu, |plan| record_tiled(plan, s.tile, &w, (&from, s.first_row, s.m), fused, out))?;
    Ok(Run { blocks, x, bias, before, words: words(&y)? })
}

/// K products and K − 1 additions in any order, and one addition each for the bias and what was
/// there, leave γ(K + 2)·(Σ|w·x| + |bias| + |y₀|) (Higham, section 3.1). Fusing only lessens it. By
/// codes, a term is rounded as often: in its product, in 31 additions at most, in the product with the
/// scale, and in an addition for each chunk; its size is then another (`reference_by`).
fn check(gpu: &Gpu, format: FormatRef, s: Shape) -> Outcome {
    let run = launch(gpu, format, s)?;
    let (codes, x) = (s.tile.uses_codes(format), &run.x[s.first_row * s.k..]);
    let exact = reference_by(format, &run.blocks, (s.n, s.k), x, codes)?;
    let y_stride = AT + s.n + BEHIND;
    let mut want = vec![Expect::Untouched; s.m * y_stride];
    for (i, (mut sum, mut size)) in exact.into_iter().enumerate() {
        let (m, n) = (i / s.n, i % s.n);
        let to = m * y_stride + AT + n;
        let mut add = |more: f32| {
            sum += f64::from(more);
            size += f64::from(more).abs();
        };
        if s.bias {
            add(run.bias[n]);
        }
        if s.accumulate {
            add(run.before[to]);
        }
        want[to] = match s.nan_row {
            Some(row) if row == m => Expect::Written,
            _ => Expect::Near(sum, gamma(s.k + 2) * size),
        };
    }
    let Shape { m, n, k, tile, row_tile, bias, accumulate, .. } = s;
    let what = format!(
        "{m} × {n} × {k} {}, {tile:?}, rows in tiles of {row_tile}, bias {bias}, accumulate {accumulate}",
        format.name()
    );
    compare(&what, &run.words, &want)
}

/// Rows of x on both sides of every tile, and an odd N of several workgroups, as both classes of
/// machine would do it.
fn shapes(gpu: &Gpu, format: FormatRef) -> Outcome {
    let k = 96usize.next_multiple_of(format.block_len());
    for caps in machines_for(gpu, format) {
        // More tiles take drivers long to compile, and decode no other way: by codes, or by values. These
        // rows have three tiles.
        let rows: &[usize] = match (is_thorough(format), caps == gpu.caps()) {
            (true, _) => &[1, 2, 3, 7, 8, 9, 16, 33, 128],
            (false, true) => &[1, 3, 7, 8, 9, 16, 33],
            (false, false) => &[1, 3],
        };
        for &m in rows {
            check(gpu, format, Shape::of(caps, format, m, 67, k))?;
        }
        // Weights enough for sums to wait in memory, where they do.
        let large = Shape::of(caps, format, 9, SUMS_STORED_FROM / k + 3, k);
        if large.tile.share == Share::Quad {
            check(gpu, format, large)?;
        }
        // One block, one row; one past a workgroup's rows.
        check(gpu, format, Shape::of(caps, format, 1, 1, format.block_len()))?;
        check(gpu, format, Shape::of(caps, format, 3, 33, format.block_len()))?;
    }
    Ok(())
}

/// A plain format, one with a minimum and one of super-blocks, which stand for all where
/// pipelines would be made for what has nothing to do with the format.
fn is_thorough(format: FormatRef) -> bool {
    ["f32", "q4_1", "q6_k"].contains(&format.name())
}

fn long(gpu: &Gpu, format: FormatRef) -> Outcome {
    let k = 11_008usize.next_multiple_of(format.block_len());
    for caps in machines_for(gpu, format) {
        check(gpu, format, Shape::of(caps, format, 1, 35, k))?;
        check(gpu, format, Shape::of(caps, format, 3, 17, k))?;
    }
    check(
        gpu,
        format,
        Shape::of(gpu.caps(), format, 1, 1537, 576usize.next_multiple_of(format.block_len())),
    )
}

/// Every layout of work over lanes that a device of this size takes, with each interleaving.
fn tiles(gpu: &Gpu) -> Outcome {
    let q4_1 = formats::by_name("q4_1")?;
    let most = gpu.limits().max_compute_invocations_per_workgroup as usize;
    let lanes_and_splits =
        [(1, 1), (8, 1), (8, 2), (8, 8), (16, 4), (32, 32), (64, 1), (64, 4), (64, 16), (256, 64)];
    for (lanes, split) in lanes_and_splits.into_iter().filter(|(lanes, _)| *lanes <= most) {
        // The largest tiles take long to compile, and differ in nothing but their rows of x.
        let largest = (lanes, split) == (8, 1) || (lanes, split) == (64, 4);
        let tiles = [(1, 3), (2, 3), (4, 4), (8, 9), (16, 18)].into_iter();
        for (tile_m, m) in tiles.filter(|(tile_m, _)| largest || *tile_m <= 4) {
            let row_tile = if tile_m % 4 == 0 { 64 } else { 1 };
            let rows = if tile_m > 2 { 8 } else { 4 };
            let codes = tile_m > 1;
            // x and W come from buffers and from texels, in each of four ways.
            let (staged, texels) = (lanes % 16 == 0, split > 2);
            let tile = Tile { lanes, split, rows, m: tile_m, share: Share::Lane, codes, staged };
            let gpus = Shape::of(Caps::plain(Class::Gpu), q4_1, m, 261, 160);
            check(gpu, q4_1, Shape { tile, row_tile, texels, ..gpus })?;
        }
    }
    Ok(())
}

/// A layout with all that comes behind it, all that is fused into it if asked for, and x in a texture.
fn with_everything(gpu: &Gpu, format: FormatRef, shape: Shape, fuse: bool) -> Outcome {
    check(gpu, format, Shape { bias: true, accumulate: true, ..shape })?;
    if fuse {
        fused::check(
            gpu,
            format,
            Shape { n: shape.n & !1, ..shape },
            true,
            Some(Activation::Silu),
        )?;
    }
    check(gpu, format, Shape { tile: Tile { staged: true, ..shape.tile }, ..shape })
}

/// x by way of workgroup memory: chunks that do not fill the last round, rows of W and of x that do not
/// fill a tile, a row that ends within a chunk, lanes that fetch nothing.
fn fetched(gpu: &Gpu) -> Outcome {
    let [q4_1, f32] = ["q4_1", "f32"].map(|name| formats::by_name(name).unwrap());
    let all = [
        ((64, 4), (4, 1), (1, 160, q4_1)),
        ((64, 16), (4, 1), (2, 1056, f32)),
        ((8, 1), (8, 2), (3, 70, f32)),
        ((64, 4), (4, 16), (9, 160, q4_1)),
        ((32, 2), (8, 8), (17, 97, f32)),
        ((64, 1), (4, 16), (33, 96, q4_1)),
    ];
    for ((lanes, split), (rows, tile_m), (m, k, format)) in all {
        let share = Share::Workgroup;
        let tile = Tile { lanes, split, rows, m: tile_m, share, codes: m < 4, staged: false };
        let shape = Shape { tile, ..Shape::of(Caps::plain(Class::Gpu), format, m, 135, k) };
        with_everything(gpu, format, shape, m <= 9)?;
    }
    Ok(())
}

/// x by way of quads, on whatever has them: rows of x of which the last has no partner, or is none of the
/// tile's, with all that is fused; and nowhere else.
fn by_quad(gpu: &Gpu) -> Outcome {
    let [q4_1, f32] = ["q4_1", "f32"].map(|name| formats::by_name(name).unwrap());
    let lanes = gpu.caps().sharing().lanes;
    let large = |k: usize| SUMS_STORED_FROM / k + 3;
    for ((rows, tile_m), (m, n, k, format)) in [
        ((4, 1), (1, 135, 160, q4_1)),
        ((8, 2), (3, 135, 70, f32)),
        ((8, 4), (7, 135, 96, q4_1)),
        // Sums wait in memory, of codes too, and of sixteen rows of x.
        ((8, 4), (7, large(96), 96, q4_1)),
        ((8, 4), (3, large(160), 160, q4_1)),
        ((4, 16), (17, large(96), 96, q4_1)),
        ((4, 16), (17, 135, 97, f32)),
    ] {
        let (share, codes) = (Share::Quad, m < 4);
        let tile = Tile { lanes, split: 1, rows, m: tile_m, share, codes, staged: false };
        if !tile.is_legal(gpu.caps(), gpu.limits()) {
            let has = gpu.caps().sharing().by_quad;
            return if has { Err(format!("{tile:?} is refused").into()) } else { Ok(()) };
        }
        let shape = Shape { tile, ..Shape::of(Caps::plain(Class::Gpu), format, m, n, k) };
        with_everything(gpu, format, shape, m <= 9)?;
    }
    Ok(())
}

/// Each layout that a tuner may choose here, also with all that is fused where that compiles soon, and
/// those of other machines for a row of x.
fn candidates(gpu: &Gpu) -> Outcome {
    let q4_1 = formats::by_name("q4_1")?;
    for caps in machines(gpu) {
        // Other machines' larger tiles take drivers long to compile.
        let rows: &[usize] = match (caps == gpu.caps(), subgroups_asked_for()) {
            (true, None) => &[1, 3, 9, 33],
            (true, Some(_)) => &[1, 9],
            (false, _) => &[1],
        };
        for &m in rows {
            for tile in tune::candidates(caps, gpu.limits(), q4_1, (261, 160), m) {
                let shape = Shape { tile, ..Shape::of(caps, q4_1, m, 261, 160) };
                check(gpu, q4_1, Shape { bias: true, accumulate: true, ..shape })?;
                if m <= 3 && caps == gpu.caps() {
                    fused::check(
                        gpu,
                        q4_1,
                        Shape { n: 70, ..shape },
                        true,
                        Some(Activation::Silu),
                    )?;
                }
            }
        }
    }
    for name in ["q6_k", "f32"] {
        let format = formats::by_name(name)?;
        let k = 160usize.next_multiple_of(format.block_len());
        for tile in tune::candidates(gpu.caps(), gpu.limits(), format, (67, k), 1) {
            check(gpu, format, Shape { tile, ..Shape::of(gpu.caps(), format, 1, 67, k) })?;
        }
    }
    Ok(())
}

fn flags(gpu: &Gpu) -> Outcome {
    for format in tested_formats().into_iter().take(2) {
        let k = 64usize.next_multiple_of(format.block_len());
        for caps in machines(gpu) {
            for (bias, accumulate) in [(true, false), (false, true), (true, true)] {
                for m in [1, 9] {
                    let plain = Shape::of(caps, format, m, 37, k);
                    check(gpu, format, Shape { bias, accumulate, ..plain })?;
                }
            }
        }
    }
    Ok(())
}

/// Rows of x from the middle of a buffer: the last token of a prompt.
fn rows_of_x(gpu: &Gpu) -> Outcome {
    let f32 = formats::by_name("f32")?;
    check(gpu, f32, Shape { first_row: 5, ..Shape::of(gpu.caps(), f32, 1, 37, 65) })?;
    check(gpu, f32, Shape { first_row: 2, ..Shape::of(Caps::plain(Class::Gpu), f32, 3, 37, 64) })
}

fn tails(gpu: &Gpu) -> Outcome {
    tails_of(gpu, formats::by_name("f32")?)
}

/// K that is no multiple of a chunk, or even of four, as far as blocks end there.
fn tails_of(gpu: &Gpu, format: FormatRef) -> Outcome {
    for k in [1, 2, 31, 33, 65, 80, 588].into_iter().filter(|k| k % format.block_len() == 0) {
        for caps in machines_for(gpu, format) {
            check(gpu, format, Shape::of(caps, format, 1, 9, k))?;
            check(gpu, format, Shape::of(caps, format, 3, 35, k))?;
        }
    }
    Ok(())
}

/// A NaN in one row of x stays there, also where the last chunk reaches into the next row.
fn rows_are_apart(gpu: &Gpu) -> Outcome {
    let f32 = formats::by_name("f32")?;
    for k in [32, 33, 65, 80] {
        for caps in machines(gpu) {
            check(gpu, f32, Shape { nan_row: Some(1), ..Shape::of(caps, f32, 3, 35, k) })?;
        }
    }
    Ok(())
}

/// Cut into shards, the result has the same bits.
fn shards(gpu: &Gpu, format: FormatRef) -> Outcome {
    let k = 96usize.next_multiple_of(format.block_len());
    for caps in machines_for(gpu, format) {
        for m in [1, 3] {
            let more = is_thorough(format);
            let whole = Shape { bias: more, accumulate: more, ..Shape::of(caps, format, m, 75, k) };
            let cut = Shape { shard_bytes: rows_of_bytes(format, 16, k), ..whole };
            check(gpu, format, cut)?;
            let (whole, cut) = (launch(gpu, format, whole)?, launch(gpu, format, cut)?);
            let want: Vec<_> = whole.words.iter().map(|w| Expect::Bits(*w)).collect();
            compare("cut against whole", &cut.words, &want)?;
            if whole.words[AT] == SENTINEL {
                return Err("nothing was written".into());
            }
        }
    }
    Ok(())
}

/// More than the 128 MiB that WebGPU promises for a binding: sharded as the device demands, the result
/// has the bits that a device with larger bindings, or smaller shards, gives.
fn beyond_a_binding(gpu: &Gpu) -> Outcome {
    let f16 = formats::by_name("f16")?;
    let (n, k) = (66_001, 1024);
    let row: Vec<f32> = Random::new(31).normals(k, 1.0);
    let mut blocks = vec![0; 2 * n * k];
    for (i, row_bytes) in blocks.chunks_exact_mut(2 * k).enumerate() {
        let weights: Vec<f32> = row.iter().map(|x| x * (i % 97) as f32 / 64.0).collect();
        formats::encode_row(f16, &weights, row_bytes)?;
    }
    let x = Random::new(32).normals(k, 1.0);
    let exact = reference(f16, &blocks, (n, k), &x)?;
    let from = input(gpu, &x)?;
    let mut results = Vec::new();
    for shard_bytes in [Placement::of(gpu).shard_bytes, 100 << 20, 30_000_000] {
        let placement = Placement { shard_bytes, ..Placement::of(gpu) };
        let w = Matrix::upload_placed(gpu, "w", f16, (n, k), &blocks, placement);
        let w = block_on(w)?;
        if shard_bytes <= 128 << 20 && w.shards.len() < 2 {
            return Err(format!("{} shards of {shard_bytes} bytes", w.shards.len()).into());
        }
        let y = output(gpu, n)?;
        let out = Output { y: &y, stride: n, at: 0, accumulate: false };
        let tile = Tile::choose(gpu.caps(), f16, (n, k), 1);
        run(gpu, |plan| record_tiled(plan, tile, &w, (&from, 0, 1), Fused::default(), out))?;
        results.push(words(&y)?);
    }
    let want: Vec<_> =
        exact.iter().map(|(y, size)| Expect::Near(*y, gamma(k + 2) * size)).collect();
    compare("beyond a binding", &results[0], &want)?;
    let bits: Vec<_> = results[0].iter().take(n).map(|w| Expect::Bits(*w)).collect();
    compare("shards of 100 MiB", &results[1], &bits)?;
    compare("shards of 30 MB", &results[2], &bits)
}

/// The one-shot function on slices.
fn slice(gpu: &Gpu, format: FormatRef) -> Outcome {
    let (m, n, k) = (3, 5, 64usize.next_multiple_of(format.block_len()));
    let mut random = Random::new(30);
    let (blocks, x) = (random.blocks(format, (n, k))?, random.normals(m * k, 1.0));
    let y = block_on(matmul::matmul(gpu, format, &blocks, (n, k), &x))?;
    let got: Vec<u32> = y.iter().map(|v| v.to_bits()).collect();
    let codes = Tile::choose(gpu.caps(), format, (n, k), m).uses_codes(format);
    let exact = reference_by(format, &blocks, (n, k), &x, codes)?;
    let want: Vec<_> =
        exact.iter().map(|(y, size)| Expect::Near(*y, gamma(k + 2) * size)).collect();
    compare(&format!("matmul {}", format.name()), &got, &want)
}
