//! Kernels around attention.

use std::fmt;

use super::bound::{DIVISION, U, gamma};
use super::{Outcome, Random};
use crate::error::Result;
use crate::gpu::{Buffer, Gpu, PlanBuilder};
use crate::ops::extexp::EXP_ERROR;
use crate::ops::{self, attention as attending, kv_append as appending, rope as turning};

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
    let step = step(gpu, position, rows).await?;
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
    width: usize,
    rows: usize,
    position: usize,
}

pub(super) const APPENDS: [Append; 2] =
    [Append { width: 64, rows: 1, position: 5 }, Append { width: 192, rows: 33, position: 40 }];

impl fmt::Display for Append {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows of {} at {}", self.rows, self.width, self.position)
    }
}

/// A copy: exact.
pub(super) async fn kv_append(gpu: &Gpu, shape: Append) -> Result<Outcome> {
    let Append { width, rows, position } = shape;
    let stride = 2 * width;
    let x = Random::new(3).normals(rows * stride, 1.0);
    let params = appending::Params {
        width: width as u32,
        stride: stride as u32,
        k_at: 0,
        v_at: width as u32,
    };
    let words = (position + rows) * width;
    let k = Buffer::new(gpu, "k", words).await?;
    let v = Buffer::new(gpu, "v", words).await?;
    let from = Buffer::from_slice(gpu, "x", &x).await?;
    let step = step(gpu, position, rows).await?;
    let mut plan = PlanBuilder::new(gpu, "kv_append");
    appending::record(&mut plan, &step, &from, (&k, &v), rows, &params)?;
    plan.run().await?;
    let (mut got, mut want) = (Vec::new(), Vec::new());
    for (cache, at) in [(&k, params.k_at), (&v, params.v_at)] {
        got.extend(cache.read::<u32>(0, words).await?);
        let mut cache = vec![0.0; words];
        appending::reference(&mut cache, &x, position, &params, at);
        want.extend(cache.into_iter().map(f32::to_bits));
    }
    Ok(Outcome::exact(&got, &want, "words"))
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    head_dim: usize,
    group: usize,
    kv_heads: usize,
    position: usize,
    rows: usize,
}

pub(super) const SHAPES: [Shape; 3] = [
    Shape { head_dim: 64, group: 3, kv_heads: 2, position: 200, rows: 1 },
    Shape { head_dim: 80, group: 1, kv_heads: 2, position: 0, rows: 9 },
    Shape { head_dim: 128, group: 4, kv_heads: 1, position: 61, rows: 3 },
];

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { head_dim, group, kv_heads, position, rows } = self;
        write!(f, "{}/{kv_heads} heads of {head_dim}, {rows} at {position}", group * kv_heads)
    }
}

pub(super) async fn attention(gpu: &Gpu, shape: Shape) -> Result<Outcome> {
    let Shape { head_dim, group, kv_heads, position, rows } = shape;
    let (heads, context) = (group * kv_heads, position + rows);
    let (q_stride, kv_stride) = (heads * head_dim, kv_heads * head_dim);
    let mut random = Random::new(head_dim as u64);
    let q = random.normals(rows * q_stride, 1.0);
    let [k, v] = [0; 2].map(|_| random.normals(context * kv_stride, 1.0));
    let from = Buffer::from_slice(gpu, "q", &q).await?;
    let keys = Buffer::from_slice(gpu, "k", &k).await?;
    let values = Buffer::from_slice(gpu, "v", &v).await?;
    let y = Buffer::new(gpu, "y", q.len()).await?;
    let step = step(gpu, position, rows).await?;
    let scale = 1.0 / (head_dim as f32).sqrt();
    let params = attending::Params {
        head_dim: head_dim as u32,
        group: group as u32,
        q_stride: q_stride as u32,
        kv_stride: kv_stride as u32,
        y_stride: q_stride as u32,
        scale,
    };
    let mut plan = PlanBuilder::new(gpu, "attention");
    let (kv, size) = ((&keys, &values), (heads, rows, context));
    attending::record(&mut plan, &step, &from, kv, &y, size, &params)?;
    plan.run().await?;
    let got: Vec<f32> = y.read(0, q.len()).await?;
    let want = q.chunks_exact(head_dim).enumerate().flat_map(|(i, q)| {
        let (row, head) = (i / heads, i % heads);
        let window = (position + row + 1, kv_stride, head / group * head_dim);
        bounded(q, &k, &v, window, scale)
    });
    Ok(Outcome::near(&got, want))
}

/// A query's exact answer, and how far it may be off: |Δy| ≤ Σ p|v|·η + |y|·Σ p·η +
/// (2·γ(n + 1) + 2.5 ulp)·Σ p|v|, η = γ(d + 1)·scale·Σ|q·k| + the exponential's error.
fn bounded(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    window: (usize, usize, usize),
    scale: f32,
) -> Vec<(f64, f64)> {
    let (positions, kv_stride, at) = window;
    let exact = attending::reference(q, k, v, window, scale);
    let row = |x: &[f32], j: usize| -> Vec<f64> {
        x[j * kv_stride + at..][..q.len()].iter().copied().map(f64::from).collect()
    };
    let score = |j: usize| {
        let k = row(k, j);
        let products = k.iter().zip(q).map(|(k, q)| k * f64::from(*q) * f64::from(scale));
        products.fold((0.0, 0.0), |(sum, size): (f64, f64), p| (sum + p, size + p.abs()))
    };
    let scores: Vec<(f64, f64)> = (0..positions).map(score).collect();
    let most = scores.iter().fold(f64::NEG_INFINITY, |m, (s, _)| m.max(*s));
    let total: f64 = scores.iter().map(|(s, _)| (s - most).exp()).sum();
    let sums = 2.0 * gamma(positions + 1) + DIVISION;
    let (mut of_values, mut mean_eta) = (vec![0.0; q.len()], 0.0);
    for (j, (score, size)) in scores.iter().enumerate() {
        let p = (score - most).exp() / total;
        let eta = gamma(q.len() + 1) * size + EXP_ERROR * U;
        mean_eta += p * eta;
        let add = |(sum, v): (&mut f64, f64)| *sum += p * v.abs() * (eta + sums);
        of_values.iter_mut().zip(row(v, j)).for_each(add);
    }
    let floor = positions as f64 * 2f64.powi(-125) * 10.0 + U * U;
    let bound = |(y, of_value): (f64, f64)| (y, of_value + y.abs() * mean_eta + floor);
    exact.into_iter().zip(of_values).map(bound).collect()
}

async fn step(gpu: &Gpu, position: usize, rows: usize) -> Result<Buffer> {
    let buffer = Buffer::uniform(gpu, "step", ops::STEP_WORDS).await?;
    buffer.write(0, &[position as u32, rows as u32]);
    Ok(buffer)
}
