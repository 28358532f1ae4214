//! kv_append rotates queries in place, and gives the CPU's bytes of rotated keys and of values in
//! every format that a cache can be in. It touches nothing else.

use mantissa::formats::{self, FormatRef};
use mantissa::gpu::{Buffer, PlanBuilder};
use mantissa::ops::kv::{Kv, KvShape, can_hold};
use mantissa::ops::kv_append::{Rotation, Rows, record, reference};
use mantissa::ops::{Span, matrix::decode_f64, rope};
use mantissa::{Error, Gpu};
use pollster::block_on;

use crate::support::{
    Case, Expect, Outcome, Random, SENTINEL, case, compare, gamma, in_place, input, of_format, run,
    step, words,
};

pub fn trials() -> Vec<(String, Case)> {
    vec![
        case("shapes", shapes),
        case("angles", angles),
        case("behind_the_end", behind),
        case("sequences", sequences),
        case("refused", refused),
    ]
}

/// What is done with a format.
pub fn format_trials(format: FormatRef) -> Vec<(String, Case)> {
    if can_hold(format) { of_format(format, &[("heads", heads)]) } else { Vec::new() }
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    pairs: usize,
    rows: usize,
    position: usize,
    /// Of each sequence.
    positions: usize,
    /// The last one comes first in the cache; each stands two positions before the last one.
    sequences: usize,
    neox: bool,
}

impl Shape {
    fn new(numbers: [usize; 6], neox: bool) -> Self {
        let [heads, kv_heads, head_dim, pairs, rows, position] = numbers;
        let positions = position + rows + 2;
        let sequences = 1;
        Self { heads, kv_heads, head_dim, pairs, rows, position, positions, sequences, neox }
    }

    fn kv(&self) -> KvShape {
        let positions = self.sequences * self.positions;
        KvShape { heads: self.kv_heads, head_dim: self.head_dim, positions }
    }

    fn span(&self, sequence: usize) -> Span {
        let start = (self.sequences - 1 - sequence) * self.positions;
        let position = start + self.position.saturating_sub(2 * sequence);
        let [position, rows, start, end] =
            [position, self.rows, start, start + self.positions].map(|n| n as u32);
        Span { position, rows, start, end }
    }

    /// Cosines and sines of angles by which rotation is exact, and some that lengthen and shorten.
    fn exact(&self) -> Vec<[f32; 2]> {
        let turns = [[0.0, 1.0], [1.0, 0.0], [-1.0, 0.0], [0.0, -2.0], [0.0, -1.0], [0.5, 0.0]];
        turns.into_iter().cycle().skip(1).take(self.positions * self.pairs).collect()
    }
}

fn shapes(gpu: &Gpu) -> Outcome {
    let whole =
        [[1, 1, 4, 2, 1, 0], [2, 1, 32, 16, 1, 5], [9, 3, 64, 32, 3, 0], [5, 5, 80, 40, 33, 40]];
    // Part of a head is rotated, or nothing; no queries; lanes that fill more than a workgroup.
    let others =
        [[4, 2, 36, 8, 7, 2], [1, 1, 68, 17, 2, 3], [3, 2, 64, 0, 3, 1], [0, 2, 64, 32, 2, 0]];
    for name in ["f32", "f16", "q8_0"] {
        let format = formats::by_name(name)?;
        for numbers in whole.into_iter().chain(others) {
            for neox in [false, true] {
                let shape = Shape::new(numbers, neox);
                check(gpu, format, &shape, &shape.exact(), true)?;
            }
        }
    }
    Ok(())
}

/// Whole heads and heads that end within a block, by the pipelines of the conformance suite.
fn heads(gpu: &Gpu, format: FormatRef) -> Outcome {
    for (numbers, neox) in [([2, 2, 64, 32, 3, 9], false), ([2, 1, 40, 16, 2, 0], true)] {
        let shape = Shape::new(numbers, neox);
        check(gpu, format, &shape, &shape.exact(), true)?;
    }
    Ok(())
}

/// Rotations that round: in formats whose every code is the nearest to one value.
fn angles(gpu: &Gpu) -> Outcome {
    for name in ["f32", "f16"] {
        for numbers in [[9, 3, 64, 32, 7, 1021], [2, 2, 80, 16, 33, 0]] {
            for neox in [false, true] {
                let shape = Shape::new(numbers, neox);
                let frequency = |i: usize| 1e5f64.powf(-(i as f64) / shape.pairs as f64);
                let frequencies: Vec<f64> = (0..shape.pairs).map(frequency).collect();
                let table = rope::table(&frequencies, shape.positions);
                check(gpu, formats::by_name(name)?, &shape, &table, false)?;
            }
        }
    }
    Ok(())
}

