//! How weights become points of a [`Grid`]: the encoder of GGUF's IQ formats, which aims at the
//! least sum of squared errors, all weights counting alike (ggml's own search weighs them by an
//! importance, and looks at neighbours of a rounded point only).
//!
//! At scale s, point q of a group x costs |x − s·q|² = |x|² − 2s·(x·q) + s²·|q|². So of all points
//! only those on the upper hull of (|q|², x·q) are the best at any s: they are found once per
//! group, in one pass over the grid, and every scale after that is tried in a few operations,
//! exactly. What is not exact: the scales that are tried, and which sign is flipped where a group
//! must have an even number of them (the smallest weight's, as ggml does). Trying four times as
//! many scales lowers the error by at most 1 %. A weight takes 0.2 to 1 µs on a core, most of it
//! the pass over the grid.

use super::bits;
use super::grid::{BLOCK, Grid};

/// A grid, prepared for searching.
#[derive(Debug)]
pub(super) struct Book {
    /// In the order of their squared lengths.
    points: Vec<Entry>,
    /// What the coordinates in half a byte of a point are worth: one, or two.
    halves: [[f32; 2]; 16],
    /// Coordinates in half a byte.
    per_half: usize,
}

#[derive(Debug)]
struct Entry {
    norm: f32,
    bytes: [u8; 2],
    number: u16,
}

impl Book {
    /// Point i of the grid gets the number `first` + i.
    pub fn new(grid: &Grid, first: u16) -> Self {
        let entry = |i: usize| {
            let point = grid.point(i);
            let levels = (0..16 / grid.bits).map(|j| grid.level(point, j as usize));
            let norm = levels.map(|x| x * x).sum();
            Entry { norm, bytes: point.to_le_bytes(), number: first + i as u16 }
        };
        let mut points: Vec<Entry> = (0..2 * grid.words.len()).map(entry).collect();
        points.sort_by(|a, b| a.norm.total_cmp(&b.norm));
        let level = |n: usize| grid.levels.get(n).copied().unwrap_or(0.0);
        let halves = std::array::from_fn(|n| match grid.bits {
            2 => [level(n & 3), level(n >> 2)],
            _ => [level(n), 0.0],
        });
        Self { points, halves, per_half: 4 / grid.bits as usize }
    }

    /// The points that are the best for `x` at some scale, of which it has 8 or 4 weights.
    pub fn hull(&self, x: &[f32]) -> Hull {
        let (x_low, x_high) = x.split_at(x.len() / 2);
        let (mut low, mut high) = ([0.0; 256], [0.0; 256]);
        self.products(x_low, &mut low);
        self.products(x_high, &mut high);
        let mut hull = Hull(Vec::with_capacity(32));
        let mut best = f32::NEG_INFINITY;
        for entry in &self.points {
            let dot = low[usize::from(entry.bytes[0])] + high[usize::from(entry.bytes[1])];
            if dot > best {
                best = dot;
                hull.push(Vertex { norm: entry.norm, dot, number: entry.number });
            }
        }
        hull
    }

    /// The scalar products of `x` with what each byte of a point stands for.
    fn products(&self, x: &[f32], bytes: &mut [f32; 256]) {
        let (low, high) = x.split_at(self.per_half);
        let half = |x: &[f32], n: usize| {
            let pairs = x.iter().zip(&self.halves[n]);
            pairs.map(|(x, level)| x * level).sum::<f32>()
        };
        let low: [f32; 16] = std::array::from_fn(|n| half(low, n));
        for (n, row) in bytes.chunks_exact_mut(16).enumerate() {
            let high = half(high, n);
            row.iter_mut().zip(low).for_each(|(product, low)| *product = low + high);
        }
    }
}

/// Points that are the best at some scale, in the order of scales: lengths and products rise, and
/// product per squared length falls from each to the next.
#[derive(Debug, Default)]
pub(super) struct Hull(Vec<Vertex>);

#[derive(Debug, Clone, Copy, Default)]
struct Vertex {
    norm: f32,
    dot: f32,
    number: u16,
}

impl Hull {
    /// The better points of two books at every scale.
    pub fn union(self, other: Self) -> Self {
        let mut all = [self.0, other.0].concat();
        all.sort_by(|a, b| a.norm.total_cmp(&b.norm));
        let mut hull = Self::default();
        let mut best = f32::NEG_INFINITY;
        for vertex in all {
            if vertex.dot > best {
                best = vertex.dot;
                hull.push(vertex);
            }
        }
        hull
    }

