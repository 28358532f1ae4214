//! How rows are laid out over lanes and workgroups, and what that means for the error.

use super::Algorithm;
use crate::error::Result;
use crate::gpu::{Class, Grid};
use crate::ops::extexp::EXP_ERROR;
use crate::ops::{check_loop, fold};

/// vec4s that a lane adds in one step, and steps whose sum is kept apart; as in the WGSL.
const STEP: usize = 4;
const RUN: usize = 8;
/// vec4s that a lane can hold, as in the WGSL.
pub const MAX_HELD: usize = 32;
/// Chunks that a row is cut into at most, while chunks may grow.
const MOST_CHUNKS: usize = 128;
/// vec4s of the largest chunk.
const LARGEST_CHUNK: usize = 1 << 18;

/// Which lanes take which values. The result's bits depend on `team`, `held` and `chunk` only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Lanes in a workgroup.
    pub lanes: usize,
    /// Lanes that share a row or chunk: 1 or a power of two from 8 to `lanes`.
    pub team: usize,
    /// vec4s of a row that a lane holds in registers, a multiple of 4 up to 32; 0 where rows are cut
    /// into chunks.
    pub held: usize,
    /// vec4s in a chunk, a multiple of 16·`team`; 0 where rows are held.
    pub chunk: usize,
}

impl Layout {
    /// The default for rows of `cols` values on this kind of machine, whose workgroups may have
    /// `most` lanes. Deterministic layouts differ between machines in `lanes` only.
    pub fn choose(class: Class, most: usize, cols: usize, deterministic: bool) -> Self {
        match class {
            _ if deterministic => Self::deterministic(class, cols),
            Class::Software if cols <= 128 => Self::held(8, 1, cols),
            Class::Software if cols <= 1024 => Self::held(8, 8, cols),
            Class::Software => Self::chunked(8, 8, 1024, cols),
            // A few vec4s a lane, so that they stay in registers.
            Class::Gpu if cols <= most.min(256) * 16 => {
                let team = cols.div_ceil(16).next_power_of_two().max(8);
                Self::held(team.max(64), team, cols)
            }
            Class::Gpu => Self::chunked(64, 64, 1024, cols),
        }
    }

    fn deterministic(class: Class, cols: usize) -> Self {
        let lanes = if class == Class::Software { 8 } else { 64 };
        if cols <= 256 { Self::held(lanes, 8, cols) } else { Self::chunked(lanes, 8, 256, cols) }
    }

    fn held(lanes: usize, team: usize, cols: usize) -> Self {
        let held = cols.div_ceil(4 * team).next_multiple_of(STEP);
        Self { lanes, team, held, chunk: 0 }
    }

    fn chunked(lanes: usize, team: usize, chunk: usize, cols: usize) -> Self {
        let mut chunk = chunk;
        while cols.div_ceil(4 * chunk) > MOST_CHUNKS && chunk < LARGEST_CHUNK {
            chunk *= 2;
        }
        Self { lanes, team, held: 0, chunk }
    }

    /// Chunks of a row of `cols` values; 1 where it is held.
    pub fn chunks(&self, cols: usize) -> usize {
        if self.chunk == 0 { 1 } else { cols.div_ceil(4 * self.chunk) }
    }

    /// Whether the kernel can run it for such rows.
    pub(super) fn is_valid(&self, cols: usize) -> bool {
        let team = self.team == 1 || (self.team >= 8 && self.team.is_power_of_two());
        let lanes = self.team > 0 && self.lanes.is_multiple_of(self.team) && self.lanes > 0;
        let held = self.held.is_multiple_of(STEP) && self.held <= MAX_HELD;
        let whole = self.held * self.team * 4 >= cols && self.chunk == 0;
        let cut = self.held == 0 && self.chunk > 0;
        team && lanes && held && (whole || cut && self.chunk.is_multiple_of(STEP * self.team))
    }

    /// The grid: a team for each row, or chunk of a row.
    ///
    /// # Errors
    /// [`Error::Limit`](crate::Error::Limit) for rows that a lane would loop over too long.
    pub fn workgroups(&self, rows: usize, cols: usize) -> Result<Grid> {
        let chunks = self.chunks(cols);
        let over_row = chunks.div_ceil(self.team) as u64;
        let over_chunk = self.chunk.div_ceil(self.team) as u64;
        // Holding, two sums and writing; or a chunk's steps and runs. Then up to 5 halvings each.
        check_loop("softmax", over_row + over_chunk + 4 * self.held as u64 + 16)?;
        Ok(fold((rows * chunks).div_ceil(self.lanes / self.team)))
    }

    /// How many roundings of additions lie between any one exponential and its row's sum.
    pub fn depth(&self, cols: usize) -> usize {
        let tree = self.team.ilog2() as usize;
        let in_lane = if self.chunk == 0 {
            self.held / STEP - 1
        } else {
            let steps = cols.div_ceil(4).min(self.chunk).div_ceil(STEP * self.team);
            (steps.min(RUN) - 1) + (steps.div_ceil(RUN) - 1)
        };
        let chunks = self.chunks(cols);
        let of_chunks = chunks.div_ceil(self.team) - 1 + tree.min(chunks.next_power_of_two().ilog2() as usize);
        // Four vec4s of a step, and the four components.
        2 + in_lane + 2 + tree + of_chunks
    }

    /// THE bound: |ŷ − y| ≤ `error_bound`·y + 2^−126 for softmax of a row of `cols` finite values and
    /// −inf, exact as given, if |z| < 2^23. In units of 1; `docs/SOFTMAX.md` derives it. `below` is
    /// how far z lies below the row's maximum, which the two other algorithms' error depends on.
    pub fn error_bound(&self, algorithm: Algorithm, cols: usize, below: f64) -> f64 {
        const U: f64 = 1.0 / (1u64 << 24) as f64;
        let depth = self.depth(cols) as f64;
        // Exponential, product with 1/V; the same exponential in the sum; 1/V within 2.5 ulp.
        let common = EXP_ERROR + 1.0 + EXP_ERROR + depth + 5.0;
        let roundings = match algorithm {
            Algorithm::TwoPass => common,
            // z − max is rounded: |z − max|·u for the element, at most ln N·u on average in the sum.
            Algorithm::ThreePass => common + below.min(128.0) + (cols as f64).ln(),
            // Each time that a maximum moves: an exponential of a rounded difference, and a product.
            // The differences add up to what z lies below the maximum.
            Algorithm::Online => {
                let moves = depth * (EXP_ERROR + 1.0);
                common + below.min(128.0) + moves + 2.0 * (cols as f64).ln()
            }
        };
        roundings * U / (1.0 - roundings * U) + cols as f64 * 2f64.powi(-126)
    }
}
