//! Attention over a cache, by head size, grouping, context, rows, format and option.
//!
//! The reference sees what the cache holds, decoded: what a format loses is not the kernel's error.

mod cases;
mod grid;

use libtest_mimic::Failed;
use mantissa::Gpu;
use mantissa::formats::{self, FormatRef};
use mantissa::gpu::Buffer;
use mantissa::ops::attention::{Attention, Options, Seen, Shape, reference};
use mantissa::ops::kv::{Kv, KvShape};
use mantissa::ops::matrix::decode_f64;
use mantissa::ops::stage::Place;
use mantissa::ops::{Span, kv_append};
use pollster::block_on;

pub use cases::{format_trials, trials};
pub use grid::trials as grid_trials;

use crate::softmax::exp_error;
use crate::support::{
    DIVISION, Expect, Outcome, Random, U, compare, gamma, in_texels, input, output, run, step,
    words,
};

/// What a case is about.
#[derive(Debug, Clone)]
struct Case {
    head_dim: usize,
    group: usize,
    kv_heads: usize,
    /// Where the first query of the first sequence stands; those of others stand 5 before the last.
    position: usize,
    rows: usize,
    /// In the cache the last one comes first.
    sequences: usize,
    /// Scales the queries.
    spread: f32,
    keys: &'static str,
    values: &'static str,
    options: Options,
    /// The mask's rows of position + rows values, if there is one.
    mask: Option<Vec<f32>>,
    /// Whether the result goes to texels.
    texels: bool,
    /// Rows that are held against the reference; all, if `None`.
    checked: Option<Vec<usize>>,
}

impl Case {
    fn new(head_dim: usize, group: usize, position: usize, rows: usize) -> Self {
        Self {
            head_dim,
            group,
            kv_heads: 2,
            position,
            rows,
            sequences: 1,
            spread: 1.0,
            keys: "f32",
            values: "f32",
            options: Options::causal(1.0 / (head_dim as f32).sqrt()),
            mask: None,
            texels: false,
            checked: None,
        }
    }

    fn end(&self) -> usize {
        self.position + self.rows
    }

    fn heads(&self) -> usize {
        self.group * self.kv_heads
    }

    /// Positions of a sequence: two more than there are, which nobody may see.
    fn room(&self) -> usize {
        self.end() + 2
    }

    fn kv_shape(&self) -> KvShape {
        let positions = self.sequences * self.room();
        KvShape { heads: self.kv_heads, head_dim: self.head_dim, positions }
    }

    fn span(&self, sequence: usize) -> Span {
        let start = (self.sequences - 1 - sequence) * self.room();
        let position = start + self.position.saturating_sub(5 * sequence);
        let [position, rows, start, end] =
            [position, self.rows, start, start + self.room()].map(|n| n as u32);
        Span { position, rows, start, end }
    }

    fn spans(&self) -> Vec<Span> {
        (0..self.sequences).map(|sequence| self.span(sequence)).collect()
    }

    fn all_rows(&self) -> usize {
        self.sequences * self.rows
    }

    fn shape(&self, q_stride: usize, y_stride: usize) -> Shape {
        let (heads, sequences, rows) = (self.heads(), self.sequences, self.rows);
        Shape { heads, sequences, rows, q_stride, y_stride }
    }
}

/// A cache that holds `head_dim` values for each head and position, and what it makes of them.
struct Filled {
    kv: Kv,
    decoded: Vec<f64>,
}

/// Encodes rows (head by head) into a cache on the CPU.
fn fill(kv: Kv, format: FormatRef, values: &[f32]) -> Result<Filled, Failed> {
    let KvShape { heads, head_dim, positions } = kv.shape;
    let cols = kv.matrix.cols;
    let row_bytes = formats::row_bytes(format, cols).ok_or("no whole blocks")?;
    let mut bytes = vec![0; kv.matrix.rows * row_bytes];
    let mut decoded = Vec::with_capacity(heads * positions * head_dim);
    for (i, value) in values.chunks_exact(head_dim).enumerate() {
        let (head, position) = (i / positions, i % positions);
        let row = kv_append::reference(format, value, cols)?;
        let at = (head * kv.stride + position) * row_bytes;
        bytes[at..at + row_bytes].copy_from_slice(&row);
        decoded.extend(&decode_f64(format, &row, (1, cols))?[..head_dim]);
    }
    let shard = &kv.matrix.shards[0];
    shard.words.buffer()?.write(0, &shard.layout.repack(format, &bytes)?);
    Ok(Filled { kv, decoded })
}

