//! Kernels around attention.

use std::fmt;

use super::bound::{DIVISION, U, gamma};
use super::{Outcome, Random};
use crate::error::Result;
use crate::formats::FormatRef;
use crate::gpu::{Buffer, Gpu, PlanBuilder};
use crate::ops::attention::{Attention, Options, Seen, Tile};
use crate::ops::extexp::EXP_ERROR;
use crate::ops::kv::{Kv, KvShape};
use crate::ops::kv_append::{Rotation, Rows};
use crate::ops::matrix::{Matrix, Placement, decode_f64};
use crate::ops::{self, Span, attention as attending, kv_append as appending, rope as turning};

#[derive(Debug, Clone, Copy)]
pub(super) struct Rope {
    heads: usize,
    head_dim: usize,
    rows: usize,
    position: usize,
    neox: bool,
}

pub(super) const ROPES: [Rope; 2] = [
    Rope { heads: 3, head_dim: 64, rows: 7, position: 1021, neox: false },
    Rope { heads: 3, head_dim: 64, rows: 7, position: 1021, neox: true },
];

impl fmt::Display for Rope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { heads, head_dim, rows, position, neox } = self;
        let kind = if *neox { "NEOX" } else { "pairs" };
        write!(f, "{heads} heads of {head_dim}, {rows} at {position}, {kind}")
    }
}

/// The table rounds cos and sin, then come a product and a sum, each within U of its terms.
pub(super) async fn rope(gpu: &Gpu, shape: Rope) -> Result<Outcome> {
    let Rope { heads, head_dim, rows, position, neox } = shape;
    let pairs = head_dim / 2;
    let frequencies: Vec<f64> =
        (0..pairs).map(|i| 1e5f64.powf(-(i as f64) / pairs as f64)).collect();
    let stride = heads * head_dim;
    let x = Random::new(4).normals(rows * stride, 1.0);
    let table = turning::table(&frequencies, position + rows);
    let table = Buffer::from_slice(gpu, "table", table.as_flattened()).await?;
    let buffer = Buffer::from_slice(gpu, "x", &x).await?;
    let step = ops::step(gpu, &[Span::alone(position, rows, position + rows)]).await?;
    let [heads, head_dim32, pairs32, stride32] = [heads, head_dim, pairs, stride].map(|n| n as u32);
    let params = turning::Params { heads, head_dim: head_dim32, pairs: pairs32, stride: stride32 };
    let mut plan = PlanBuilder::new(gpu, "rope");
    turning::record(&mut plan, &step, &table, &buffer, rows, &params, neox)?;
    plan.run().await?;
    let got: Vec<f32> = buffer.read(0, x.len()).await?;
    let want = x.chunks_exact(head_dim).enumerate().flat_map(|(i, head)| {
        let at = position + i * head_dim / stride;
        let exact = turning::reference(head, &frequencies, at, neox);
        let partner = move |j: usize| match neox {
            true => (j + pairs) % head_dim,
            false => j ^ 1,
        };
        exact.into_iter().enumerate().map(move |(j, y)| {
            (y, 3.0 * U * (1.0 + U) * f64::from(head[j].abs() + head[partner(j)].abs()))
        })
    });
    Ok(Outcome::near(&got, want))
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Append {
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    pairs: usize,
    rows: usize,
    position: usize,
    neox: bool,
}

pub(super) const APPENDS: [Append; 2] = [
    Append { heads: 2, kv_heads: 1, head_dim: 64, pairs: 32, rows: 1, position: 5, neox: false },
    Append { heads: 3, kv_heads: 3, head_dim: 40, pairs: 16, rows: 33, position: 40, neox: true },
];

impl fmt::Display for Append {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { heads, kv_heads, head_dim, rows, position, .. } = self;
        write!(f, "{rows} rows of {heads}/{kv_heads} heads of {head_dim} at {position}")
    }
}

/// Cosines and sines of angles by which rotation is exact.
const QUARTERS: [[f32; 2]; 4] = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]];

