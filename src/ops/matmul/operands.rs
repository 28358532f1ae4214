//! Where a multiplication's rows of x come from, what is done to them, and where its result goes.

use super::texels::{Squares, scaled_stride};
use crate::gpu::{Bind, Bound, Buffer};
use crate::ops::glu::Activation;
use crate::ops::{Matrix, stride};

/// Rows of x.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// In a buffer: which of its rows is the first, and how many; rows [`stride`] of K floats apart.
    Buffer(&'a Buffer, usize, usize),
    /// As many in texels, as [`stage`](crate::ops::stage) leaves them.
    Texels(&'a dyn Bind, usize),
    /// As many in texels, as [`To::Scaled`] leaves them: the RMSNorm whose gain they are times is finished
    /// by the sums of squares behind each.
    Scaled(&'a dyn Bind, usize, Squares),
}

impl Input<'_> {
    /// How many.
    pub fn rows(&self) -> usize {
        match self {
            Self::Buffer(_, _, m) | Self::Texels(_, m) | Self::Scaled(_, m, _) => *m,
        }
    }

    pub(super) fn first(&self) -> usize {
        match self {
            Self::Buffer(_, first, _) => *first,
            Self::Texels(..) | Self::Scaled(..) => 0,
        }
    }

    pub(super) fn bound(&self) -> Bound {
        match self {
            Self::Buffer(x, ..) => x.bound(),
            Self::Texels(x, _) | Self::Scaled(x, ..) => x.bound(),
        }
    }

    pub(super) fn squares(&self) -> Option<Squares> {
        match self {
            Self::Scaled(_, _, squares) => Some(*squares),
            Self::Buffer(..) | Self::Texels(..) => None,
        }
    }

    /// vec4s from row to row of `cols` floats.
    pub(super) fn stride(&self, cols: usize) -> usize {
        self.squares().map_or(stride(cols) / 4, |squares| scaled_stride(cols, squares.parts))
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
    /// and by a tile that [leave them](super::leaves_texels).
    Texels(&'a dyn Bind),
    /// To a buffer; and to texels, times the gain of the RMSNorm that comes next (whole vec4s) and with sums
    /// of their squares, for the next multiplications to read ([`Input::Scaled`]): of a matrix and by a tile
    /// that [leave them](super::leaves_scaled). There is no norm on the way in.
    Scaled(Output<'a>, &'a Buffer, &'a dyn Bind),
}

impl To<'_> {
    pub(super) fn bound(&self) -> Bound {
        match self {
            Self::Buffer(out) | Self::Scaled(out, ..) => out.y.bound(),
            Self::Texels(y) => y.bound(),
        }
    }

    /// The gain of the norm that comes next, and the texels.
    pub(super) fn scaled(&self) -> Option<(&Buffer, &dyn Bind)> {
        match self {
            Self::Scaled(_, gain, texels) => Some((gain, *texels)),
            Self::Buffer(_) | Self::Texels(_) => None,
        }
    }

    /// Units from row to row, which are floats or texels, and where in a row y begins.
    pub(super) fn rows(&self, w: &Matrix) -> (usize, usize) {
        match self {
            Self::Buffer(out) | Self::Scaled(out, ..) => (out.stride, out.at),
            Self::Texels(_) => (stride(w.rows / 2) / 4, 0),
        }
    }

    pub(super) fn accumulates(&self) -> bool {
        matches!(self, Self::Buffer(out) | Self::Scaled(out, ..) if out.accumulate)
    }
}

impl<'a> From<Output<'a>> for To<'a> {
    fn from(out: Output<'a>) -> Self {
        Self::Buffer(out)
    }
}