fn filled(gpu: &Gpu, case: &Case, random: &mut Random) -> Result<(Filled, Filled), Failed> {
    let shape = case.kv_shape();
    let mut make = |unseen: f32| {
        let mut x = random.normals(shape.heads * shape.positions * shape.head_dim, 1.0);
        // What lies behind the end would show.
        for head in x.chunks_exact_mut(shape.positions * shape.head_dim) {
            for Span { position, rows, end, .. } in case.spans() {
                let [seen, end] = [position + rows, end].map(|n| n as usize * shape.head_dim);
                head[seen..end].fill(unseen);
            }
        }
        x
    };
    let (k, v) = (make(900.0), make(f32::MAX.sqrt() / 1e16));
    let of = |name| formats::by_name(name);
    let (k_format, v_format) = (of(case.keys)?, of(case.values)?);
    let keys = block_on(Kv::keys(gpu, k_format, shape))?;
    let values = block_on(Kv::values(gpu, v_format, shape))?;
    Ok((fill(keys, k_format, &k)?, fill(values, v_format, &v)?))
}

/// Runs a case and holds each value against the reference within its tolerance, and all of them by
/// ggml's measure, NMSE, against 1e-10.
fn check(gpu: &Gpu, case: &Case) -> Outcome {
    let mut random = Random::new((case.head_dim * 1000 + case.position) as u64);
    let (keys, values) = filled(gpu, case, &mut random)?;
    // Rows of q carry more than the heads, and rows of y are longer than they need to be.
    let width = case.heads() * case.head_dim;
    let (q_stride, y_stride) = (width + 4, width + 8);
    let q = random.normals(case.all_rows() * q_stride, case.spread);
    let shape = case.shape(q_stride, y_stride);
    let words = attend(gpu, case, shape, &q, (&keys.kv, &values.kv))?;

    let mut want = vec![Expect::Untouched; case.all_rows() * y_stride];
    let (mut wrong, mut power) = (0.0, 0.0);
    for row in 0..case.all_rows() {
        let checked = case.checked.as_ref().is_none_or(|rows| rows.contains(&row));
        for head in 0..case.heads() {
            let to = row * y_stride + head * case.head_dim;
            let place = &mut want[to..to + case.head_dim];
            if !checked {
                place.fill(Expect::Written);
                continue;
            }
            let q = &q[row * q_stride + head * case.head_dim..][..case.head_dim];
            let seen = seen(case, row, head, (&keys.decoded, &values.decoded));
            let exact = reference(q, &seen, &case.options);
            let tolerances = tolerances(q, &seen, &case.options, &exact);
            for (i, (y, t)) in exact.iter().zip(tolerances).enumerate() {
                place[i] = Expect::Near(*y, t);
                wrong += (f64::from(f32::from_bits(words[to + i])) - y).powi(2);
                power += y * y;
            }
        }
    }
    compare(&format!("{case:?}"), &words, &want)?;
    if wrong <= 1e-10 * power || power == 0.0 {
        return Ok(());
    }
    Err(format!("{case:?}: NMSE {:e}", wrong / power).into())
}

fn attend(
    gpu: &Gpu,
    case: &Case,
    shape: Shape,
    q: &[f32],
    (keys, values): (&Kv, &Kv),
) -> Result<Vec<u32>, Failed> {
    let y = output(gpu, case.all_rows() * shape.y_stride)?;
    let (step, from) = (step(gpu, &case.spans())?, input(gpu, q)?);
    let mask: Option<Buffer> = case.mask.as_ref().map(|m| input(gpu, m)).transpose()?;
    let mask_rows = case.mask.as_ref().map(|m| (m.len() / case.end(), case.end()));
    let options = Options { mask: mask_rows, ..case.options.clone() };
    let attention = block_on(Attention::new(gpu, shape, case.kv_shape(), options))?;
    let texels = if case.texels { Some(in_texels(gpu, &y)?) } else { None };
    let place = texels.as_ref().map_or(Place::Buffer(&y), |texels| Place::Texels(texels));
    run(gpu, |plan| attention.record(plan, &step, &from, (keys, values), mask.as_ref(), place))?;
    match texels {
        Some(texels) => Ok(block_on(texels.read(0, (y.size() / 4) as usize))?),
        None => words(&y),
    }
}