    /// Adds a point of a larger product than all before it, and at least their length.
    fn push(&mut self, new: Vertex) {
        while let Some(last) = self.0.last() {
            let below = match self.0.len().checked_sub(2).map(|i| self.0[i]) {
                None => last.norm == new.norm,
                Some(before) => {
                    let (rise, run) = (last.dot - before.dot, last.norm - before.norm);
                    rise * (new.norm - last.norm) <= (new.dot - last.dot) * run
                }
            };
            if !below {
                break;
            }
            self.0.pop();
        }
        self.0.push(new);
    }

    /// The best point at scale s > 0.
    fn at(&self, s: f32) -> Vertex {
        let mut vertices = self.0.iter().copied();
        let mut best = vertices.next().unwrap_or_default();
        for next in vertices {
            if 2.0 * (next.dot - best.dot) <= s * (next.norm - best.norm) {
                break;
            }
            best = next;
        }
        best
    }
}

/// Weights that share a scale: their groups' hulls; several sets of them where all groups must be
/// of the same book.
#[derive(Debug)]
pub(super) struct SubBlock {
    pub ways: Vec<Vec<Hull>>,
    /// |x| of all its weights.
    pub size: f32,
}

/// Scales that a sub-block is tried with first, times |x| / |points of middle length|.
const LADDER: [f32; 5] = [0.6, 0.8, 1.0, 1.3, 1.8];

impl SubBlock {
    /// The sub-block of these weights, whose groups are `group` long, in each of the books.
    pub fn new(x: &[f32], group: usize, books: &[&Book]) -> Self {
        let hulls = |book: &&Book| x.chunks_exact(group).map(|x| book.hull(x)).collect();
        Self { ways: books.iter().map(hulls).collect(), size: size(x) }
    }

    /// Σ x·q and Σ |q|² of the best points of a way.
    fn sums(&self, way: usize, s: f32) -> (f32, f32) {
        let best = self.ways[way].iter().map(|hull| hull.at(s));
        best.fold((0.0, 0.0), |(dot, norm), v| (dot + v.dot, norm + v.norm))
    }

    /// By how much scale s lowers the sum of squares, and which way does.
    fn gain(&self, s: f32) -> (f32, usize) {
        let gain = |way| {
            let (dot, norm) = self.sums(way, s);
            (s * (2.0 * dot - s * norm), way)
        };
        let better = |a: (f32, usize), b: (f32, usize)| if b.0 > a.0 { b } else { a };
        (0..self.ways.len()).map(gain).fold((f32::NEG_INFINITY, 0), better)
    }

    /// The best scale found, were there no codes for scales.
    fn free_scale(&self) -> f32 {
        let (mut best, mut most) = (0.0, 0.0);
        for way in 0..self.ways.len() {
            let middle = |hull: &Hull| hull.0.get(hull.0.len() / 2).map_or(0.0, |v| v.norm);
            let middle: f32 = self.ways[way].iter().map(middle).sum();
            for step in LADDER {
                let mut s = step * self.size / middle.sqrt();
                for _ in 0..2 {
                    let (dot, norm) = self.sums(way, s);
                    s = (dot / norm).max(0.0);
                    // At the least-squares scale the gain is (x·q)² / |q|².
                    if s * dot > most {
                        (best, most) = (s, s * dot);
                    }
                }
            }
        }
        best
    }
}

/// |x|.
pub(super) fn size(x: &[f32]) -> f32 {
    x.iter().map(|x| x * x).sum::<f32>().sqrt()
}

/// What the codes of a sub-block's scale are worth, in units of the block's: `first + step·code`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scales {
    pub first: f32,
    pub step: f32,
    pub codes: u8,
}

impl Scales {
    fn value(self, code: u8) -> f32 {
        self.first + self.step * f32::from(code)
    }

    /// The codes around a scale.
    fn near(self, scale: f32) -> std::ops::RangeInclusive<u8> {
        let code = ((scale - self.first) / self.step).round() as u8;
        code.saturating_sub(1).min(self.codes - 1)..=code.saturating_add(1).min(self.codes - 1)
    }
}

/// A block of weights in units of their peak, without the signs that a format keeps apart.
#[derive(Debug)]
pub(super) struct Block {
    peak: f32,
    /// In −1..=1; all zero where a weight is NaN or infinite.
    pub values: [f32; BLOCK],
    /// A byte for each 8 weights.
    pub signs: [u8; BLOCK / 8],
}