/// The CPU's bytes of keys, values and queries: exact.
pub(super) async fn kv_append(gpu: &Gpu, format: FormatRef, shape: Append) -> Result<Outcome> {
    let Append { heads, kv_heads, head_dim, pairs, rows, position, neox } = shape;
    let kv = KvShape { heads: kv_heads, head_dim, positions: position + rows };
    let stride = (heads + 2 * kv_heads) * head_dim;
    let x = Random::new(3).normals(rows * stride, 1.0);
    let caches = [Kv::keys(gpu, format, kv).await?, Kv::values(gpu, format, kv).await?];
    let from = Buffer::from_slice(gpu, "x", &x).await?;
    let table: Vec<[f32; 2]> = QUARTERS.into_iter().cycle().take(kv.positions * pairs).collect();
    let angles = Buffer::from_slice(gpu, "table", table.as_flattened()).await?;
    let step = ops::step(gpu, &[Span::alone(position, rows, kv.positions)]).await?;
    let mut plan = PlanBuilder::new(gpu, "kv_append");
    let input = Rows { x: &from, stride, sequences: 1, rows, heads };
    let rotation = Rotation { table: &angles, positions: kv.positions, pairs, neox };
    appending::record(&mut plan, &step, input, rotation, (&caches[0], &caches[1]))?;
    plan.run().await?;

    let mut got = [caches[0].matrix.download().await?, caches[1].matrix.download().await?];
    let after: Vec<f32> = from.read(0, x.len()).await?;
    // What was not written is a cache of zeros.
    let (cols, all) = (caches[0].matrix.cols, caches[0].matrix.rows);
    let placement = Placement { tile: 1, shard_bytes: u64::MAX, texels: false };
    let zeros = Matrix::zeros(gpu, "zeros", format, (all, cols), placement).await?;
    let zeros = zeros.download().await?;
    let mut want = [zeros.clone(), zeros];
    let mut queries = (Vec::new(), Vec::new());
    for (i, head) in x.chunks_exact(head_dim).enumerate() {
        let (row, head_at) = (i * head_dim / stride, i % (heads + 2 * kv_heads));
        let turns = &table[(position + row) * pairs..][..pairs];
        let turned = turning::turned(head, turns.iter().map(|t| t.map(f64::from)), neox);
        let turned: Vec<f32> = turned.into_iter().map(|v| v as f32).collect();
        let Some(of_kv) = head_at.checked_sub(heads) else {
            queries
                .0
                .extend(after[i * head_dim..][..head_dim].iter().flat_map(|v| v.to_le_bytes()));
            queries.1.extend(turned.iter().flat_map(|v| v.to_le_bytes()));
            continue;
        };
        let is_value = of_kv >= kv_heads;
        let value = if is_value { head } else { &turned };
        let row_bytes = got[0].len() / all;
        let to = (of_kv % kv_heads * caches[0].stride + position + row) * row_bytes;
        let encoded = appending::reference(format, value, cols)?;
        want[usize::from(is_value)][to..to + row_bytes].copy_from_slice(&encoded);
    }
    let [keys, values] = &mut got;
    keys.append(values);
    keys.append(&mut queries.0);
    let want = [&want[0][..], &want[1], &queries.1].concat();
    Ok(Outcome::exact(keys, &want, "bytes"))
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    head_dim: usize,
    group: usize,
    kv_heads: usize,
    position: usize,
    rows: usize,
    splits: usize,
}

pub(super) const SHAPES: [Shape; 3] = [
    Shape { head_dim: 64, group: 3, kv_heads: 2, position: 200, rows: 1, splits: 1 },
    Shape { head_dim: 80, group: 1, kv_heads: 2, position: 0, rows: 9, splits: 1 },
    Shape { head_dim: 128, group: 4, kv_heads: 1, position: 61, rows: 3, splits: 1 },
];

/// What is asked of every format: a row as in decoding, since what is decoded is the same for many.
pub(super) const OF_FORMAT: Shape =
    Shape { head_dim: 128, group: 1, kv_heads: 2, position: 63, rows: 1, splits: 1 };

/// A context in several parts, whose sums `attention_combine` adds.
pub(super) const SPLIT: Shape =
    Shape { head_dim: 64, group: 3, kv_heads: 2, position: 700, rows: 2, splits: 3 };

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { head_dim, group, kv_heads, position, rows, splits } = self;
        write!(f, "{}/{kv_heads} heads of {head_dim}, {rows} at {position}", group * kv_heads)?;
        if *splits > 1 { write!(f, ", in {splits} parts") } else { Ok(()) }
    }
}

