//! Multiplication with packed weights: y = x·Wᵀ (+ bias, + what y holds), with RMSNorm on the way in
//! and a gated activation on the way out.

mod operands;
mod texels;
mod tile;

pub use operands::{Fused, Input, Output, To};
use texels::scaled_stride;
pub use texels::{Squares, leaves_scaled, leaves_texels, reads_scaled, reads_texels};
pub use tile::{SUMS_STORED_FROM, Share, Tile};

use super::glu::{ACTIVATION, Activation};
use super::matrix::{IN_TEXELS, WORDS, decode_f64, has_tail};
use super::stage::{self, Place, Y_TEXELS};
use super::{EXTEXP, Matrix, check_loop};
use crate::error::{Error, Result};
use crate::formats::{self, CHUNK, FormatRef};
use crate::gpu::{
    Access, Bind, Binding, Bound, Buffer, Caps, Class, Fetch, Gpu, Grid, Op, Part, PlanBuilder,
    Slot, Texel, Variant, params, part,
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
    /// Sums of squares behind a row of x.
    parts: u32,
    /// Texels from row to row of what is left for the next norm.
    scaled_stride: u32,
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
        Binding { name: "y", access: Access::Write },
        Binding { name: "gain", access: Access::Read },
        Binding { name: "bias", access: Access::Read },
        Binding { name: "scaled", access: Access::MaybeTexels(Texel::Float) },
    ],
    params: Params::INFO,
};

/// How sums go out, of this multiplication and of the one in bytes, and where to.
pub(super) const WAY_OUT: Part = part!("lib/way_out.wgsl");
pub(super) const Y_BUFFER: Part = part!("lib/y_buffer.wgsl");
pub(super) const TO_BUFFER: Part = part!("lib/to_buffer.wgsl");
const SCALED_TEXELS: Part = part!("lib/scaled_texels.wgsl");
const SQUARES_APART: Part = part!("lib/squares_apart.wgsl");
const SQUARES_TOGETHER: Part = part!("lib/squares_together.wgsl");
const GATES_TO_TEXELS: Part = part!("lib/gates_to_texels.wgsl");

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
/// wherever the weights are, and is in texels where they are. There y may be, too.
pub fn part_lists(caps: Caps) -> Vec<Vec<Part>> {
    let apart = [X_DIRECT, X_MEMORY].map(|way| (way, SQUARES_APART));
    let together = [X_QUAD, X_QUAD_STORED, X_SUBGROUP].map(|way| (way, SQUARES_TOGETHER));
    let ways = apart.into_iter().chain(together.into_iter().filter(|_| caps.subgroups));
    let texels = X_TEXELS.into_iter().zip(IN_TEXELS).map(|(x, words)| [x, words]);
    let places = WORDS.map(|words| [X_BUFFER, words]).into_iter().chain(texels.clone());
    let to_buffer = ways.clone().flat_map(|(way, _)| {
        places.clone().map(move |place| [way, &place, &[Y_BUFFER, TO_BUFFER]].concat())
    });
    let gates: &[Part] = &[Y_TEXELS, GATES_TO_TEXELS];
    let gates = texels.clone().map(|place| [X_DIRECT, &place, gates].concat());
    // Sums are stored for many rows of x, and scaled for one.
    let scaled = ways.filter(|(way, _)| *way != X_QUAD_STORED).flat_map(|(way, squares)| {
        let to = [Y_BUFFER, SCALED_TEXELS, squares];
        texels.clone().map(move |place| [way, &place, &to].concat())
    });
    to_buffer.chain(gates).chain(scaled).collect()
}

/// The grid for `rows` rows of W and `m` rows of x, K being `chunks` chunks.
///
/// # Errors
/// [`Error::Limit`] for a K so large that an invocation would loop too long.
pub fn workgroups(tile: &Tile, chunks: usize, rows: usize, m: usize) -> Result<Grid> {
    check_loop("matmul", loops(tile, chunks) as u64)?;
    Ok([rows.div_ceil(tile.group_rows()) as u32, m.div_ceil(tile.m) as u32, 1])
}