/// The signs that a format keeps apart from the points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Signs {
    /// None.
    Within,
    /// Each weight's.
    All,
    /// Seven of 8; the eighth makes the number of minus signs even.
    Even,
}

impl Block {
    pub fn new(weights: &[f32], signs: Signs) -> Self {
        let peak = super::peak(weights);
        let mut block = Self { peak, values: [0.0; BLOCK], signs: [0; BLOCK / 8] };
        if peak == 0.0 || !peak.is_finite() {
            return block;
        }
        for (value, x) in block.values.iter_mut().zip(weights) {
            *value = x / peak;
        }
        if signs != Signs::Within {
            for (x, byte) in block.values.chunks_exact_mut(8).zip(&mut block.signs) {
                *byte = take_signs(x, signs == Signs::Even);
            }
        }
        block
    }

    /// The best scales and points found.
    pub fn fit(&self, subs: &[SubBlock], scales: Scales) -> Fit {
        let free: Vec<f32> = subs.iter().map(SubBlock::free_scale).collect();
        let mut best = Fit::none(self.peak, subs);
        let top = free.iter().fold(0.0, |a: f32, s| a.max(*s)) / scales.value(scales.codes - 1);
        let tries = (0..8).map(|i| top * (0.76 + 0.05 * i as f32));
        tries.for_each(|d| best.try_scale(self.peak, d, subs, &free, scales));
        for _ in 0..2 {
            let d = best.least_squares(subs, scales);
            best.try_scale(self.peak, d, subs, &free, scales);
        }
        best.choose(subs, scales)
    }
}

/// Makes the weights positive and says which were not. Where their number must be even and is not,
/// the smallest gets the other sign, and a negative value that wants a small point.
fn take_signs(x: &mut [f32], even: bool) -> u8 {
    let mut signs = 0u8;
    for (j, x) in x.iter_mut().enumerate() {
        signs |= u8::from(*x < 0.0) << j;
        *x = x.abs();
    }
    if even && signs.count_ones() % 2 == 1 {
        let smallest = (0..8).fold(0, |a, b| if x[b] < x[a] { b } else { a });
        x[smallest] = -x[smallest];
        signs ^= 1 << smallest;
    }
    signs
}

/// A block's scale, and what its sub-blocks chose.
#[derive(Debug)]
pub(super) struct Fit {
    /// The block's scale: a binary16, and its value in units of the peak.
    pub d: u16,
    scale: f32,
    gain: f32,
    /// Per sub-block: the code of its scale, and the way taken.
    pub codes: Vec<u8>,
    pub ways: Vec<usize>,
    /// Per group.
    pub points: Vec<u16>,
}

impl Fit {
    /// Scale zero, or the one that spoils a block that holds no numbers.
    fn none(peak: f32, subs: &[SubBlock]) -> Self {
        let d = if peak.is_finite() { 0 } else { bits::f32_to_f16(peak) };
        let (codes, ways) = (vec![0; subs.len()], vec![0; subs.len()]);
        Self { d, scale: 0.0, gain: 0.0, codes, ways, points: Vec::new() }
    }

    /// Takes scale `d` (in units of the peak, rounded to a binary16) if it is better.
    fn try_scale(&mut self, peak: f32, d: f32, subs: &[SubBlock], free: &[f32], scales: Scales) {
        // Not zero: small weights may have the smallest scale there is, and small codes.
        let d = bits::f32_to_f16(d * peak).max(1);
        let value = bits::f16_to_f32(d);
        if value.is_infinite() {
            // Beyond what the format holds: infinite, as a conversion to f16 would have it.
            self.d = if self.gain > 0.0 { self.d } else { d };
            return;
        }
        let scale = value / peak;
        if !scale.is_finite() {
            return;
        }
        let best_code = |(sub, free): (&SubBlock, &f32)| {
            let tried = scales.near(free / scale).map(|code| {
                let (gain, way) = sub.gain(scale * scales.value(code));
                (gain, code, way)
            });
            let worst = (f32::NEG_INFINITY, 0, 0);
            tried.fold(worst, |a, b| if b.0 > a.0 { b } else { a })
        };
        let choices: Vec<_> = subs.iter().zip(free).map(best_code).collect();
        let gain = choices.iter().map(|(gain, ..)| gain).sum();
        if gain > self.gain {
            let codes = choices.iter().map(|c| c.1).collect();
            let ways = choices.iter().map(|c| c.2).collect();
            *self = Self { d, scale, gain, codes, ways, points: Vec::new() };
        }
    }