/// Rows that would lie behind the cache's end are dropped: in the rows of the next head they would
/// overwrite what is there.
fn behind(gpu: &Gpu) -> Outcome {
    for positions in [32, 31] {
        let shape = Shape { positions, ..Shape::new([2, 3, 32, 16, 4, 30], true) };
        check(gpu, formats::by_name("q8_0")?, &shape, &shape.exact(), true)?;
    }
    Ok(())
}

/// Sequences that each write to their own positions, up to their last.
fn sequences(gpu: &Gpu) -> Outcome {
    for (name, sequences) in [("f32", 2), ("q8_0", 5), ("f16", 64)] {
        for positions in [32, 29] {
            let shape = Shape::new([2, 3, 32, 16, 4, 27], true);
            let shape = Shape { positions, sequences, ..shape };
            check(gpu, formats::by_name(name)?, &shape, &shape.exact(), true)?;
        }
    }
    Ok(())
}

/// A head, rotated, and how far each value may be off: two products, a sum, of which the driver may
/// fuse a product.
fn turned(head: &[f32], turns: &[[f32; 2]], neox: bool, exact: bool) -> Vec<(f64, f64)> {
    let wide = |sign: f64| move |t: &[f32; 2]| [f64::from(t[0]), sign * f64::from(t[1])];
    let values = rope::turned(head, turns.iter().map(wide(1.0)), neox);
    // |a·cos| + |b·sin| for each of a pair.
    let sizes: Vec<f32> = head.iter().map(|v| v.abs()).collect();
    let absolute = |t: &[f32; 2]| t.map(|v| f64::from(v).abs());
    let first = rope::turned(&sizes, turns.iter().map(absolute).map(|[c, s]| [c, -s]), neox);
    let second = rope::turned(&sizes, turns.iter().map(absolute), neox);
    let most = first.into_iter().zip(second).map(|(a, b)| a.max(b));
    let allowed = |most: f64| if exact { 0.0 } else { gamma(2) * most };
    values.into_iter().zip(most.map(allowed)).collect()
}

/// A head as its cache must have it: between the bytes of its least values and those of its largest.
struct Head {
    row: usize,
    least: Vec<u8>,
    most: Vec<u8>,
}

/// Caches start as sentinels; of x, only the queries' pairs may change.
fn check(gpu: &Gpu, format: FormatRef, shape: &Shape, table: &[[f32; 2]], exact: bool) -> Outcome {
    let &Shape { heads, kv_heads, head_dim, pairs, rows, positions, sequences, neox, .. } = shape;
    let what = format!("{} {shape:?}", format.name());
    let stride = (heads + 2 * kv_heads) * head_dim + 5;
    let mut x = Random::new(3).normals(sequences * rows * stride, 1.0);
    x[(heads + kv_heads) * head_dim] = -0.0;
    let from = in_place(gpu, &x)?;
    let caches = (
        block_on(Kv::keys(gpu, format, shape.kv()))?,
        block_on(Kv::values(gpu, format, shape.kv()))?,
    );
    for kv in [&caches.0, &caches.1] {
        let shard = &kv.matrix.shards[0];
        shard.words.buffer()?.write(0, &vec![SENTINEL; shard.layout.words]);
    }
    let angles = if table.is_empty() { input(gpu, &[0.0f32; 2])? } else { input(gpu, table)? };
    let rotation = Rotation { table: &angles, positions, pairs, neox };
    let spans: Vec<Span> = (0..sequences).map(|sequence| shape.span(sequence)).collect();
    let step = step(gpu, &spans)?;
    let input = Rows { x: &from, stride, sequences, rows, heads };
    run(gpu, |plan| record(plan, &step, input, rotation, (&caches.0, &caches.1)))?;

    let mut want: Vec<_> = x.iter().map(|v| Expect::Bits(v.to_bits())).collect();
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    let cols = caches.0.matrix.cols;
    let places = spans.iter().enumerate().flat_map(|(i, span)| {
        let room = (span.end - span.position) as usize;
        (0..rows.min(room)).map(move |row| (i * rows + row, span.position as usize + row, span))
    });
    for (row, position, span) in places {
        let turns = &table[(position - span.start as usize) * pairs..][..pairs];
        for head in 0..heads + 2 * kv_heads {
            let at = row * stride + head * head_dim;
            let plain = &x[at..at + head_dim];
            let rotated = turned(plain, turns, neox, exact);
            let to = head.saturating_sub(heads) % kv_heads * caches.0.stride + position;
            if head < heads {
                let near = |&(value, allowed): &(f64, f64)| Expect::Near(value, allowed);
                let places = want[at..at + head_dim].iter_mut().zip(&rotated);
                places.take(2 * pairs).for_each(|(want, v)| *want = near(v));
            } else if head < heads + kv_heads {
                let by = |sign: f64| {
                    let values = rotated.iter().map(|(v, allowed)| (v + sign * allowed) as f32);
                    reference(format, &values.collect::<Vec<_>>(), cols)
                };
                keys.push(Head { row: to, least: by(-1.0)?, most: by(1.0)? });
            } else {
                let bytes = reference(format, plain, cols)?;
                values.push(Head { row: to, least: bytes.clone(), most: bytes });
            }
        }
    }
    compare(&what, &words(&from)?, &want)?;
    compare_cache(&format!("{what}, keys"), &caches.0, &keys)?;
    compare_cache(&format!("{what}, values"), &caches.1, &values)
}

