//! Where a multiplication's rows of x come from, what is done to them, and where its result goes.

use super::Tile;
use crate::gpu::{Bind, Bound, Buffer, Class, Gpu};
use crate::ops::glu::Activation;
use crate::ops::{Matrix, stage, stride};

/// Rows of x.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// In a buffer: which of its rows is the first, and how many; rows [`stride`] of K floats apart.
    Buffer(&'a Buffer, usize, usize),
    /// As many in texels, as [`stage`] leaves them.
    Texels(&'a dyn Bind, usize),
}

impl Input<'_> {
    /// How many.
    pub fn rows(&self) -> usize {
        match self {
            Self::Buffer(_, _, m) | Self::Texels(_, m) => *m,
        }
    }

    pub(super) fn first(&self) -> usize {
        match self {
            Self::Buffer(_, first, _) => *first,
            Self::Texels(..) => 0,
        }
    }

    pub(super) fn bound(&self) -> Bound {
        match self {
            Self::Buffer(x, ..) => x.bound(),
            Self::Texels(x, _) => x.bound(),
        }
    }
}

impl<'a> From<(&'a Buffer, usize, usize)> for Input<'a> {
    fn from((x, first, m): (&'a Buffer, usize, usize)) -> Self {
        Self::Buffer(x, first, m)
    }
}

/// What is done on the way in and out of a multiplication.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fused<'a> {
    /// RMSNorm of x with this gain (whole vec4s, see [`stride`]) and epsilon.
    pub norm: Option<(&'a Buffer, f32)>,
    /// A value for each row of W.
    pub bias: Option<&'a Buffer>,
    /// Rows 2i and 2i + 1 of W are the gate and the up of y's column i = act(gate)·up.
    pub glu: Option<Activation>,
}

/// Where in a buffer the result goes.
#[derive(Debug, Clone, Copy)]
pub struct Output<'a> {
    /// The buffer.
    pub y: &'a Buffer,
    /// Floats from row to row.
    pub stride: usize,
    /// Where in a row of y the result begins.
    pub at: usize,
    /// Whether it is added to what is there.
    pub accumulate: bool,
}

/// Where the result goes.
#[derive(Debug, Clone, Copy)]
pub enum To<'a> {
    /// To a buffer.
    Buffer(Output<'a>),
    /// To texels, for the next multiplication to read ([`Input::Texels`]): gated activations, of a matrix
    /// and by a tile that [leave them](leaves_texels).
    Texels(&'a dyn Bind),
}

impl To<'_> {
    pub(super) fn bound(&self) -> Bound {
        match self {
            Self::Buffer(out) => out.y.bound(),
            Self::Texels(y) => y.bound(),
        }
    }

    /// Units from row to row, which are floats or texels, and where in a row y begins.
    pub(super) fn rows(&self, w: &Matrix) -> (usize, usize) {
        match self {
            Self::Buffer(out) => (out.stride, out.at),
            Self::Texels(_) => (stride(w.rows / 2) / 4, 0),
        }
    }

    pub(super) fn accumulates(&self) -> bool {
        matches!(self, Self::Buffer(Output { accumulate: true, .. }))
    }
}

impl<'a> From<Output<'a>> for To<'a> {
    fn from(out: Output<'a>) -> Self {
        Self::Buffer(out)
    }
}

/// Whether rows of x for these weights had better be left in texels by what computes them: where a
/// driver is a CPU that loads those faster, and this needs no launch.
pub fn reads_texels(gpu: &Gpu, w: &Matrix, m: usize) -> bool {
    gpu.caps().class == Class::Software && w.cols.is_multiple_of(4) && stage::fits(gpu, m, w.cols)
}

/// Whether gated activations by such a tile can go to texels: a lane has whole ones.
pub fn leaves_texels(tile: &Tile, w: &Matrix) -> bool {
    let whole = |rows: usize| rows.is_multiple_of(8);
    tile.rows == 8 && whole(w.rows) && w.shards.iter().all(|shard| whole(shard.first_row))
}
