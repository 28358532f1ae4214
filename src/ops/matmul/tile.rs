//! How a multiplication is laid out over lanes.

use super::{X_BUFFER, X_DIRECT, X_MEMORY, X_QUAD, X_QUAD_STORED, X_SUBGROUP, X_TEXELS};
use crate::formats::FormatRef;
use crate::gpu::{Caps, Class, Fetch, Gpu, Sharing, Texel, Variant};
use crate::ops::Matrix;

/// Who loads values of x for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Share {
    /// Nobody: each lane reads for itself.
    Lane,
    /// Four lanes of a subgroup, for two rows of x at a time. Subgroups of at least 4 will do; the rest is
    /// as for eight.
    Quad,
    /// Eight lanes of a subgroup. It takes whole subgroups of at least 8 whose lanes are on the same
    /// row of x, so a `split` of 1 and `lanes` that are a multiple of the largest subgroup.
    Subgroup,
    /// The workgroup, by way of its memory.
    Workgroup,
}

/// Weights from which on a single row of x is worth a launch that stages it: where eight lanes share what they
/// read of x and of the gain, and where fewer or none do. (Where what computes x leaves it in texels, that
/// takes no launch: `reads_texels`.)
const STAGED: usize = 1 << 22;
const STAGED_UNSHARED: usize = 1 << 20;

/// Weights from which on sums wait in memory. The kernel takes half a second longer to compile, and for fewer
/// weights saves some milliseconds of a prompt.
pub const SUMS_STORED_FROM: usize = 1 << 18;

/// How the work is laid out over lanes; all values are powers of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tile {
    /// Lanes in a workgroup.
    pub lanes: usize,
    /// Lanes that share rows of W.
    pub split: usize,
    /// Neighbouring rows of W that a lane owns: 4 or 8.
    pub rows: usize,
    /// Rows of x that a lane owns: 1 to 16.
    pub m: usize,
    /// How lanes come by x.
    pub share: Share,
    /// Whether to multiply with the format's codes, where it has such, and scale once per chunk.
    pub codes: bool,
    /// Whether x is put into texels first, in a launch of its own ([`stage`](crate::ops::stage)).
    pub staged: bool,
}

impl Tile {
    /// What a launch on this device takes: what was measured there for such a shape, where it was
    /// ([`tune`](crate::tune)), else [`choose`](Self::choose).
    pub fn on(gpu: &Gpu, format: FormatRef, (n, k): (usize, usize), m: usize) -> Self {
        let tuned = gpu.tuning().and_then(|tuning| tuning.tile(format, (n, k), m));
        tuned.unwrap_or_else(|| Self::choose(gpu.caps(), format, (n, k), m))
    }

    /// Whether a device with these capabilities and limits can run it.
    pub fn is_legal(&self, caps: Caps, limits: &wgpu::Limits) -> bool {
        let Self { lanes, split, rows, m, share, .. } = *self;
        let most =
            limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x);
        let storage = limits.max_compute_workgroup_storage_size as usize;
        let fits = lanes.is_power_of_two() && lanes <= most as usize && self.memory() <= storage;
        let Sharing { lanes: whole, by_subgroup, by_quad } = caps.sharing();
        let whole = split == 1 && lanes % whole == 0;
        let shares = match share {
            Share::Lane | Share::Workgroup => true,
            Share::Quad => by_quad && whole,
            Share::Subgroup => by_subgroup && whole,
        };
        fits && split.is_power_of_two()
            && split <= lanes
            && [4, 8].contains(&rows)
            && [1, 2, 4, 8, 16].contains(&m)
            && shares
    }

    /// vec4s of x that a workgroup fetches at once.
    pub(super) fn fetched(&self) -> usize {
        match self.share {
            Share::Workgroup => 8 * self.split * self.m,
            _ => 0,
        }
    }

    /// Bytes of workgroup memory at most: a vec4 for each lane's sums, the values of x and their squares.
    fn memory(&self) -> usize {
        16 * self.lanes + 20 * self.fetched()
    }

    /// The default for this many rows of x on this kind of machine. A CPU wants a lane per row and
    /// no barriers; a GPU's GEMV wants its lanes along the rows, so that loads coalesce.
    pub fn choose(caps: Caps, format: FormatRef, (n, k): (usize, usize), m: usize) -> Self {
        let most = |tile_m: usize| m.next_power_of_two().min(tile_m);
        // Decoding once per row of W pays off from a few rows of x on.
        let (share, codes, staged) = (Share::Lane, m <= 4, false);
        let tile = Self { lanes: 64, split: 1, rows: 4, m: most(16), share, codes, staged };
        // Formats that are dear to decode are so in code, too: eight decoders of theirs in a kernel
        // take drivers seconds to compile.
        let wide = if format.has_codes() { 8 } else { 4 };
        match (caps.class, m) {
            (Class::Gpu, ..=8) => Self { split: 16, ..tile },
            (Class::Gpu, _) => Self { split: 4, ..tile },
            (Class::Software, _) => {
                let Sharing { lanes, by_subgroup, by_quad } = caps.sharing();
                let share = match (by_subgroup, by_quad) {
                    (true, _) => Share::Subgroup,
                    (false, true) => Share::Quad,
                    (false, false) => Share::Lane,
                };
                // Where few lanes share x, more rows of W for each load of it.
                let rows = if m == 1 || !by_subgroup { wide } else { 4 };
                // What it saves grows with the weights, and a launch costs as much for few of them.
                let least = if by_subgroup { STAGED } else { STAGED_UNSHARED };
                let staged = m > 1 || n.saturating_mul(k) >= least;
                // Sixteen rows of x take an eighth less than twice eight, if few of them are padding;
                // the kernel takes longer to compile.
                let tile_m = if by_subgroup && m >= 64 { 16 } else { 8 };
                Self { lanes, rows, m: most(tile_m), share, staged, ..tile }
            }
        }
    }

    /// Whether weights in this format are multiplied by their codes.
    pub fn uses_codes(&self, format: FormatRef) -> bool {
        self.codes && format.has_codes()
    }

    /// Rows of W in a workgroup.
    pub(super) fn group_rows(&self) -> usize {
        self.lanes / self.split * self.rows
    }

    /// Whether sums wait in memory from chunk to chunk: on SwiftShader, who shares x by quads, where they
    /// are many, a chunk is without branches (see [`writes_out`]), and there is enough to multiply.
    pub(super) fn stores_sums(&self, w: &Matrix) -> bool {
        let pays = w.rows.saturating_mul(w.cols) >= SUMS_STORED_FROM;
        self.share == Share::Quad && self.m >= 4 && w.format.has_codes() && pays
    }

    pub(super) fn variant(&self, w: &Matrix, fetch: Fetch) -> Variant {
        let part = match self.share {
            Share::Lane => X_DIRECT,
            Share::Quad if self.stores_sums(w) => X_QUAD_STORED,
            Share::Quad => X_QUAD,
            Share::Subgroup => X_SUBGROUP,
            Share::Workgroup => X_MEMORY,
        };
        let place = |variant: Variant| match self.staged {
            true => variant.with_texels(X_TEXELS, fetch, ("x", Texel::Float)),
            false => variant.with(&[X_BUFFER]),
        };
        let constants = [
            ("LANES", self.lanes as f64),
            ("SPLIT", self.split as f64),
            ("ROWS", self.rows as f64),
            ("TILE_M", self.m as f64),
        ];
        let variant = Variant::of(&constants).with(part);
        place(match self.share {
            Share::Workgroup => variant.and(&[("FETCHED", self.fetched() as f64)]),
            _ => variant,
        })
    }
}
