//! How rows are laid out over lanes and workgroups, and what that means for the error.

use super::Algorithm;
use crate::error::Result;
use crate::gpu::{Class, Grid};
use crate::ops::extexp::EXP_ERROR;
use crate::ops::{check_loop, fold};

/// vec4s that a lane adds in one step, and steps whose sum is kept apart; as in the WGSL.
pub(super) const STEP: usize = 4;
const RUN: usize = 8;
/// Chunks that a row is cut into at most, while chunks may grow.
const MOST_CHUNKS: usize = 128;
/// vec4s of the largest chunk.
const LARGEST_CHUNK: usize = 1 << 16;

/// How often a row is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// Once: a team holds it in registers, so many times four vec4s a lane (1 to 4).
    Hold(usize),
    /// By one team, once for each pass.
    Rows,
    /// In chunks of so many vec4s, a multiple of 4·`team`, each by a team of its own.
    Chunks(usize),
}

/// Which lanes take which values. The result's bits depend on `team` and `split` only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Lanes in a workgroup.
    pub lanes: usize,
    /// Lanes that share a row or chunk: a power of two up to `lanes`.
    pub team: usize,
    /// How rows are cut.
    pub split: Split,
}

impl Layout {
    /// The default for `rows` rows of `cols` values on this kind of machine, whose workgroups may
    /// have `most` lanes. Deterministic layouts depend on the machine in `lanes` only, and not on
    /// the number of rows.
    pub fn choose(
        class: Class,
        most: usize,
        (rows, cols): (usize, usize),
        deterministic: bool,
    ) -> Self {
        let software = class == Class::Software;
        let lanes = if software { 8 } else { 64 };
        match cols {
            ..=64 if deterministic => {
                Self { lanes: 64, team: 1, split: Split::Hold(cols.div_ceil(16)) }
            }
            ..=4096 if deterministic => Self { lanes, team: 8, split: Split::Rows },
            _ if deterministic => Self::chunked(lanes, 8, 1024, cols),
            // A lane a row, since barriers are dear, while its sum stays shallow.
            ..=64 if software => Self { lanes: 64, team: 1, split: Split::Hold(cols.div_ceil(16)) },
            ..=1024 if software && rows >= 64 => Self { lanes, team: 1, split: Split::Rows },
            ..=8192 if software && rows >= 8 => Self { lanes, team: 8, split: Split::Rows },
            _ if software => Self::chunked(lanes, 8, 1024, cols),
            _ if cols <= most.min(256) * 16 => {
                let team = cols.div_ceil(16).next_power_of_two();
                Self { lanes: team.max(64), team, split: Split::Hold(1) }
            }
            _ => Self::chunked(64, 64, 1024, cols),
        }
    }

    fn chunked(lanes: usize, team: usize, chunk: usize, cols: usize) -> Self {
        let mut chunk = chunk;
        while cols.div_ceil(4 * chunk) > MOST_CHUNKS && chunk < LARGEST_CHUNK {
            chunk *= 2;
        }
        Self { lanes, team, split: Split::Chunks(chunk) }
    }

    /// vec4s in a chunk of a row of `cols` values.
    pub fn chunk(&self, cols: usize) -> usize {
        if let Split::Chunks(chunk) = self.split { chunk } else { cols.div_ceil(4) }
    }

    /// Chunks of a row of `cols` values; 1 where it is not cut.
    pub fn chunks(&self, cols: usize) -> usize {
        cols.div_ceil(4).div_ceil(self.chunk(cols).max(1))
    }

    /// Chunks that are added before the others: the least whose square is the number of chunks.
    pub(super) fn chunk_run(&self, cols: usize) -> usize {
        let chunks = self.chunks(cols);
        chunks.isqrt() + usize::from(chunks.isqrt().pow(2) < chunks)
    }

    /// Whether the kernel can run it for such rows.
    pub(super) fn is_valid(&self, cols: usize) -> bool {
        let team =
            self.team.is_power_of_two() && self.lanes.is_multiple_of(self.team) && self.lanes > 0;
        let split = match self.split {
            Split::Hold(n) => (1..=4).contains(&n) && 4 * STEP * n * self.team >= cols,
            Split::Rows => true,
            Split::Chunks(chunk) => chunk > 0 && chunk.is_multiple_of(STEP * self.team),
        };
        team && split
    }

    /// The grid: a team for each row, or chunk of a row.
    ///
    /// # Errors
    /// [`Error::Limit`](crate::Error::Limit) for rows that a lane would loop over too long.
    pub fn workgroups(&self, rows: usize, cols: usize) -> Result<Grid> {
        let chunks = self.chunks(cols);
        let vec4s = self.chunk(cols).div_ceil(self.team) as u64;
        // The row's chunks and their runs; a sum in steps and their runs, again with care (a loop over 4
        // vec4s each), then writing; up to 7 halvings, three times, and the team's marks.
        let steps = vec4s.div_ceil(STEP as u64);
        check_loop(
            "softmax",
            2 * chunks as u64 + steps * (3 + STEP as u64) + vec4s + 2 + 3 * 7 + self.team as u64,
        )?;
        Ok(fold((rows * chunks).div_ceil(self.lanes / self.team)))
    }

    /// How many roundings of additions lie between any one exponential and its row's sum.
    pub fn depth(&self, cols: usize) -> usize {
        let tree = self.team.ilog2() as usize;
        let steps = self.chunk(cols).min(cols.div_ceil(4)).div_ceil(STEP * self.team);
        // Steps of a run, and runs.
        let in_lane = (steps.min(RUN) - 1) + (steps.div_ceil(RUN) - 1);
        let (chunks, run) = (self.chunks(cols), self.chunk_run(cols));
        let of_chunks = (run.min(chunks) - 1) + (chunks.div_ceil(run) - 1);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Issue 4's promise: 2e-6 in the worst case up to 65,536 values, whatever is chosen.
    #[test]
    fn every_choice_keeps_the_worst_case_below_two_millionths() {
        for class in [Class::Software, Class::Gpu] {
            for deterministic in [false, true] {
                for rows in [1, 8, 64, 1 << 20] {
                    for cols in (1..100).chain((100..=65_536).step_by(53)).chain([65_536]) {
                        let layout = Layout::choose(class, 256, (rows, cols), deterministic);
                        let bound = layout.error_bound(Algorithm::TwoPass, cols, 0.0);
                        assert!(layout.is_valid(cols), "{cols}: {layout:?}");
                        assert!(bound < 2e-6, "{rows} × {cols}: {bound:e} by {layout:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn deterministic_layouts_depend_on_the_length_alone() {
        for cols in [1, 64, 65, 4096, 4097, 2_000_003] {
            let of = |class, most, rows| Layout::choose(class, most, (rows, cols), true);
            let first = of(Class::Software, 256, 1);
            for other in
                [of(Class::Gpu, 256, 1), of(Class::Gpu, 1024, 70), of(Class::Software, 128, 500)]
            {
                assert_eq!((first.team, first.split), (other.team, other.split), "{cols}");
            }
        }
    }
}