fn seen<'a>(
    case: &'a Case,
    row: usize,
    head: usize,
    (keys, values): (&'a [f64], &'a [f64]),
) -> Seen<'a> {
    let span = case.span(row / case.rows);
    let first = head / case.group * case.kv_shape().positions + span.start as usize;
    let of = |x: &'a [f64]| &x[first * case.head_dim..][..case.room() * case.head_dim];
    let stride = case.end();
    let mask = case.mask.as_ref().map(|m| {
        let row = row % (m.len() / stride);
        &m[row * stride..(row + 1) * stride]
    });
    let position = (span.position - span.start) as usize;
    let (place, end) = (position + row % case.rows, position + case.rows);
    Seen { keys: of(keys), values: of(values), mask, place, end, head }
}

/// y = Σ p_j·v_j with p_j = w_j / Σ w. A score's absolute error is γ(d + 1)·scale·Σ|q·k| (d
/// products and sums, and the scale); cap·tanh has slope at most 1, and adds at most 20·U·cap (an
/// exponential to 4·U absolutely, two sums, a division, a product); a bias adds the roundings of its
/// product and of the sum. With the exponential's own error that is weight j's relative error η_j.
/// Numerator and denominator each add n terms and perhaps a sink in whatever order (a product, n + 1
/// sums; rescaling is exact, and so is adding nothing), then come a division and a product. To first
/// order
///
/// |Δy| ≤ Σ p|v|·η + |y|·Σ p·η + (2·(n + 3)·U + 2.5 ulp)·Σ p|v|.
///
/// Weights below 2^−126 of the largest vanish: n·2^−125·max|v| more.
fn tolerances(q: &[f32], seen: &Seen<'_>, options: &Options, exact: &[f64]) -> Vec<f64> {
    let scale = f64::from(options.scale);
    let logits = seen.logits(q, options);
    let sink = options.sinks.as_ref().map(|sinks| f64::from(sinks[seen.head]));
    let most = logits.iter().copied().chain(sink).fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = logits.iter().copied().chain(sink).map(|z| (z - most).exp()).sum();
    let slope = options.slopes.as_ref().map_or(1.0, |s| f64::from(s[seen.head]));
    let bias = |j: usize| match seen.mask {
        Some(mask) => (slope * f64::from(mask[j])).abs(),
        None if options.slopes.is_some() => slope.abs() * (seen.place as f64 - j as f64).abs(),
        None => 0.0,
    };
    let eta = |j: usize, z: f64| {
        let keys = &seen.keys[j * q.len()..(j + 1) * q.len()];
        let abs: f64 = keys.iter().zip(q).map(|(k, q)| (k * f64::from(*q)).abs()).sum();
        let cap = options.soft_cap.map_or(0.0, |cap| 20.0 * U * f64::from(cap));
        let bias = bias(j);
        let biased = if bias == 0.0 { 0.0 } else { U * (bias + z.abs()) };
        gamma(q.len() + 1) * scale.abs() * abs + cap + biased + exp_error(z.abs())
    };
    let n = logits.len();
    let sums = 2.0 * gamma(n + 3) + DIVISION;
    let (mut spread, mut weighted, mut mean_eta) = (vec![0.0; q.len()], vec![0.0; q.len()], 0.0);
    let visible = logits.iter().enumerate().filter(|(_, z)| **z > f64::NEG_INFINITY);
    for (j, &z) in visible {
        let (p, eta) = ((z - most).exp() / total, eta(j, z));
        mean_eta += p * eta;
        for (i, v) in seen.values[j * q.len()..(j + 1) * q.len()].iter().enumerate() {
            spread[i] += p * v.abs();
            weighted[i] += p * v.abs() * eta;
        }
    }
    if let Some(sink) = sink {
        mean_eta += (sink - most).exp() / total * exp_error(sink.abs());
    }
    let floor = n as f64 * 2f64.powi(-125) * 10.0 + U * U;
    (0..q.len())
        .map(|i| weighted[i] + exact[i].abs() * mean_eta + sums * spread[i] + floor)
        .collect()
}
