//! Rows of x, and the multiplications that they go into.

use super::StepRows;
use crate::error::Result;
use crate::gpu::{Buffer, PlanBuilder, Slot};
use crate::model::weights::Linear;
use crate::ops::glu::Activation;
use crate::ops::matmul::{Fused, Squares};
use crate::ops::{Matrix, matmul, matmul_q8};

/// Rows of x on their way into a multiplication, the RMSNorm that is left to it, and the same rows as
/// bytes where they are rounded.
#[derive(Clone, Copy)]
pub(super) struct Normed<'a> {
    pub x: matmul::Input<'a>,
    pub rows: StepRows,
    pub norm: Option<(&'a Buffer, f32)>,
    pub q8: Option<&'a Buffer>,
}

impl Normed<'_> {
    /// Rows that the dispatch before left in texels.
    pub fn handed_on(rows: StepRows) -> Self {
        let x = matmul::Input::Texels(&Slot::HANDED_ON, rows.count);
        Self { x, rows, norm: None, q8: None }
    }

    /// Rows that a dispatch before left in texels, their norm to be finished by these sums.
    pub fn scaled(rows: StepRows, squares: Squares) -> Self {
        let x = matmul::Input::Scaled(&Slot::SCALED, rows.count, squares);
        Self { x, rows, norm: None, q8: None }
    }
}

pub(super) fn record_linear<'a>(
    plan: &mut PlanBuilder,
    linear: &Linear,
    x: Normed<'_>,
    glu: Option<Activation>,
    to: impl Into<matmul::To<'a>>,
) -> Result<()> {
    let fused = Fused { bias: linear.bias.as_ref(), glu, ..Fused::default() };
    record_matmul(plan, &linear.weight, x, fused, to.into())
}

/// Bytes of x meet weights of small integers, and leave their result in a buffer.
pub(super) fn record_matmul(
    plan: &mut PlanBuilder,
    w: &Matrix,
    x: Normed<'_>,
    fused: Fused<'_>,
    to: matmul::To<'_>,
) -> Result<()> {
    let StepRows { count, kernels_for } = x.rows;
    match (x.q8.filter(|_| matmul_q8::can_multiply(w.format)), to) {
        (Some(q8), matmul::To::Buffer(out)) => {
            let tile = matmul_q8::Tile::choose(plan.gpu().caps().class, kernels_for);
            matmul_q8::record_tiled(plan, tile, w, (q8, count), (fused.bias, fused.glu), out)
        }
        _ => {
            let tile = matmul::Tile::on(plan.gpu(), w.format, (w.rows, w.cols), kernels_for);
            matmul::record_tiled(plan, tile, w, x.x, Fused { norm: x.norm, ..fused }, to)
        }
    }
}
