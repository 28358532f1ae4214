//! Where in the cache the rows of a step stand, in the uniform `step` of the kernels that count
//! positions.

use crate::error::{Error, Result};
use crate::gpu::{Buffer, Gpu, Part, part};

/// The uniform in WGSL.
pub(super) const STEP: Part = part!("lib/step.wgsl");

/// Sequences that a step may have.
pub const MAX_SEQUENCES: usize = 64;

/// Words of the `Step` uniform: a [`Span`] for each sequence.
pub const STEP_WORDS: usize = 4 * MAX_SEQUENCES;

/// The rows of one sequence in a step: where they stand in the cache, and which of its positions are
/// the sequence's own. The uniform `step` has one for each sequence.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Span {
    /// The first row's position in the cache; the others follow.
    pub position: u32,
    /// Rows.
    pub rows: u32,
    /// The sequence's first position.
    pub start: u32,
    /// The position behind its last.
    pub end: u32,
}

impl Span {
    /// Rows of a sequence that has a cache of so many positions to itself.
    pub fn alone(position: usize, rows: usize, positions: usize) -> Self {
        let [position, rows, end] = [position, rows, positions].map(|n| n as u32);
        Self { position, rows, start: 0, end }
    }
}

/// The uniform `step` of these sequences.
///
/// # Errors
/// [`Error::Shape`] for more than [`MAX_SEQUENCES`]; what the device says.
pub async fn step(gpu: &Gpu, spans: &[Span]) -> Result<Buffer> {
    if spans.len() > MAX_SEQUENCES {
        let (expected, got) = (format!("up to {MAX_SEQUENCES} sequences"), spans.len().to_string());
        return Err(Error::Shape { op: "step", expected, got });
    }
    let step = Buffer::uniform(gpu, "step", STEP_WORDS).await?;
    step.write(0, spans);
    Ok(step)
}
