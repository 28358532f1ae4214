//! What works on the cache of keys and values, at the default model's shape: 9 heads of 64 over 3.

use anyhow::Result;
use mantissa::formats::{FormatRef, by_name};
use mantissa::gpu::{Buffer, Gpu, PlanBuilder};
use mantissa::ops::attention::{Attention, Options, Seen, Shape, reference};
use mantissa::ops::extexp::EXP_ERROR;
use mantissa::ops::kv::{Kv, KvShape};
use mantissa::ops::kv_append::{self, Rotation, Rows};
use mantissa::ops::matrix::decode_f64;
use mantissa::ops::{self, Span};

use super::around::CHUNK;
use super::case::{Case, near, values};
use super::timed::Timed;

const HEADS: usize = 9;
const KV: KvShape = KvShape { heads: 3, head_dim: 64, positions: 2048 };
const FORMATS: [&str; 3] = ["f32", "f16", "q8_0"];
/// Floats of a row of queries, of keys or of values.
const WIDTH: usize = HEADS * KV.head_dim;
const KV_WIDTH: usize = KV.heads * KV.head_dim;

/// `kv_append` for a token and a chunk, `attention` for both at some contexts, in each format.
pub async fn cases(gpu: &Gpu, op: &str, quick: bool) -> Result<Vec<Case>> {
    let mut all = Vec::new();
    for name in FORMATS {
        let cache = Cache::filled(gpu, by_name(name)?).await?;
        let places = [(1, 128), (CHUNK, 128), (1, 2048), (CHUNK, 2048)];
        for (rows, context) in places.into_iter().take(if quick { 2 } else { 4 }) {
            if op == "attention" {
                all.push(cache.attention(gpu, rows, context).await?);
            } else if context == 128 {
                all.push(cache.append(gpu, rows).await?);
            }
        }
    }
    Ok(all)
}

/// A full cache, and what it was made of.
struct Cache {
    format: FormatRef,
    keys: Kv,
    values: Kv,
    /// Rows of keys and values.
    x: Vec<f32>,
}

impl Cache {
    async fn filled(gpu: &Gpu, format: FormatRef) -> Result<Self> {
        let (keys, held) = (Kv::keys(gpu, format, KV).await?, Kv::values(gpu, format, KV).await?);
        let x = values(KV.positions * 2 * KV_WIDTH, 12);
        let new = Self { format, keys, values: held, x };
        let from = Buffer::from_slice(gpu, "keys, values", &new.x).await?;
        let rows =
            Rows { x: &from, stride: 2 * KV_WIDTH, sequences: 1, rows: KV.positions, heads: 0 };
        new.plan(gpu, (0, KV.positions), rows).await?.run().await?;
        Ok(new)
    }

    /// Appends rows behind so many positions, nothing rotated.
    async fn plan(
        &self,
        gpu: &Gpu,
        (position, rows): (usize, usize),
        x: Rows<'_>,
    ) -> Result<PlanBuilder> {
        let step = ops::step(gpu, &[Span::alone(position, rows, KV.positions)]).await?;
        let table = Buffer::new(gpu, "no angles", 2).await?;
        let rotation = Rotation { table: &table, positions: KV.positions, pairs: 0, neox: false };
        let mut plan = PlanBuilder::new(gpu, "kv_append");
        kv_append::record(&mut plan, &step, x, rotation, (&self.keys, &self.values))?;
        Ok(plan)
    }

    /// The first rows once more, so that nothing changes: what is in the cache afterwards is checked.
    async fn append(&self, gpu: &Gpu, rows: usize) -> Result<Case> {
        let width = WIDTH + 2 * KV_WIDTH;
        let mut x = vec![0.5; rows * width];
        for (row, kv) in x.chunks_exact_mut(width).zip(self.x.chunks_exact(2 * KV_WIDTH)) {
            row[WIDTH..].copy_from_slice(kv);
        }
        let from = Buffer::from_slice(gpu, "x", &x).await?;
        let from = Rows { x: &from, stride: width, sequences: 1, rows, heads: HEADS };
        let timed = Timed::new(gpu, self.plan(gpu, (0, rows), from).await?, 1).await?;
        let bytes = self.values.matrix.download().await?;
        let (cols, each) = (self.values.matrix.cols, bytes.len() / self.values.matrix.rows);
        let want = kv_append::reference(self.format, &self.x[KV_WIDTH..][..KV.head_dim], cols)?;
        anyhow::ensure!(
            bytes[..each] == want,
            "kv_append {} gives other bytes",
            self.format.name()
        );
        let moved = rows * (8 * KV_WIDTH + 2 * KV.heads * each);
        let case =
            Case::new("kv_append", self.format.name(), format!("{rows}x{width}"), rows, timed);
        Ok(case.moving(moved, 0))
    }

