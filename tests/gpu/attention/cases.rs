//! Shapes, layouts, formats, options and values that no number covers.

use libtest_mimic::Failed;
use mantissa::Gpu;
use mantissa::formats::FormatRef;
use mantissa::gpu::Texels;
use mantissa::ops::Span;
use mantissa::ops::attention::{Attention, Options, Shape, Tile, alibi_slopes};
use mantissa::ops::kv::{Kv, KvShape, can_hold};
use mantissa::ops::stage::Place;
use pollster::block_on;

use super::{Case, attend, check, filled};
use crate::support::{self, Expect, Outcome, Random, case, compare, input, of_format, run, step};

const HEAD_DIMS: [usize; 6] = [4, 32, 36, 64, 80, 256];
const POSITIONS: [usize; 6] = [1, 31, 32, 33, 113, 300];

/// On every device, masked or not.
pub fn trials() -> Vec<(String, support::Case)> {
    vec![
        case("rows_at_an_offset", rows),
        case("sequences", sequences),
        case("spoilt_neighbours", spoilt_neighbours),
        case("window", window),
        case("nothing_seen_and_not_a_number", extremes),
        case("refusals", refusals),
        case("to_texels", to_texels),
        case("group_3", |gpu| decode(gpu, 3)),
    ]
}

/// What takes many pipelines, on devices with nothing masked off. Of the two drivers one lets lanes
/// share by way of its subgroups and one does not.
pub fn long_trials() -> Vec<(String, support::Case)> {
    vec![
        case("group_1", |gpu| decode(gpu, 1)),
        case("group_8", |gpu| decode(gpu, 8)),
        case("large_scores", large_scores),
        case("soft_cap_and_alibi_and_sinks", options),
        case("masks", masks),
        case("layouts", layouts),
        case("formats", formats),
    ]
}

fn decode(gpu: &Gpu, group: usize) -> Outcome {
    for head_dim in HEAD_DIMS {
        for positions in POSITIONS {
            check(gpu, &Case::new(head_dim, group, positions - 1, 1))?;
        }
    }
    Ok(())
}

fn rows(gpu: &Gpu) -> Outcome {
    for (head_dim, group) in [(64, 3), (80, 1), (36, 2)] {
        for (position, rows) in [(0, 7), (61, 7), (113, 33)] {
            check(gpu, &Case::new(head_dim, group, position, rows))?;
        }
    }
    Ok(())
}

/// To texels: by the kernel itself, and by the one that adds up the parts of a split context; there are
/// more of them than in a row of the texture.
fn to_texels(gpu: &Gpu) -> Outcome {
    for (position, rows, splits, sinks) in [(90, 1, 1, false), (70, 13, 1, true), (90, 3, 5, true)]
    {
        let mut case = Case { texels: true, ..Case::new(64, 3, position, rows) };
        case.options.tile = Some(Tile { splits, ..own_tile(gpu, &case)? });
        case.options.sinks = sinks.then(|| vec![0.5, -2.0, 3.0, 100.0, -100.0, -1e4]);
        check(gpu, &case)?;
    }
    Ok(())
}

fn own_tile(gpu: &Gpu, case: &Case) -> Result<Tile, Failed> {
    Ok(Tile::on(gpu, (case.sequences, case.rows * case.group), case.kv_shape())?)
}

/// Scores of some ±200, where exp() of a float would overflow and the maximum moves often.
fn large_scores(gpu: &Gpu) -> Outcome {
    for position in [64, 200] {
        check(gpu, &Case { spread: 60.0, ..Case::new(64, 3, position, 2) })?;
    }
    Ok(())
}