/// Rounds of all loops of a lane: a chunk, its four eights and what its lane fetches of x; in the end one for
/// each row of x, with four values, and the others' sums, for each four rows of W, and those of its squares.
fn loops(tile: &Tile, chunks: usize) -> usize {
    let each = tile.rows / 4;
    let reduce = tile.m * (1 + 4 * each + (each + 1) * tile.split);
    let fetches = tile.fetched().div_ceil(tile.lanes);
    chunks.div_ceil(tile.split) * (1 + 4 + fetches) + reduce
}

/// Refuses sums of squares that are too many to be added beside that: `parts` behind each row of x, and what
/// the lanes of a workgroup leave, if they do ([`To::Scaled`]).
///
/// # Errors
/// [`Error::Limit`] where an invocation would loop too long.
pub fn check_squares(tile: &Tile, chunks: usize, parts: usize, leaves: bool) -> Result<()> {
    let left = if leaves { tile.lanes } else { 0 };
    check_loop("matmul", (loops(tile, chunks) + tile.m * parts + left) as u64)
}

/// How lanes that share x so add up squares of y.
fn squares_part(share: Share) -> Part {
    match share {
        Share::Lane | Share::Workgroup => SQUARES_APART,
        Share::Quad | Share::Subgroup => SQUARES_TOGETHER,
    }
}

/// Whether RMSNorm on the way in costs less than a launch of its own: every workgroup does it again,
/// which doubles the loads of x. Where x is staged, it is done there.
pub fn norms_cheaply(caps: Caps, m: usize) -> bool {
    m <= 8 || caps.class == Class::Software
}

/// Records y = x·Wᵀ for `m` rows of x from row `x_row` on, rows [`stride`](super::stride) of K floats apart.
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

/// The same with a tile, and places of x and y, of one's own choice.
///
/// # Errors
/// As [`workgroups`]; [`Error::Shape`] for gates without their ups, for texels that the tile cannot leave
/// ([`leaves_texels`]), and for too few of them.
pub fn record_tiled<'a>(
    plan: &mut PlanBuilder,
    tile: Tile,
    w: &Matrix,
    x: impl Into<Input<'a>>,
    fused: Fused<'_>,
    to: impl Into<To<'a>>,
) -> Result<()> {
    record_placed(plan, tile, w, x.into(), fused, to.into())
}

fn record_placed(
    plan: &mut PlanBuilder,
    tile: Tile,
    w: &Matrix,
    x: Input<'_>,
    fused: Fused<'_>,
    to: To<'_>,
) -> Result<()> {
    check_gates("matmul", w, fused.glu)?;
    texels::check(&tile, w, &x, &fused, &to)?;
    let (x, norm) = stage_x(plan, &tile, w, x, fused.norm)?;
    let tile = Tile { staged: !matches!(x, Input::Buffer(..)), ..tile };
    let (squares, left) = (x.squares(), Squares::left_by(&tile, w, 0.0));
    let parts = squares.map_or(0, |squares| squares.parts);
    let variant = variant((&tile, plan.gpu().caps()), w, &x, Fused { norm, ..fused }, &to);
    let nothing = Bound::Nothing;
    let given = |buffer: Option<&Buffer>| buffer.map_or(nothing.clone(), Bind::bound);
    let gain = norm.map(|(gain, _)| gain).or(to.scaled().map(|(gain, _)| gain));
    let (gain, bias) = (given(gain), given(fused.bias));
    let scaled = to.scaled().map_or(Bound::Nothing, |(_, texels)| texels.bound());
    let (from, y) = (x.bound(), to.bound());
    let (y_stride, y_at) = to.rows(w);
    for shard in &w.shards {
        let params = Params {
            rows: shard.layout.rows as u32,
            first_row: shard.first_row as u32,
            m: x.rows() as u32,
            x_row: x.first() as u32,
            x_stride: x.stride(w.cols) as u32,
            y_stride: y_stride as u32,
            y_at: y_at as u32,
            cols: w.cols as u32,
            eps: norm.map(|(_, eps)| eps).or(squares.map(|squares| squares.eps)).unwrap_or(0.0),
            parts: parts as u32,
            scaled_stride: scaled_stride(w.rows, left.parts) as u32,
            ..Params::of(shard)
        };
        check_squares(&tile, shard.layout.chunks, parts, to.scaled().is_some())?;
        let grid = workgroups(&tile, shard.layout.chunks, shard.layout.rows, x.rows())?;
        let bound: [&dyn Bind; 6] = [&shard.words, &from, &y, &gain, &bias, &scaled];
        plan.dispatch(&OP, shard.words.read_by(variant.clone()), &params, &bound, grid)?;
    }
    Ok(())
}

