//! Multiplication with packed weights: y = x·Wᵀ (+ bias, + what y holds), with RMSNorm on the way in
//! and a gated activation on the way out.

use super::glu::{ACTIVATION, Activation};
use super::matrix::{IN_TEXELS, WORDS, decode_f64, has_tail};
use super::{EXTEXP, Matrix, check_loop, stage, stride};
use crate::error::{Error, Result};
use crate::formats::{self, CHUNK, FormatRef};
use crate::gpu::{
    Access, Bind, Binding, Bound, Buffer, Caps, Class, Fetch, Gpu, Grid, Op, Part, PlanBuilder,
    Sharing, Texel, Variant, params, part,
};

params! {
    packed:
    /// Rows of W in the shard.
    rows: u32,
    /// First of them in the whole tensor.
    first_row: u32,
    /// Rows of x and y.
    m: u32,
    /// First row of x.
    x_row: u32,
    /// vec4s from row to row of x.
    x_stride: u32,
    /// Floats from row to row of y.
    y_stride: u32,
    /// Where in a row of y the result begins.
    y_at: u32,
    /// K.
    cols: u32,
    /// What RMSNorm adds to the mean square.
    eps: f32,
}

/// The operation.
pub static OP: Op = Op {
    name: "matmul",
    parts: &[part!("ops/matmul.wgsl"), part!("lib/dot8.wgsl"), WAY_OUT, ACTIVATION, EXTEXP],
    formats: &[""],
    reduces: false,
    bindings: &[
        Binding { name: "weights", access: Access::Read },
        Binding { name: "x", access: Access::Read },
        Binding { name: "gain", access: Access::Read },
        Binding { name: "bias", access: Access::Read },
        Binding { name: "y", access: Access::Write },
    ],
    params: Params::INFO,
};

/// How sums go out, of this multiplication and of the one in bytes.
pub(super) const WAY_OUT: Part = part!("lib/way_out.wgsl");

/// How lanes come by their values of x, and how their sums go from chunk to chunk.
const X_DIRECT: &[Part] = &[SUMS_CARRIED, X_EACH, X_ALONE, X_APART, part!("lib/x_direct.wgsl")];
const X_MEMORY: &[Part] = &[SUMS_CARRIED, X_EACH, X_ALONE, X_APART, part!("lib/x_memory.wgsl")];
const X_SUBGROUP: &[Part] = &[SUMS_CARRIED, X_EACH, X_TOGETHER, part!("lib/x_subgroup.wgsl")];
const X_QUAD: &[Part] = &[SUMS_CARRIED, X_ALONE, X_TOGETHER, BY_QUAD];
const X_QUAD_STORED: &[Part] = &[SUMS_STORED, X_ALONE, X_TOGETHER, BY_QUAD];
const BY_QUAD: Part = part!("lib/x_quad.wgsl");
const X_EACH: Part = part!("lib/x_each.wgsl");
const X_ALONE: Part = part!("lib/x_alone.wgsl");
const X_APART: Part = part!("lib/x_apart.wgsl");
const X_TOGETHER: Part = part!("lib/x_together.wgsl");
const SUMS_CARRIED: Part = part!("lib/sums_carried.wgsl");
const SUMS_STORED: Part = part!("lib/sums_stored.wgsl");

/// Where x is.
const X_BUFFER: Part = part!("lib/x_buffer.wgsl");
const X_TEXELS: [Part; 3] =
    [part!("lib/x_sampled.wgsl"), part!("lib/x_nearest.wgsl"), part!("lib/x_stored.wgsl")];

/// The parts that variants of the operation choose, for a test of them all: x may be in a buffer
/// wherever the weights are, and is in texels where they are.
pub fn part_lists(caps: Caps) -> Vec<Vec<Part>> {
    let subgroup = caps.subgroups.then_some([X_QUAD, X_QUAD_STORED, X_SUBGROUP]);
    let ways = [X_DIRECT, X_MEMORY].into_iter().chain(subgroup.into_iter().flatten());
    let texels = X_TEXELS.into_iter().zip(IN_TEXELS).map(|(x, words)| [x, words]);
    let places = WORDS.map(|words| [X_BUFFER, words]).into_iter().chain(texels);
    ways.flat_map(|way| places.clone().map(move |place| [way, &place[..]].concat())).collect()
}

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