/// Every way of laying the work out: lanes that leave some idle, one query to eight, splits of which
/// some have nothing to do.
fn layouts(gpu: &Gpu) -> Outcome {
    for lanes in [8, 24, 64] {
        for queries in [1, 3, 8] {
            for splits in [1, 5] {
                let mut case = Case::new(40, 3, 90, 3);
                case.options.tile = Some(Tile { lanes, queries, splits });
                check(gpu, &case)?;
                case.options.sinks = Some(vec![0.5, -2.0, 3.0, 100.0, -100.0, -1e4]);
                case.options.window = Some(37);
                check(gpu, &case)?;
            }
        }
    }
    Ok(())
}

/// A cache in a format: one query compiles soonest, and sees each position decoded as eight do.
pub fn format_trials(format: FormatRef) -> Vec<(String, support::Case)> {
    if can_hold(format) { of_format(format, &[("cache", cache)]) } else { Vec::new() }
}

fn cache(gpu: &Gpu, format: FormatRef) -> Outcome {
    let (keys, values) = (format.name(), format.name());
    for position in [0, 31, 110] {
        check(gpu, &Case { keys, values, ..Case::new(128, 1, position, 1) })?;
    }
    Ok(())
}

/// Keys in one format and values in another, in heads that end within a block, too.
fn formats(gpu: &Gpu) -> Outcome {
    for (keys, values) in [("q5_0", "bfp:m4:n64"), ("mxfp4", "e2m1:n16"), ("nf4", "q4_1")] {
        check(gpu, &Case { keys, values, ..Case::new(64, 1, 46, 1) })?;
    }
    for (keys, values) in [("q8_0", "q8_0"), ("f16", "f16"), ("q8_0", "f32"), ("q4_0", "f16")] {
        for head_dim in [36, 80, 128] {
            check(gpu, &Case { keys, values, ..Case::new(head_dim, 3, 70, 3) })?;
        }
    }
    Ok(())
}

/// Sequences in one step, each of which sees its own positions: at the ends of tiles, in parts, with
/// all that counts positions from a sequence's first.
fn sequences(gpu: &Gpu) -> Outcome {
    for (sequences, position, rows) in [(2, 31, 1), (3, 113, 1), (5, 40, 3), (64, 9, 1)] {
        let mut case = Case { sequences, ..Case::new(64, 3, position, rows) };
        check(gpu, &case)?;
        case.options.tile = Some(Tile { lanes: 8, queries: 2, splits: 3 });
        case.options.window = Some(20);
        check(gpu, &case)?;
        case.options.slopes = Some(alibi_slopes(case.heads(), 8.0));
        check(gpu, &case)?;
        let mask_rows = case.all_rows();
        case.mask = Some(super::grid::mask(&mut Random::new(9), mask_rows, case.end()));
        case.options.causal = false;
        check(gpu, &case)?;
    }
    Ok(())
}

/// What another sequence holds, even where it is not a number, changes nothing.
fn spoilt_neighbours(gpu: &Gpu) -> Outcome {
    for (position, splits) in [(20, 1), (70, 4)] {
        let mut case = Case { sequences: 3, ..Case::new(32, 2, position, 1) };
        case.options.tile = Some(Tile { lanes: 8, queries: 2, splits });
        let mut random = Random::new(1);
        let (keys, values) = filled(gpu, &case, &mut random)?;
        let width = case.heads() * case.head_dim;
        let q = random.normals(case.all_rows() * width, 1.0);
        let caches = (&keys.kv, &values.kv);
        let shape = case.shape(width, width);
        let before = attend(gpu, &case, shape, &q, caches)?;
        // All that is before and behind the middle one's positions, in every head.
        let Span { start, end, .. } = case.span(1);
        for kv in [&keys.kv, &values.kv] {
            let (format, row) = (kv.matrix.format, vec![f32::NAN; kv.matrix.cols]);
            let is_own = |position: usize| (start..end).contains(&(position as u32));
            let decoded = if std::ptr::eq(kv, &keys.kv) { &keys.decoded } else { &values.decoded };
            let plain: Vec<f32> = decoded.iter().map(|v| *v as f32).collect();
            let spoilt = plain.chunks_exact(case.head_dim).enumerate().flat_map(|(i, values)| {
                let own = is_own(i % kv.shape.positions);
                if own { values.to_vec() } else { row[..case.head_dim].to_vec() }
            });
            super::fill(kv.clone(), format, &spoilt.collect::<Vec<_>>())?;
        }
        let after = attend(gpu, &case, shape, &q, caches)?;
        let of_middle = |words: &[u32]| words[width..2 * width].to_vec();
        if of_middle(&before) != of_middle(&after) {
            return Err(format!("{case:?}: a neighbour shows").into());
        }
        let others = [&after[..width], &after[2 * width..3 * width]].concat();
        if !others.iter().all(|word| f32::from_bits(*word).is_nan()) {
            return Err(format!("{case:?}: the neighbours were not spoilt").into());
        }
    }
    Ok(())
}

