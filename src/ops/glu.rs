//! Gated activation: act(gate)·up (arXiv 2002.05202).

use super::{EXTEXP, stride};
use crate::error::Result;
use crate::gpu::{Access, Binding, Buffer, Grid, Op, Part, PlanBuilder, Variant, params, part};

params! {
    /// Values in a row of y; a row of x holds as many gates, then as many ups.
    cols: u32,
    /// Floats from row to row of x.
    x_stride: u32,
    /// Floats from row to row of y.
    y_stride: u32,
}

/// The activation of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// x·sigmoid(x).
    Silu,
    /// The tanh form of GELU.
    Gelu,
}

/// The activation by itself.
pub(super) const ACTIVATION: Part = part!("lib/activation.wgsl");

/// The operation.
pub static OP: Op = Op {
    name: "glu",
    parts: &[part!("ops/glu.wgsl"), ACTIVATION, EXTEXP],
    formats: &[],
    reduces: false,
    bindings: &[
        Binding { name: "x", access: Access::Read },
        Binding { name: "y", access: Access::Write },
    ],
    params: Params::INFO,
};

const LANES: u32 = 64;

/// A lane per value, a row of workgroups per row.
pub fn workgroups(cols: usize, rows: usize) -> Grid {
    [cols.div_ceil(LANES as usize) as u32, rows as u32, 1]
}

/// Records y[m, :] = act(x[m, ..cols])·x[m, cols..2·cols].
///
/// # Errors
/// What the plan says.
pub fn record(
    plan: &mut PlanBuilder,
    x: &Buffer,
    y: &Buffer,
    (rows, cols): (usize, usize),
    activation: Activation,
) -> Result<()> {
    let (x_stride, y_stride) = (stride(2 * cols) as u32, stride(cols) as u32);
    let params = Params { cols: cols as u32, x_stride, y_stride };
    let act = u8::from(activation == Activation::Gelu);
    let variant = Variant::of(&[("LANES", LANES.into()), ("ACT", act.into())]);
    plan.dispatch(&OP, variant, &params, &[x, y], workgroups(cols, rows))
}

/// One value in f64.
pub fn reference(gate: f32, up: f32, activation: Activation) -> f64 {
    let (g, up) = (f64::from(gate), f64::from(up));
    match activation {
        Activation::Silu => g / (1.0 + (-g).exp()) * up,
        Activation::Gelu => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (g + 0.044715 * g.powi(3));
            0.5 * g * (1.0 + inner.tanh()) * up
        }
    }
}