/// x where the tile wants it, and the norm that is left to be done: staging does it.
fn stage_x<'a, 'b>(
    plan: &mut PlanBuilder,
    tile: &Tile,
    w: &Matrix,
    x: Input<'a>,
    norm: Option<(&'b Buffer, f32)>,
) -> Result<(Input<'a>, Option<(&'b Buffer, f32)>)> {
    let Input::Buffer(buffer, first, m) = x else { return Ok((x, norm)) };
    if !tile.staged || !stage::fits(plan.gpu(), m, w.cols) {
        return Ok((x, norm));
    }
    plan.scratch(Slot::STAGED, stage::texels(m, w.cols));
    stage::record(plan, (buffer, first, m), w.cols, norm, &Slot::STAGED)?;
    let normed = Input::Scaled(&Slot::STAGED, m, Squares::NORMED);
    Ok((if norm.is_some() { normed } else { Input::Texels(&Slot::STAGED, m) }, None))
}

fn variant(
    (tile, caps): (&Tile, Caps),
    w: &Matrix,
    x: &Input<'_>,
    fused: Fused<'_>,
    to: &To<'_>,
) -> Variant {
    let normed = fused.norm.is_some();
    let constants = [
        ("TAIL", flag(has_tail(w.cols))),
        ("CODES", flag(tile.uses_codes(w.format))),
        ("WRITTEN_OUT", flag(writes_out(tile, caps, w))),
        ("AT_HEAD", flag(caps.class == Class::Gpu || caps.fetch == Fetch::Nearest)),
        ("NORM", flag(normed)),
        ("SCALED", flag(finishes_norm(tile, x))),
        // As many rows as a lane owns lie side by side in memory.
        ("NEIGHBOURS", if w.tile.is_multiple_of(tile.rows) { tile.rows as f64 } else { 1.0 }),
    ];
    let variant = tile.variant(w, caps.fetch).and(&constants);
    let squares = tile.fetched().max(1) as f64;
    let squared = normed && tile.share == Share::Workgroup;
    let variant = if squared { variant.and(&[("SQUARES", squares)]) } else { variant };
    let variant = match to {
        To::Buffer(_) => variant.with(&[Y_BUFFER, TO_BUFFER]),
        To::Texels(_) => Place::in_texels(variant).with(&[GATES_TO_TEXELS]),
        To::Scaled(..) => variant
            .with_texels([SCALED_TEXELS; 3], Fetch::Stored, ("scaled", Texel::Float))
            .with(&[Y_BUFFER, squares_part(tile.share)]),
    };
    way_out(variant, w, (fused.bias, fused.glu), to.accumulates()).packed(w.format)
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

/// Whether a norm is left for the kernel to finish. Of one row of x it is the same kernel where there is none:
/// a model's first layer takes that of the others.
fn finishes_norm(tile: &Tile, x: &Input<'_>) -> bool {
    x.squares().is_some_and(|squares| tile.m == 1 || squares != Squares::NORMED)
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