/// Weights from which on a single row of x is staged, too: where eight lanes share what they read of x and of
/// the gain, and where fewer or none do.
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
    /// Whether x is put into texels first, in a launch of its own ([`stage`]).
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
    fn fetched(&self) -> usize {
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
    fn group_rows(&self) -> usize {
        self.lanes / self.split * self.rows
    }

    /// Whether sums wait in memory from chunk to chunk: on SwiftShader, who shares x by quads, where they
    /// are many, a chunk is without branches (see [`writes_out`]), and there is enough to multiply.
    fn stores_sums(&self, w: &Matrix) -> bool {
        let pays = w.rows.saturating_mul(w.cols) >= SUMS_STORED_FROM;
        self.share == Share::Quad && self.m >= 4 && w.format.has_codes() && pays
    }

    fn variant(&self, w: &Matrix, fetch: Fetch) -> Variant {
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

/// The grid for `rows` rows of W and `m` rows of x, K being `chunks` chunks.
///
/// # Errors
/// [`Error::Limit`] for a K so large that an invocation would loop too long.
pub fn workgroups(tile: &Tile, chunks: usize, rows: usize, m: usize) -> Result<Grid> {
    // A chunk, its four eights and what its lane fetches of x; in the end a round for each row of x, with
    // four values, and the others' sums, for each four rows of W, and those of its squares.
    let each = tile.rows / 4;
    let reduce = tile.m * (1 + 4 * each + (each + 1) * tile.split);
    let fetches = tile.fetched().div_ceil(tile.lanes);
    check_loop("matmul", (chunks.div_ceil(tile.split) * (1 + 4 + fetches) + reduce) as u64)?;
    Ok([rows.div_ceil(tile.group_rows()) as u32, m.div_ceil(tile.m) as u32, 1])
}

/// Whether RMSNorm on the way in costs less than a launch of its own: every workgroup does it again,
/// which doubles the loads of x. Where x is staged, it is done there.
pub fn norms_cheaply(caps: Caps, m: usize) -> bool {
    m <= 8 || caps.class == Class::Software
}

/// Where the result of a multiplication goes.
#[derive(Debug, Clone, Copy)]
pub struct Output<'a> {
    /// The buffer.
    pub y: &'a Buffer,
    /// Floats from row to row.
    pub stride: usize,
    /// Where in a row the result begins.
    pub at: usize,
    /// Whether it is added to what is there.
    pub accumulate: bool,
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

/// Records y = x·Wᵀ for `m` rows of x from row `x_row` on, rows [`stride`] of K floats apart.
///
/// # Errors
/// As [`workgroups`].
pub fn record(
    plan: &mut PlanBuilder,
    w: &Matrix,
    x: (&Buffer, usize, usize),
    bias: Option<&Buffer>,
    out: Output<'_>,
) -> Result<()> {
    record_fused(plan, w, x, Fused { bias, ..Fused::default() }, out)
}

/// The same with more on the way in and out.
///
/// # Errors
/// As [`workgroups`].
pub fn record_fused(
    plan: &mut PlanBuilder,
    w: &Matrix,
    x: (&Buffer, usize, usize),
    fused: Fused<'_>,
    out: Output<'_>,
) -> Result<()> {
    let tile = Tile::on(plan.gpu(), w.format, (w.rows, w.cols), x.2);
    record_tiled(plan, tile, w, x, fused, out)
}

/// The same with a tile of one's own choice.
///
/// # Errors
/// As [`workgroups`]; [`Error::Shape`] for gates without their ups.
pub fn record_tiled(
    plan: &mut PlanBuilder,
    tile: Tile,
    w: &Matrix,
    (x, x_row, m): (&Buffer, usize, usize),
    fused: Fused<'_>,
    out: Output<'_>,
) -> Result<()> {
    check_gates("matmul", w, fused.glu)?;
    let staged = tile.staged && stage::fits(plan.gpu(), m, w.cols);
    if staged {
        let to = plan.scratch(stage::texels(m, w.cols));
        stage::record(plan, (x, x_row, m), w.cols, fused.norm, &to)?;
    }
    let tile = Tile { staged, ..tile };
    let (norm, x_row) = if staged { (None, 0) } else { (fused.norm, x_row) };
    let caps = plan.gpu().caps();
    let variant = variant((&tile, caps), w, Fused { norm, ..fused }, out.accumulate);
    let (gain, eps) = norm.unwrap_or((x, 0.0));
    let from: &dyn Bind = if staged { &Bound::Scratch } else { x };
    for shard in &w.shards {
        let params = Params {
            rows: shard.layout.rows as u32,
            first_row: shard.first_row as u32,
            m: m as u32,
            x_row: x_row as u32,
            x_stride: stride(w.cols) as u32 / 4,
            y_stride: out.stride as u32,
            y_at: out.at as u32,
            cols: w.cols as u32,
            eps,
            ..Params::of(shard)
        };
        let grid = workgroups(&tile, shard.layout.chunks, shard.layout.rows, m)?;
        let buffers: [&dyn Bind; 5] = [&shard.words, from, gain, fused.bias.unwrap_or(x), out.y];
        plan.dispatch(&OP, shard.words.read_by(variant.clone()), &params, &buffers, grid)?;
    }
    Ok(())
}

fn variant((tile, caps): (&Tile, Caps), w: &Matrix, fused: Fused<'_>, accumulate: bool) -> Variant {
    let normed = fused.norm.is_some();
    let constants = [
        ("TAIL", flag(has_tail(w.cols))),
        ("CODES", flag(tile.uses_codes(w.format))),
        ("WRITTEN_OUT", flag(writes_out(tile, caps, w))),
        ("AT_HEAD", flag(caps.class == Class::Gpu || caps.fetch == Fetch::Nearest)),
        ("NORM", flag(normed)),
        // As many rows as a lane owns lie side by side in memory.
        ("NEIGHBOURS", if w.tile.is_multiple_of(tile.rows) { tile.rows as f64 } else { 1.0 }),
    ];
    let variant = tile.variant(w, caps.fetch).and(&constants);
    let squares = tile.fetched().max(1) as f64;
    let squared = normed && tile.share == Share::Workgroup;
    let variant = if squared { variant.and(&[("SQUARES", squares)]) } else { variant };
    way_out(variant, w, (fused.bias, fused.glu), accumulate).packed(w.format)
}

/// The constants of `lib/way_out.wgsl`, and of packed weights.
pub(super) fn way_out(
    variant: Variant,
    w: &Matrix,
    (bias, glu): (Option<&Buffer>, Option<Activation>),
    accumulate: bool,
) -> Variant {
    variant.and(&[
        ("BIAS", flag(bias.is_some())),
        ("GLU", flag(glu.is_some())),
        ("ACT", flag(glu == Some(Activation::Gelu))),
        ("ACCUMULATE", flag(accumulate)),
        ("ROW_TILE", w.tile as f64),
        ("EXACT", 0.0),
    ])
}

/// Whether a loop over eights is worth writing out: on lavapipe for a row of x, on SwiftShader where sums wait
/// in memory, so that no branch carries them. A GPU's compiler sees to it; four times a decoder that is long
/// takes a minute to compile.
fn writes_out(tile: &Tile, caps: Caps, w: &Matrix) -> bool {
    let one = tile.m == 1 && caps.class == Class::Software && caps.fetch == Fetch::Stored;
    (one && w.format.has_codes()) || tile.stores_sums(w)
}

fn flag(on: bool) -> f64 {
    f64::from(u8::from(on))
}

/// Gates and ups are as many as each other.
pub(super) fn check_gates(op: &'static str, w: &Matrix, glu: Option<Activation>) -> Result<()> {
    if glu.is_none() || w.rows.is_multiple_of(2) {
        return Ok(());
    }
    let (expected, got) = ("a row of gates for each of ups".into(), format!("{} rows", w.rows));
    Err(Error::Shape { op, expected, got })
}

/// x·Wᵀ of host slices: x is rows of K floats, `blocks` is N rows of whole blocks of K weights;
/// the result is rows of N floats.
///
/// # Errors
/// [`Error::Shape`] where the slices disagree; what the device says.
pub async fn matmul(
    gpu: &Gpu,
    format: FormatRef,
    blocks: &[u8],
    (n, k): (usize, usize),
    x: &[f32],
) -> Result<Vec<f32>> {
    let m = super::rows_of("matmul", x.len(), k)?;
    matmul_tiled(gpu, Tile::on(gpu, format, (n, k), m), format, blocks, (n, k), x).await
}

/// The same with a tile of one's own choice.
///
/// # Errors
/// As [`matmul`].
pub async fn matmul_tiled(
    gpu: &Gpu,
    tile: Tile,
    format: FormatRef,
    blocks: &[u8],
    (n, k): (usize, usize),
    x: &[f32],
) -> Result<Vec<f32>> {
    let m = super::rows_of("matmul", x.len(), k)?;
    if m == 0 {
        return Ok(Vec::new());
    }
    let w = Matrix::upload(gpu, "weights", format, (n, k), blocks).await?;
    let x = Buffer::from_slice(gpu, "x", &super::with_padding(x, k)).await?;
    let y = Buffer::new(gpu, "y", m * n).await?;
    let mut plan = PlanBuilder::new(gpu, "matmul");
    let out = Output { y: &y, stride: n, at: 0, accumulate: false };
    record_tiled(&mut plan, tile, &w, (&x, 0, m), Fused::default(), out)?;
    plan.run().await?;
    y.read(0, m * n).await
}

/// The same in f64 over the decoded weights, with Σ|x·w| beside each result, which bounds the error
/// of any order of summation.
///
/// # Errors
/// [`Error::Shape`] where `blocks` are not N rows of K weights.
pub fn reference(
    format: FormatRef,
    blocks: &[u8],
    shape: (usize, usize),
    x: &[f32],
) -> Result<Vec<(f64, f64)>> {
    reference_by(format, blocks, shape, x, false)
}

/// The same, where the multiplication is by codes with Σ|x|·(|w| + 2·|o|) beside each result, o being
/// the weight's offset ([`Format::offset`](formats::Format::offset)): scale and offset are then taken
/// out of the sum, and the size of its terms is |w − o| + |o|, which is no more.
///
/// # Errors
/// As [`reference()`].
pub fn reference_by(
    format: FormatRef,
    blocks: &[u8],
    (n, k): (usize, usize),
    x: &[f32],
    codes: bool,
) -> Result<Vec<(f64, f64)>> {
    super::rows_of("matmul", x.len(), k)?;
    let w = decode_f64(format, blocks, (n, k))?;
    let offsets = formats::offsets(format, blocks, k);
    let offset = |o: f32| if codes { 2.0 * f64::from(o).abs() } else { 0.0 };
    let cell = |(w, o): (&[f64], &[f32]), x: &[f32]| {
        let mut sums = (0.0, 0.0);
        for ((w, x), i) in w.iter().zip(x).zip(0..) {
            let x = f64::from(*x);
            sums.0 += w * x;
            sums.1 += (w.abs() + offset(o[i / CHUNK])) * x.abs();
        }
        sums
    };
    let row = |x| {
        let rows = w.chunks_exact(k).zip(offsets.chunks_exact(k.div_ceil(CHUNK)));
        rows.map(move |row| cell(row, x))
    };
    Ok(x.chunks_exact(k).flat_map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn no_lane_loops_past_the_drivers_limit() {
        for caps in [Class::Software, Class::Gpu].map(Caps::plain) {
            for m in 1..=16 {
                let tile = Tile::choose(caps, formats::F32, (64, 64), m);
                assert!(workgroups(&tile, 28_672 / 32, 1, m).is_ok(), "{caps:?} {m}");
            }
        }
        let tile = Tile::choose(Caps::plain(Class::Software), formats::F32, (64, 64), 16);
        assert!(matches!(workgroups(&tile, 40_000, 1, 16), Err(Error::Limit { .. })));
    }
}