fn compare_cache(what: &str, kv: &Kv, heads: &[Head]) -> Outcome {
    let (format, cols, shard) = (kv.matrix.format, kv.matrix.cols, &kv.matrix.shards[0]);
    let row_bytes = formats::row_bytes(format, cols).ok_or("no whole blocks")?;
    let unpacked = |words: &[u32]| {
        let mut bytes = vec![0; kv.matrix.rows * row_bytes];
        shard.layout.unpack(format, &words[..shard.layout.words], &mut bytes).map(|()| bytes)
    };
    let mut want = unpacked(&vec![SENTINEL; shard.layout.words])?;
    let got = unpacked(&words(shard.words.buffer()?)?)?;
    for Head { row, least, most } in heads {
        let place = row * row_bytes..(row + 1) * row_bytes;
        let got = &got[place.clone()];
        let of = |bytes: &[u8]| decode_f64(format, bytes, (1, cols));
        let ends = of(least)?.into_iter().zip(of(most)?);
        let within = of(got)?.into_iter().zip(ends).all(|(v, (low, high))| low <= v && v <= high);
        // What has but one answer has its bytes.
        want[place].copy_from_slice(if least != most && within { got } else { least });
    }
    if let Some(i) = (0..got.len()).find(|&i| got[i] != want[i]) {
        let (row, byte) = (i / row_bytes, i % row_bytes);
        return Err(format!("{what}: row {row}, byte {byte}: {} for {}", got[i], want[i]).into());
    }
    Ok(())
}

/// Caches that do not belong together, rows and tables that are too short: nothing is recorded.
fn refused(gpu: &Gpu) -> Outcome {
    let kv = KvShape { heads: 2, head_dim: 8, positions: 4 };
    let keys = |name, kv| block_on(Kv::keys(gpu, formats::by_name(name)?, kv));
    let (x, step) = (input(gpu, &[0.0f32; 40])?, step(gpu, &[Span::alone(0, 1, 4)])?);
    let table = |positions: usize| input(gpu, &vec![[1.0f32, 0.0]; positions * 4]);
    let (long, short) = (table(4)?, table(3)?);
    let (good, other) = (keys("f32", kv)?, keys("f16", kv)?);
    let longer = keys("f32", KvShape { positions: 5, ..kv })?;
    let fails = |stride: usize, pairs: usize, table: &Buffer, values: &Kv| {
        let rows = Rows { x: &x, stride, sequences: 1, rows: 1, heads: 1 };
        let rotation = Rotation { table, positions: 4, pairs, neox: true };
        let mut plan = PlanBuilder::new(gpu, "trial");
        record(&mut plan, &step, rows, rotation, (&good, values))
    };
    fails(40, 4, &long, &good)?;
    let tries = [
        (39, 4, &long, &good),
        (40, 5, &long, &good),
        (40, 4, &short, &good),
        (40, 4, &long, &other),
        (40, 4, &long, &longer),
    ];
    for (i, (stride, pairs, table, values)) in tries.into_iter().enumerate() {
        match fails(stride, pairs, table, values) {
            Err(Error::Shape { op: "kv_append", .. }) => {}
            other => return Err(format!("try {i}: {other:?}").into()),
        }
    }
    Ok(())
}
