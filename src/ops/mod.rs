//! GPU operations: a file for each, with its WGSL in `shaders/ops/` under the same name.
//!
//! Each has `Params` (its uniforms), `OP` (its shader and bindings), pure functions that size its
//! dispatch, a function that records it into a [`PlanBuilder`](crate::gpu::PlanBuilder), and
//! `reference`, the same in plain f64. To add one: a Rust file, a WGSL file, a word in [`OPS`].

pub mod argmax;
pub mod attention;
pub mod attention_combine;
pub mod dequantize;
pub mod extexp;
pub mod glu;
pub mod kv;
pub mod kv_append;
pub mod matmul;
pub mod matmul_q8;
pub mod matrix;
pub mod quantize;
pub mod quantize_q8;
pub mod rms_norm;
pub mod rope;
pub mod sample;
pub mod softmax;
pub mod stage;
mod step;
pub mod top_k;

pub use matrix::{Matrix, Placement, Words};
pub use step::{MAX_SEQUENCES, STEP_WORDS, Span, step};

use crate::error::{Error, Result};
use crate::gpu::{Grid, Op, Part, part};
use step::STEP;

/// THE table: every operation there is.
pub static OPS: &[&Op] = &[
    &argmax::OP,
    &attention::OP,
    &attention_combine::OP,
    &dequantize::OP,
    &glu::OP,
    &kv_append::OP,
    &matmul::OP,
    &matmul_q8::OP,
    &quantize::OP,
    &quantize_q8::OP,
    &rms_norm::OP,
    &rope::OP,
    &sample::OP,
    &softmax::OP,
    &stage::OP,
    &top_k::OP,
];

/// Pairs, shared by softmax, attention and glu.
pub const EXTEXP: Part = part!("lib/extexp.wgsl");

/// Lavapipe cuts an invocation off in silence after this many iterations of all its loops.
pub const MAX_LOOP: u64 = 65_535;

/// A one-dimensional launch of more workgroups than one dimension holds, folded into two.
fn fold(groups: usize) -> Grid {
    const WIDEST: usize = 65_535;
    let y = groups.div_ceil(WIDEST).max(1);
    [groups.div_ceil(y) as u32, y as u32, 1]
}

/// Refuses a launch whose invocations would loop longer than every driver allows.
fn check_loop(what: &str, iterations: u64) -> Result<()> {
    if iterations <= MAX_LOOP {
        return Ok(());
    }
    Err(Error::Limit {
        what: what.into(),
        needed: iterations,
        limit: "iterations per invocation (lavapipe)",
        available: MAX_LOOP,
    })
}

/// The stride that rows of `cols` floats have in activation buffers: whole vec4s.
pub fn stride(cols: usize) -> usize {
    cols.next_multiple_of(4)
}

/// Rows of `cols` in a slice of `len`.
fn rows_of(op: &'static str, len: usize, cols: usize) -> Result<usize> {
    if cols == 0 || !len.is_multiple_of(cols) {
        let (expected, got) = (format!("whole rows of {cols}"), format!("{len} values"));
        return Err(Error::Shape { op, expected, got });
    }
    Ok(len / cols)
}

/// Rows of `cols` floats, padded to [`stride`] with zeros.
pub(crate) fn with_padding(x: &[f32], cols: usize) -> Vec<f32> {
    let mut padded = vec![0.0; x.len() / cols.max(1) * stride(cols)];
    for (to, from) in padded.chunks_exact_mut(stride(cols)).zip(x.chunks_exact(cols)) {
        to[..cols].copy_from_slice(from);
    }
    padded
}

/// The inverse of [`with_padding`].
pub(crate) fn without_padding(x: &[f32], cols: usize) -> Vec<f32> {
    x.chunks_exact(stride(cols).max(1)).flat_map(|row| &row[..cols]).copied().collect()
}