/// Keys and values are appended on the device; the reference sees what the format makes of them.
pub(super) async fn attention(gpu: &Gpu, format: FormatRef, shape: Shape) -> Result<Outcome> {
    let Shape { head_dim, group, kv_heads, position, rows, splits } = shape;
    let (heads, positions) = (group * kv_heads, position + rows);
    let (stride, kv_stride) = (heads * head_dim, kv_heads * head_dim);
    let mut random = Random::new(head_dim as u64);
    let q = random.normals(rows * stride, 1.0);
    let kv = KvShape { heads: kv_heads, head_dim, positions };
    let keys = Kv::keys(gpu, format, kv).await?;
    let values = Kv::values(gpu, format, kv).await?;
    let mut plan = PlanBuilder::new(gpu, "attention");
    let all = ops::step(gpu, &[Span::alone(0, positions, positions)]).await?;
    let x = random.normals(positions * 2 * kv_stride, 1.0);
    let filled = Buffer::from_slice(gpu, "keys, values", &x).await?;
    let filled =
        Rows { x: &filled, stride: 2 * kv_stride, sequences: 1, rows: positions, heads: 0 };
    let none = Buffer::new(gpu, "no angles", 2).await?;
    let rotation = Rotation { table: &none, positions, pairs: 0, neox: false };
    appending::record(&mut plan, &all, filled, rotation, (&keys, &values))?;
    let of = |at: usize| {
        let rows = x.chunks_exact(2 * kv_stride);
        let x: Vec<f32> = rows.flat_map(|row| &row[at..at + kv_stride]).copied().collect();
        by_head(format, &x, kv, keys.matrix.cols)
    };
    let decoded = [of(0)?, of(kv_stride)?];
    let from = Buffer::from_slice(gpu, "q", &q).await?;
    let y = Buffer::new(gpu, "y", q.len()).await?;
    let step = ops::step(gpu, &[Span::alone(position, rows, positions)]).await?;
    let mut options = Options::causal(1.0 / (head_dim as f32).sqrt());
    if splits > 1 {
        options.tile = Some(Tile { lanes: 64, queries: group.min(8), splits });
    }
    let (q_stride, y_stride) = (stride, stride);
    let queries = attending::Shape { heads, sequences: 1, rows, q_stride, y_stride };
    let attention = Attention::new(gpu, queries, kv, options.clone()).await?;
    attention.record(&mut plan, &step, &from, (&keys, &values), None, &y)?;
    plan.run().await?;
    let got: Vec<f32> = y.read(0, q.len()).await?;
    let of_head = positions * head_dim;
    let want = q.chunks_exact(head_dim).enumerate().flat_map(|(i, q)| {
        let (row, head) = (i / heads, i % heads);
        let of = |x: &'_ [f64]| x[head / group * of_head..(head / group + 1) * of_head].to_vec();
        let (keys, values) = (of(&decoded[0]), of(&decoded[1]));
        let place = position + row;
        let seen = Seen { keys: &keys, values: &values, mask: None, place, end: positions, head };
        bounded(q, &seen, &options)
    });
    Ok(Outcome::near(&got, want))
}

/// What a cache makes of rows of heads, head by head.
fn by_head(format: FormatRef, x: &[f32], kv: KvShape, cols: usize) -> Result<Vec<f64>> {
    let KvShape { heads, head_dim, positions } = kv;
    let mut decoded = vec![0.0; x.len()];
    for (i, head) in x.chunks_exact(head_dim).enumerate() {
        let row = appending::reference(format, head, cols)?;
        let values = decode_f64(format, &row, (1, cols))?;
        let to = (i % heads * positions + i / heads) * head_dim;
        decoded[to..to + head_dim].copy_from_slice(&values[..head_dim]);
    }
    Ok(decoded)
}

/// A query's exact answer, and how far it may be off: |Δy| ≤ Σ p|v|·η + |y|·Σ p·η +
/// (2·γ(n + 3) + 2.5 ulp)·Σ p|v|, η = γ(d + 1)·scale·Σ|q·k| + the exponential's error.
fn bounded(q: &[f32], seen: &Seen<'_>, options: &Options) -> Vec<(f64, f64)> {
    let exact = attending::reference(q, seen, options);
    let logits = seen.logits(q, options);
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = logits.iter().map(|z| (z - most).exp()).sum();
    let n = logits.len();
    let sums = 2.0 * gamma(n + 3) + DIVISION;
    let (mut of_values, mut mean_eta) = (vec![0.0; q.len()], 0.0);
    for (j, z) in logits.iter().enumerate() {
        let of = |x: &[f64]| x[j * q.len()..(j + 1) * q.len()].to_vec();
        let size: f64 = of(seen.keys).iter().zip(q).map(|(k, q)| (k * f64::from(*q)).abs()).sum();
        let p = (z - most).exp() / total;
        let eta = gamma(q.len() + 1) * size * f64::from(options.scale) + EXP_ERROR * U;
        mean_eta += p * eta;
        let add = |(sum, v): (&mut f64, f64)| *sum += p * v.abs() * (eta + sums);
        of_values.iter_mut().zip(of(seen.values)).for_each(add);
    }
    let floor = n as f64 * 2f64.powi(-125) * 10.0 + U * U;
    let bound = |(y, of_value): (f64, f64)| (y, of_value + y.abs() * mean_eta + floor);
    exact.into_iter().zip(of_values).map(bound).collect()
}