    /// Rows of queries at the end of a context.
    async fn attention(&self, gpu: &Gpu, rows: usize, context: usize) -> Result<Case> {
        let q = values(rows * WIDTH, 13);
        let from = Buffer::from_slice(gpu, "q", &q).await?;
        let y = Buffer::new(gpu, "y", rows * WIDTH).await?;
        let options = Options::causal(0.125);
        let shape = Shape { heads: HEADS, sequences: 1, rows, q_stride: WIDTH, y_stride: WIDTH };
        let attention = Attention::new(gpu, shape, KV, options.clone()).await?;
        let place = context - rows;
        let mut plan = PlanBuilder::new(gpu, "attention");
        let cache = (&self.keys, &self.values);
        let step = ops::step(gpu, &[Span::alone(place, rows, KV.positions)]).await?;
        attention.record(&mut plan, &step, &from, cache, None, &y)?;
        let timed = Timed::new(gpu, plan, 1).await?;
        let (k, v) = (self.first_head(0, place + 1)?, self.first_head(KV_WIDTH, place + 1)?);
        let seen = Seen { keys: &k, values: &v, mask: None, place, end: place + 1, head: 0 };
        let exact = reference(&q[..KV.head_dim], &seen, &options);
        let sizes: Vec<f64> = v.iter().map(|v| v.abs()).collect();
        let sizes = reference(&q[..KV.head_dim], &Seen { values: &sizes, ..seen }, &options);
        let got: Vec<f32> = y.read(0, KV.head_dim).await?;
        let name = self.format.name();
        let error = relative_error(&q[..KV.head_dim], &k, place + 1);
        let bounds = exact.into_iter().zip(sizes).map(|(y, size)| (y, error * size));
        near(&format!("attention {name} at {context}"), &got, bounds)?;
        let seen = rows * context - rows * (rows - 1) / 2;
        let bytes = 2 * context * self.keys.matrix.bytes() as usize / self.keys.stride;
        let case = Case::new("attention", name, format!("context {context}"), rows, timed);
        Ok(case.moving(bytes + 8 * q.len(), 4 * seen * WIDTH))
    }

    /// The first head of keys (or of values, `at` being where they begin) of the first positions.
    fn first_head(&self, at: usize, positions: usize) -> Result<Vec<f64>> {
        let cols = self.keys.matrix.cols;
        let mut all = Vec::with_capacity(positions * KV.head_dim);
        for row in self.x.chunks_exact(2 * KV_WIDTH).take(positions) {
            let row = kv_append::reference(self.format, &row[at..at + KV.head_dim], cols)?;
            all.extend(&decode_f64(self.format, &row, (1, cols))?[..KV.head_dim]);
        }
        Ok(all)
    }
}

/// Of Σ p·v, beside Σ p·|v|: a logit's error is its head's products and sums and the scale
/// (γ(head + 1), Higham, section 3.1), and changes a weight, and the sum of weights, by as much
/// relatively, as does the exponential's own; both sums add γ(positions + 1), and the division 5 U
/// (2.5 ulp).
fn relative_error(q: &[f32], keys: &[f64], positions: usize) -> f64 {
    let gamma = |n: usize| n as f64 / f64::from(1 << 24);
    let size = |k: &[f64]| -> f64 { q.iter().zip(k).map(|(q, k)| (f64::from(*q) * k).abs()).sum() };
    let largest = keys.chunks_exact(q.len()).map(size).fold(0.0, f64::max);
    let weight = gamma(q.len() + 1) * 0.125 * largest + EXP_ERROR * gamma(1);
    2.0 * (weight + gamma(positions + 1)) + gamma(5)
}