fn window(gpu: &Gpu) -> Outcome {
    for window in [1, 2, 31, 32, 33, 100, 1000, usize::MAX] {
        for (position, rows) in [(0, 5), (130, 1), (97, 40)] {
            let mut case = Case::new(64, 3, position, rows);
            case.options.window = Some(window);
            check(gpu, &case)?;
        }
    }
    Ok(())
}

fn options(gpu: &Gpu) -> Outcome {
    for group in [1, 3, 4] {
        for (position, rows) in [(0, 3), (112, 1), (60, 9)] {
            let mut case = Case::new(64, group, position, rows);
            let heads = case.heads();
            case.options.soft_cap = Some(10.0);
            check(gpu, &Case { spread: 8.0, ..case.clone() })?;
            case.options.slopes = Some(alibi_slopes(heads, 8.0));
            check(gpu, &case)?;
            case.options.sinks = Some(Random::new(5).normals(heads, 3.0));
            check(gpu, &case)?;
            case.options.soft_cap = None;
            check(gpu, &case)?;
        }
    }
    Ok(())
}

/// Masks of normal values of which blocks are −inf, with and without slopes, causal and not.
fn masks(gpu: &Gpu) -> Outcome {
    for (position, rows, mask_rows) in [(112, 1, 1), (40, 9, 9), (40, 9, 3)] {
        for causal in [true, false] {
            let mut case = Case::new(64, 3, position, rows);
            case.options.causal = causal;
            case.mask = Some(super::grid::mask(&mut Random::new(9), mask_rows, case.end()));
            check(gpu, &case)?;
            case.options.slopes = Some(alibi_slopes(6, 8.0));
            check(gpu, &case)?;
        }
    }
    Ok(())
}

/// A row that sees nothing gets zeros, with a sink or without; a NaN or +inf among what it sees makes
/// it NaN, and no other row.
fn extremes(gpu: &Gpu) -> Outcome {
    for sinks in [None, Some(vec![1.0; 2])] {
        for splits in [1, 3] {
            let mut asked = Case { kv_heads: 1, ..Case::new(32, 2, 60, 4) };
            let end = asked.end();
            asked.options.tile = Some(Tile { lanes: 8, queries: 8, splits });
            asked.options.sinks = sinks.clone();
            let mut mask = vec![0.0; 4 * end];
            mask[..end].fill(f32::NEG_INFINITY);
            mask[end + 7] = f32::NAN;
            mask[2 * end + 50] = f32::INFINITY;
            asked.mask = Some(mask);
            let words = attended(gpu, &asked)?;
            let width = asked.heads() * asked.head_dim;
            let row = |expect| vec![expect; width];
            let zero = Expect::Near(0.0, 0.0);
            let kinds = [zero, Expect::Nan, Expect::Nan, Expect::Near(0.0, 10.0)];
            let want: Vec<_> = kinds.into_iter().flat_map(row).collect();
            compare(&format!("{asked:?}"), &words, &want)?;
        }
    }
    Ok(())
}

