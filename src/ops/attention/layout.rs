//! How attention is laid out over lanes and workgroups.

use crate::error::{Error, Result};
use crate::gpu::{Caps, Class, Gpu, Grid};
use crate::ops::kv::KvShape;
use crate::ops::{MAX_LOOP, check_loop};

/// The largest head: an eighth of it is a lane's, and a workgroup has 64 lanes at the most.
pub(super) const MAX_HEAD: usize = 512;

/// Queries of a workgroup at most, as in the WGSL.
const MAX_QUERIES: usize = 8;

/// Which lanes take what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// Lanes of a workgroup: each scores four positions of a tile.
    pub lanes: usize,
    /// Queries of a workgroup, 1 to 8; they share a head of keys.
    pub queries: usize,
    /// Parts that a context is cut into, each a workgroup's.
    pub splits: usize,
}

/// Lanes that a workgroup of this device may have.
pub(super) fn most_lanes(gpu: &Gpu) -> usize {
    let limits = gpu.limits();
    limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x) as usize
}

impl Tile {
    /// The default on this device: see [`choose`](Self::choose).
    ///
    /// # Errors
    /// As [`workgroups`](Self::workgroups).
    pub fn on(gpu: &Gpu, queries: (usize, usize), kv: KvShape) -> Result<Self> {
        Self::choose(gpu.caps(), most_lanes(gpu), queries, kv)
    }

    /// The default for so many sequences, each with so many queries for a head of keys, on this kind
    /// of machine, whose workgroups may have `most` lanes.
    ///
    /// # Errors
    /// As [`workgroups`](Self::workgroups).
    pub fn choose(
        caps: Caps,
        most: usize,
        (sequences, queries): (usize, usize),
        kv: KvShape,
    ) -> Result<Self> {
        let slices = kv.head_dim.div_ceil(8);
        // A barrier is dear on a CPU: its workgroups are as narrow as the head and subgroups allow.
        let (least, busy) = match caps.class {
            Class::Software => (caps.sharing().lanes, 4),
            Class::Gpu => (64, 256),
        };
        let lanes = slices.next_power_of_two().max(least).min(most);
        let queries_each = queries.clamp(1, MAX_QUERIES);
        let groups = sequences.max(1) * queries.div_ceil(queries_each).max(1) * kv.heads;
        let tiles = kv.positions.div_ceil(4 * lanes).max(1);
        let tile = Self { lanes, queries: queries_each, splits: 1 };
        // As many as keep the machine busy, and as many as the loop limit demands.
        let wanted = (busy / groups).clamp(1, tiles);
        let allowed = MAX_LOOP.saturating_sub(tile.fixed_loops(kv)) / tile.tile_loops(kv);
        let needed = tiles.div_ceil(allowed.max(1) as usize);
        let tile = Self { splits: wanted.max(needed), ..tile };
        tile.workgroups((sequences, queries), kv)?;
        Ok(tile)
    }

    /// The grid: tiles of queries, sequence by sequence; heads of keys; splits.
    ///
    /// # Errors
    /// [`Error::Limit`] for a context that an invocation may not loop over.
    pub fn workgroups(&self, (sequences, queries): (usize, usize), kv: KvShape) -> Result<Grid> {
        let tiles = kv.positions.div_ceil(4 * self.lanes).div_ceil(self.splits) as u64;
        let loops = tiles.saturating_mul(self.tile_loops(kv)).saturating_add(self.fixed_loops(kv));
        check_loop("attention over the context", loops)?;
        let tiles = sequences * queries.div_ceil(self.queries);
        Ok([tiles as u32, kv.heads as u32, self.splits as u32])
    }

    /// Iterations of a lane for a tile of positions: itself, each chunk, its eights, a team's share of
    /// the values. Queries are written out.
    fn tile_loops(&self, kv: KvShape) -> u64 {
        let slices = kv.head_dim.div_ceil(8);
        let values = self.lanes.div_ceil(self.teams(kv).max(1));
        // A split may begin in the middle of the first tile that it sees, so one more counts half.
        (1 + slices.div_ceil(4) + slices + values) as u64
    }

    /// Before and after: each query's sums of the other teams.
    fn fixed_loops(&self, kv: KvShape) -> u64 {
        // One tile more: a window's first tile is not whole.
        (self.queries * self.teams(kv)) as u64 + self.tile_loops(kv)
    }

    fn teams(&self, kv: KvShape) -> usize {
        self.lanes / kv.head_dim.div_ceil(8).max(1)
    }

    /// Whether the kernel can run it.
    pub(super) fn check(&self, most: usize, kv: KvShape) -> Result<()> {
        let lanes = (1..=most).contains(&self.lanes) && self.teams(kv) >= 1;
        let queries = (1..=MAX_QUERIES).contains(&self.queries) && self.queries <= self.lanes;
        if lanes && queries && self.splits >= 1 {
            return Ok(());
        }
        Err(Error::Shape {
            op: "attention",
            expected: format!("a tile for heads of {} and at most {most} lanes", kv.head_dim),
            got: format!("{self:?}"),
        })
    }

    /// The kernel's constants.
    pub(super) fn constants(&self, head_dim: usize) -> [(&'static str, f64); 5] {
        [
            ("LANES", self.lanes as f64),
            ("TILE_Q", self.queries as f64),
            ("SLICES", head_dim.div_ceil(8) as f64),
            ("HALF_SLICE", f64::from(u8::from(!head_dim.is_multiple_of(8)))),
            ("SCRATCH", (self.lanes * self.queries.max(3)) as f64),
        ]
    }
}
