//! What a multiplication reads from texels and leaves there: which launches need no other between them.

use super::{Fused, Input, Share, Tile, To};
use crate::error::{Error, Result};
use crate::gpu::{Bound, Class, Gpu, Texels};
use crate::ops::{Matrix, stage, stride};

/// Sums of the squares of rows of x, which stand behind each row, and what RMSNorm adds to their mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Squares {
    pub(super) parts: usize,
    pub(super) eps: f32,
}

impl Squares {
    /// Of rows that are normed already: none, and 1 / sqrt(0 + 1) is left.
    pub const NORMED: Self = Self { parts: 0, eps: 1.0 };

    /// As a multiplication with `w` by this tile leaves them: a sum for the lanes that add them up together.
    pub fn left_by(tile: &Tile, w: &Matrix, eps: f32) -> Self {
        let together = match tile.share {
            Share::Quad => 4,
            Share::Subgroup => 8,
            Share::Lane | Share::Workgroup => tile.lanes,
        };
        Self { parts: w.rows.div_ceil(together * tile.rows), eps }
    }

    /// Texels that `m` rows of `cols` floats take with their sums.
    pub fn texels(&self, m: usize, cols: usize) -> usize {
        m.saturating_mul(scaled_stride(cols, self.parts))
    }
}

/// Texels from row to row of `cols` floats with so many sums.
pub(super) fn scaled_stride(cols: usize, parts: usize) -> usize {
    stride(cols) / 4 + parts
}

/// Whether rows of x for these weights had better be left in texels by what computes them: where a
/// driver is a CPU that loads those faster, and this needs no launch.
pub fn reads_texels(gpu: &Gpu, w: &Matrix, m: usize) -> bool {
    w.cols.is_multiple_of(4) && reads_scaled(gpu, stage::texels(m, w.cols))
}

/// The same for rows on which a norm is left to be done, which take so many texels with their sums.
pub fn reads_scaled(gpu: &Gpu, texels: usize) -> bool {
    gpu.caps().class == Class::Software && texels as u64 <= Texels::most_bytes(gpu) / 16
}

/// Whether gated activations by such a tile can go to texels: a lane has whole ones.
pub fn leaves_texels(tile: &Tile, w: &Matrix) -> bool {
    let whole = |rows: usize| rows.is_multiple_of(8);
    tile.rows == 8 && whole(w.rows) && w.shards.iter().all(|shard| whole(shard.first_row))
}

/// Whether a result by such a tile can go to texels, too, for the norm that comes next: rows of W are whole
/// vec4s, each of one lane, in one shard, and lanes have one row of x. (For many rows a launch of
/// [`stage`] is cheaper than the sums, which every lane reads.)
pub fn leaves_scaled(tile: &Tile, w: &Matrix) -> bool {
    tile.split == 1 && tile.m == 1 && w.rows.is_multiple_of(4) && w.shards.len() == 1
}

/// Texels of y are whole, and x and y have room for their rows: what is outside a texture reads as 0, and is
/// written nowhere.
pub(super) fn check(
    tile: &Tile,
    w: &Matrix,
    x: &Input<'_>,
    fused: &Fused<'_>,
    to: &To<'_>,
) -> Result<()> {
    let refuse = |expected: &str| {
        let norm = fused.norm.is_some();
        let got = format!("{} rows, {:?}, norm {norm}, {tile:?}", w.rows, fused.glu);
        Err(Error::Shape { op: "matmul", expected: expected.into(), got })
    };
    match x {
        Input::Buffer(..) => {}
        Input::Scaled(..) if fused.norm.is_some() => {
            return refuse("no norm on the way in of x that has its gain");
        }
        Input::Texels(..) | Input::Scaled(..) => {
            room("x", x.bound(), x.rows().saturating_mul(x.stride(w.cols)))?;
        }
    }
    match to {
        To::Buffer(_) => Ok(()),
        To::Texels(_) if fused.glu.is_none() || !leaves_texels(tile, w) => {
            refuse("gates and ups in eights of rows, as many to a lane, for y in texels")
        }
        To::Texels(y) => room("y", y.bound(), stage::texels(x.rows(), w.rows / 2)),
        To::Scaled(..) if fused.glu.is_some() || fused.norm.is_some() => {
            refuse("neither gates nor a norm on the way in, for the next norm's texels")
        }
        To::Scaled(..) if !leaves_scaled(tile, w) => {
            refuse("fours of rows in one shard and a row of x, each of one lane, for the next norm")
        }
        To::Scaled(_, _, y) => {
            let squares = Squares::left_by(tile, w, 0.0);
            room("y for the next norm", y.bound(), squares.texels(x.rows(), w.rows))
        }
    }
}

fn room(name: &str, bound: Bound, texels: usize) -> Result<()> {
    match bound.words() {
        Some(words) if words / 4 < texels as u64 => {
            let expected = format!("{texels} texels of {name}");
            Err(Error::Shape { op: "matmul", expected, got: format!("{} texels", words / 4) })
        }
        _ => Ok(()),
    }
}
