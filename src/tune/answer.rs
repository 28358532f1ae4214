//! What a multiplication must give: some rows of weights against f64, the rest of the answer against
//! the size of those.

use std::ops::Range;

use crate::error::Result;
use crate::formats::FormatRef;
use crate::gpu::Buffer;
use crate::ops::matmul::{Tile, reference_by};
use crate::ops::{Matrix, stride};

/// Rows of W of each of three places: the first, some in the middle, the last.
const ROWS: usize = 8;

/// Rows of x from each end, as many as a lane may own: all that can be told apart in a kernel.
const ENDS: usize = 16;

/// An answer's value must not be this much larger than the largest bound of those that are checked.
const GROSS: f64 = 64.0;

/// The exact answer in some places.
pub(super) struct Answer {
    format: FormatRef,
    m: usize,
    n: usize,
    /// By weights, and by codes: their bounds differ.
    exact: [Vec<Cell>; 2],
}

/// A place in the answer, the sum there, and how far it may be off.
#[derive(Debug, Clone, Copy)]
struct Cell {
    m: usize,
    n: usize,
    sum: f64,
    allowed: f64,
}

impl Answer {
    /// Of `m` rows of x, K floats each.
    pub(super) async fn new(w: &Matrix, x: &[f32], m: usize) -> Result<Self> {
        let mut exact = [Vec::new(), Vec::new()];
        let mut of_x = vec![0, 1, m / 2, m - 1];
        of_x.retain(|row| *row < m);
        of_x.dedup();
        let rows_of_x = of_x.iter().flat_map(|row| &x[row * w.cols..][..w.cols]);
        let rows_of_x: Vec<f32> = rows_of_x.copied().collect();
        for (s, rows) in places(w) {
            let shard = &w.shards[s];
            let blocks = shard.download_rows(w.format, w.cols, rows.clone()).await?;
            for (cells, codes) in exact.iter_mut().zip([false, true]) {
                let shape = (rows.len(), w.cols);
                let sums = reference_by(w.format, &blocks, shape, &rows_of_x, codes)?;
                let at = of_x.iter().flat_map(|&m| rows.clone().map(move |n| (m, n)));
                cells.extend(at.zip(sums).map(|((m, n), (sum, size))| Cell {
                    m,
                    n: shard.first_row + n,
                    sum,
                    allowed: gamma(w.cols + 2) * size,
                }));
            }
        }
        Ok(Self { format: w.format, m, n: w.rows, exact })
    }

    /// Whether `y`, NaN before the kernel ran, holds that answer, up to the rounding of K products
    /// and sums in any order (Higham, section 3.1). Each value between those that are known is
    /// written, and no larger than they may be.
    pub(super) async fn accepts(&self, y: &Buffer, tile: Tile) -> Result<bool> {
        let cells = &self.exact[usize::from(tile.uses_codes(self.format))];
        let largest = cells.iter().fold(0.0, |most: f64, c| most.max(c.sum.abs() + c.allowed));
        let row = stride(self.n);
        for rows in ends(self.m) {
            let values: Vec<f32> = y.read(rows.start * row, rows.len() * row).await?;
            let all = values.chunks_exact(row).flat_map(|row| &row[..self.n]);
            if !all.into_iter().all(|v| f64::from(v.abs()) <= GROSS * largest) {
                return Ok(false);
            }
            let right = |c: &Cell| {
                let value = f64::from(values[(c.m - rows.start) * row + c.n]);
                (value - c.sum).abs() <= c.allowed
            };
            if !cells.iter().filter(|c| rows.contains(&c.m)).all(right) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Rows of shards that are checked.
fn places(w: &Matrix) -> Vec<(usize, Range<usize>)> {
    let tiled = |row: usize| row / w.tile * w.tile;
    let place = |s: usize, from: usize| {
        let rows = w.shards.get(s)?.layout.rows;
        Some((s, tiled(from)..rows.min(tiled(from) + ROWS.max(w.tile))))
    };
    let (middle, last) = (w.shards.len() / 2, w.shards.len().saturating_sub(1));
    let rows = |s: usize| w.shards.get(s).map_or(0, |shard| shard.layout.rows);
    let mut places: Vec<_> =
        [place(0, 0), place(middle, rows(middle) / 2), place(last, rows(last).saturating_sub(1))]
            .into_iter()
            .flatten()
            .collect();
    places.dedup();
    places
}

/// The rows of x at both ends, and one between.
fn ends(m: usize) -> Vec<Range<usize>> {
    if m <= 2 * ENDS {
        return std::iter::once(0..m).collect();
    }
    vec![0..ENDS, m / 2..m / 2 + 1, m - ENDS..m]
}

/// Higham's γ(n) = n·u / (1 − n·u).
fn gamma(n: usize) -> f64 {
    let nu = n as f64 / (1u64 << 24) as f64;
    nu / (1.0 - nu)
}
