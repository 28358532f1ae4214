//! Rows of x as texels, with RMSNorm on the way: what a multiplication reads on drivers that load
//! texels faster than words of a buffer.

use super::{check_loop, fold, stride};
use crate::error::Result;
use crate::gpu::{
    Access, Bind, Binding, Bound, Buffer, Fetch, Gpu, Grid, Op, Part, PlanBuilder, Texel, Texels,
    Variant, params, part,
};

params! {
    /// Values in a row.
    cols: u32,
    /// vec4s from row to row.
    x_stride: u32,
    /// First row of x.
    x_row: u32,
    /// Rows.
    m: u32,
    /// What RMSNorm adds to the mean square.
    eps: f32,
}

/// The operation.
pub static OP: Op = Op {
    name: "stage",
    parts: &[part!("ops/stage.wgsl")],
    formats: &[],
    reduces: true,
    bindings: &[
        Binding { name: "x", access: Access::Read },
        Binding { name: "gain", access: Access::Read },
        Binding { name: "staged", access: Access::Texels(Texel::Float) },
    ],
    params: Params::INFO,
};

/// y as vec4s of a buffer, and as texels.
pub(super) const Y_VEC4S: Part = part!("lib/y_vec4s.wgsl");
pub(super) const Y_TEXELS: Part = part!("lib/y_texels.wgsl");

/// Where a kernel leaves rows of y, [`stride`] of their width apart.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// In a buffer.
    Buffer(&'a Buffer),
    /// In texels, where a multiplication reads them
    /// ([`Input::Texels`](super::matmul::Input::Texels)).
    Texels(&'a dyn Bind),
}

impl<'a> From<&'a Buffer> for Place<'a> {
    fn from(y: &'a Buffer) -> Self {
        Self::Buffer(y)
    }
}

impl Place<'_> {
    pub(super) fn bound(&self) -> Bound {
        match self {
            Self::Buffer(y) => y.bound(),
            Self::Texels(y) => y.bound(),
        }
    }

    /// A variant of a kernel that writes vec4s there, to its binding `y`.
    pub(super) fn written_by(&self, variant: Variant) -> Variant {
        match self {
            Self::Buffer(_) => variant.with(&[Y_VEC4S]),
            Self::Texels(_) => Self::in_texels(variant),
        }
    }

    /// The same where they are texels.
    pub(super) fn in_texels(variant: Variant) -> Variant {
        variant.with_texels([Y_TEXELS; 3], Fetch::Stored, ("y", Texel::Float))
    }
}

/// Texels that `m` rows of `cols` floats take.
pub fn texels(m: usize, cols: usize) -> usize {
    m.saturating_mul(stride(cols) / 4)
}

/// Whether a texture of this device holds them.
pub fn fits(gpu: &Gpu, m: usize, cols: usize) -> bool {
    texels(m, cols) as u64 <= Texels::most_bytes(gpu) / 16
}

/// Lanes in a workgroup, which walks a row.
const LANES: usize = 8;

/// A workgroup per row, folded into two dimensions.
pub fn workgroups(m: usize) -> Grid {
    fold(m)
}

/// Refuses rows that a lane may not loop over.
///
/// # Errors
/// [`Error::Limit`](crate::Error::Limit) for more than a million values.
pub fn check_cols(cols: usize) -> Result<()> {
    check_loop("stage", (2 * (stride(cols) / 4).div_ceil(LANES) + LANES) as u64)
}

/// Records to[m, :] = x[x_row + m, :], or its RMSNorm with this gain (whole vec4s) and epsilon, for
/// `m` rows of `cols` floats; `to` are [`texels`] of floats.
///
/// # Errors
/// As [`check_cols`]; what the plan says.
pub fn record(
    plan: &mut PlanBuilder,
    (x, x_row, m): (&Buffer, usize, usize),
    cols: usize,
    norm: Option<(&Buffer, f32)>,
    to: &dyn Bind,
) -> Result<()> {
    check_cols(cols)?;
    let (gain, eps) = norm.unwrap_or((x, 0.0));
    let x_stride = stride(cols) as u32 / 4;
    let (x_row, m) = (x_row as u32, m as u32);
    let params = Params { cols: cols as u32, x_stride, x_row, m, eps };
    let normed = f64::from(u8::from(norm.is_some()));
    let variant = Variant::of(&[("LANES", LANES as f64), ("NORM", normed)]);
    plan.dispatch(&OP, variant, &params, &[x, gain, to], workgroups(m as usize))
}