    /// The block's scale that suits the chosen points best: Σ m·(x·q) / Σ m²·|q|², where m is what
    /// a sub-block's code is worth.
    fn least_squares(&self, subs: &[SubBlock], scales: Scales) -> f32 {
        let (mut over, mut under) = (0.0, 0.0);
        for ((sub, &code), &way) in subs.iter().zip(&self.codes).zip(&self.ways) {
            let m = scales.value(code);
            let (dot, norm) = sub.sums(way, self.scale * m);
            over += m * dot;
            under += m * m * norm;
        }
        if under > 0.0 { over / under } else { 0.0 }
    }

    /// The points at the chosen scales.
    fn choose(mut self, subs: &[SubBlock], scales: Scales) -> Self {
        for ((sub, &code), &way) in subs.iter().zip(&self.codes).zip(&self.ways) {
            let s = self.scale * scales.value(code);
            self.points.extend(sub.ways[way].iter().map(|hull| hull.at(s).number));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::grids;

    const SIGNED: Grid = Grid { words: &grids::IQ2_XS, bits: 2, levels: &[8.0, 25.0, 43.0] };
    const FOURS: [f32; 8] = [1.0, 3.0, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0];
    const SHORT: Grid = Grid { words: &grids::IQ3_S, bits: 4, levels: &FOURS };
    const UP: Grid = Grid { words: &grids::IQ1_S, bits: 2, levels: &[-0.875, 0.125, 1.125] };
    const DOWN: Grid = Grid { words: &grids::IQ1_S, bits: 2, levels: &[-1.125, -0.125, 0.875] };

    /// Numbers in −1..=1 that are no ties (a multiplicative generator).
    fn weights(seed: u32, n: usize) -> Vec<f32> {
        let mut state = 2 * seed + 1;
        let mut next = || {
            state = state.wrapping_mul(0x9e37_79b1).wrapping_add(0x7f4a_7c15);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..n).map(|_| next()).collect()
    }

    /// |x − s·q|², in f64.
    fn error(grid: &Grid, i: usize, x: &[f32], s: f32) -> f64 {
        let mut q = vec![0.0; x.len()];
        grid.decode(i, 0, s, &mut q);
        x.iter().zip(q).map(|(x, q)| (f64::from(*x) - f64::from(q)).powi(2)).sum()
    }

    /// Against every point of the grid. f32 leaves errors near 1e-6 in sums of this size, so points
    /// that close are equals.
    #[test]
    fn a_hull_has_the_nearest_point_at_every_scale() {
        for (grids, len, unit) in
            [(vec![SIGNED], 8, 0.02), (vec![SHORT], 4, 0.06), (vec![UP, DOWN], 8, 0.5)]
        {
            let all = 2 * grids[0].words.len();
            let books: Vec<Book> =
                grids.iter().zip([0, all as u16]).map(|(g, first)| Book::new(g, first)).collect();
            for seed in 0..40 {
                let x = weights(seed, len);
                let hulls = books.iter().map(|book| book.hull(&x));
                let hull = hulls.reduce(Hull::union).unwrap();
                for step in [0.3, 0.7, 1.0, 1.2, 1.9, 5.0] {
                    let s = unit * step;
                    let number = usize::from(hull.at(s).number);
                    let got = error(&grids[number / all], number % all, &x, s);
                    let errors = grids.iter().flat_map(|g| (0..all).map(|i| error(g, i, &x, s)));
                    let least = errors.fold(f64::INFINITY, f64::min);
                    assert!(got <= least + 1e-5, "{x:?} at {s}: {got}, best {least}");
                }
            }
        }
    }

    #[test]
    fn signs_are_even_where_they_must_be() {
        let mut x = [1.0, -2.0, 0.5, 3.0, -4.0, -0.25, 1.0, 2.0];
        let mut free = x;
        assert_eq!(take_signs(&mut free, false), 0b11_0010);
        assert_eq!(free, x.map(f32::abs));
        assert_eq!(take_signs(&mut x, true), 0b01_0010);
        assert_eq!(x, [1.0, 2.0, 0.5, 3.0, 4.0, -0.25, 1.0, 2.0]);
    }
}