fn attended(gpu: &Gpu, case: &Case) -> Result<Vec<u32>, Failed> {
    let mut random = Random::new(1);
    let (keys, values) = filled(gpu, case, &mut random)?;
    let width = case.heads() * case.head_dim;
    let q = random.normals(case.all_rows() * width, 1.0);
    let shape = case.shape(width, width);
    attend(gpu, case, shape, &q, (&keys.kv, &values.kv))
}

/// What cannot be is refused before anything runs.
fn refusals(gpu: &Gpu) -> Outcome {
    let shape = Shape { heads: 4, sequences: 1, rows: 2, q_stride: 256, y_stride: 256 };
    let kv = KvShape { heads: 2, head_dim: 64, positions: 100 };
    let base = Options::causal(0.125);
    let tile = Tile { lanes: 8, queries: 8, splits: 1 };
    let cases: Vec<(&str, Shape, KvShape, Options)> = vec![
        ("head of 66", shape, KvShape { head_dim: 66, ..kv }, base.clone()),
        ("head of 0", shape, KvShape { head_dim: 0, ..kv }, base.clone()),
        ("3 heads for 4", shape, KvShape { heads: 3, ..kv }, base.clone()),
        ("no heads", shape, KvShape { heads: 0, ..kv }, base.clone()),
        ("overlapping rows", Shape { y_stride: 252, ..shape }, kv, base.clone()),
        ("no sequences", Shape { sequences: 0, ..shape }, kv, base.clone()),
        ("65 sequences", Shape { sequences: 65, ..shape }, kv, base.clone()),
        ("stride of 257", Shape { q_stride: 257, ..shape }, kv, base.clone()),
        ("window of 0", shape, kv, Options { window: Some(0), ..base.clone() }),
        ("cap of 0", shape, kv, Options { soft_cap: Some(0.0), ..base.clone() }),
        ("scale of NaN", shape, kv, Options { scale: f32::NAN, ..base.clone() }),
        ("three sinks", shape, kv, Options { sinks: Some(vec![0.0; 3]), ..base.clone() }),
        ("NaN slope", shape, kv, Options { slopes: Some(vec![f32::NAN; 4]), ..base.clone() }),
        (
            "too few lanes",
            shape,
            KvShape { head_dim: 128, ..kv },
            Options { tile: Some(tile), ..base.clone() },
        ),
        (
            "nine queries",
            shape,
            kv,
            Options { tile: Some(Tile { lanes: 64, queries: 9, ..tile }), ..base },
        ),
    ];
    for (what, shape, kv, options) in cases {
        if block_on(Attention::new(gpu, shape, kv, options)).is_ok() {
            return Err(format!("{what} is taken").into());
        }
    }
    for name in ["q2_k", "iq2_xs", "int8", "nvfp4_scaled"] {
        let format = mantissa::formats::by_name(name)?;
        if block_on(Kv::keys(gpu, format, kv)).is_ok() {
            return Err(format!("a cache in {name} is taken").into());
        }
    }
    too_few_texels(gpu)
}

/// A texture has whole rows of 1,024 texels: 13 rows of 98 take more than one.
fn too_few_texels(gpu: &Gpu) -> Outcome {
    let case = Case::new(64, 3, 20, 13);
    let (keys, values) = filled(gpu, &case, &mut Random::new(1))?;
    let (step, q) = (step(gpu, &case.spans())?, input(gpu, &[0.0f32; 13 * 384])?);
    let shape = case.shape(384, 392);
    let attention = block_on(Attention::new(gpu, shape, case.kv_shape(), case.options.clone()))?;
    let texels = block_on(Texels::zeros(gpu, "too few", 1))?;
    let (kv, y) = ((&keys.kv, &values.kv), Place::Texels(&texels));
    match run(gpu, |plan| attention.record(plan, &step, &q, kv, None, y)) {
        Err(error) if error.message().is_some_and(|text| text.contains("words of y")) => Ok(()),
        other => Err(format!("13 rows of 98 texels go to 1,024: {other:?}").into()),
    }
}
