//! Attention with grouped heads over a KV cache in any format, on (mantissa, exponent) pairs.
//!
//! z_j = scale·q·k_j, capped where asked for (cap·tanh(z/cap)), plus slope·(j − place) (ALiBi, Press
//! et al., arXiv 2108.12409) or slope·mask_j; y = Σ exp(z_j)·v_j / (Σ exp(z_j) + exp(sink)). A query
//! that sees nothing gets zeros; one that sees a NaN or +inf among its logits gets NaN.
//!
//! A step may have rows of several sequences, as many of each; each sees the positions of the cache
//! that are its own ([`Span`](super::Span)).
//!
//! The scores never leave a workgroup, so a chunk of a prompt takes memory for its queries alone. A
//! long context is split over workgroups where rows are few; [`attention_combine`] then adds up.

mod layout;
mod reference;

pub use layout::Tile;
pub use reference::{Seen, reference};

use super::attention_combine::{self, FINISH};
use super::kv::{Kv, KvShape};
use super::stage::{Place, Y_TEXELS, Y_VEC4S};
use super::{EXTEXP, MAX_SEQUENCES, STEP};
use crate::error::{Error, Result};
use crate::gpu::{
    Access, Bind, Binding, Buffer, Caps, Class, Gpu, Op, Part, PlanBuilder, Sharing, Variant,
    params, part,
};

params! {
    /// Chunks of a row of keys.
    k_chunks: u32,
    /// First word of the keys' plane 1.
    k_plane1: u32,
    /// First word of the keys' plane 2.
    k_plane2: u32,
    /// Chunks of a row of values.
    v_chunks: u32,
    /// First word of the values' plane 1.
    v_plane1: u32,
    /// First word of the values' plane 2.
    v_plane2: u32,
    /// vec4s in a head.
    width: u32,
    /// Query heads that share a head of keys and values.
    group: u32,
    /// Query heads.
    heads: u32,
    /// Rows of queries of a sequence.
    rows: u32,
    /// Rows of the cache for each of its heads.
    context: u32,
    /// vec4s from row to row of q.
    q_stride: u32,
    /// vec4s from row to row of y.
    y_stride: u32,
    /// Floats from row to row of the mask.
    mask_stride: u32,
    /// Rows of the mask.
    mask_rows: u32,
    /// Parts that the context is cut into.
    splits: u32,
    /// Positions that a row sees, its own included, where WINDOW is on.
    window: u32,
    /// Multiplies every product.
    scale: f32,
    /// The cap, where SOFT_CAP is on.
    soft_cap: f32,
}

/// The operation.
pub static OP: Op = Op {
    name: "attention",
    parts: &[
        part!("ops/attention.wgsl"),
        EXTEXP,
        STEP,
        FINISH,
        part!("lib/dot8.wgsl"),
        part!("lib/kv_layout.wgsl"),
    ],
    formats: &["k_", "v_"],
    reduces: false,
    bindings: &[
        Binding { name: "step", access: Access::Uniform },
        Binding { name: "q", access: Access::Read },
        Binding { name: "y", access: Access::Write },
        Binding { name: "k", access: Access::Read },
        Binding { name: "v", access: Access::Read },
        Binding { name: "mask", access: Access::Read },
        Binding { name: "of_heads", access: Access::Read },
    ],
    params: Params::INFO,
};

/// Queries by way of the subgroup, and without.
const Q_SUBGROUP: Part = part!("lib/q_subgroup.wgsl");
const Q_DIRECT: Part = part!("lib/q_direct.wgsl");

/// What lanes tell each other of a tile by way of the subgroup, and without.
const TILE_SUBGROUP: Part = part!("lib/tile_subgroup.wgsl");
const TILE_MEMORY: Part = part!("lib/tile_memory.wgsl");

/// What is done for each query; behind the formats, for `link_parts`'s reason.
const QUAD: Part = part!("lib/attention_quad.wgsl");

/// The parts that variants of the operation choose, for a test of them all.
pub fn part_lists(caps: Caps) -> Vec<Vec<Part>> {
    let mut lists = vec![vec![Q_DIRECT, TILE_MEMORY, QUAD, Y_VEC4S]];
    lists.push(vec![Q_DIRECT, TILE_MEMORY, QUAD, Y_TEXELS]);
    if caps.subgroups {
        let by_subgroup = |tile| vec![Q_SUBGROUP, tile, QUAD, Y_VEC4S];
        lists.extend([TILE_MEMORY, TILE_SUBGROUP].map(by_subgroup));
    }
    lists
}

/// What a device with these capabilities chooses of them for workgroups of so many lanes. On a GPU a
/// barrier is cheap, and a load that lanes agree on is one.
fn parts(caps: Caps, lanes: usize) -> [Part; 3] {
    let Sharing { lanes: whole, by_subgroup, .. } = caps.sharing();
    if caps.class == Class::Gpu || !by_subgroup || !lanes.is_multiple_of(whole) {
        return [Q_DIRECT, TILE_MEMORY, QUAD];
    }
    let one = caps.even_subgroups && lanes == whole;
    [Q_SUBGROUP, if one { TILE_SUBGROUP } else { TILE_MEMORY }, QUAD]
}

/// What is computed.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Multiplies every q·k; finite.
    pub scale: f32,
    /// Whether row i sees positions up to position + i only; otherwise all up to position + rows.
    pub causal: bool,
    /// Positions that a row sees, its own included, where they are fewer than all before it.
    pub window: Option<usize>,
    /// cap·tanh(z / cap) on scores, for a cap above 0.
    pub soft_cap: Option<f32>,
    /// A slope for each head: multiplies the mask, or else the distance j − place (ALiBi).
    pub slopes: Option<Vec<f32>>,
    /// A logit for each head that joins its sum and has no value.
    pub sinks: Option<Vec<f32>>,
    /// Rows of the mask, if there is one, and floats from row to row: row i adds its row i mod
    /// `mask_rows`, which has a value for each position of the cache that may be seen.
    pub mask: Option<(usize, usize)>,
    /// A layout of one's own choice.
    pub tile: Option<Tile>,
}

impl Options {
    /// Causal attention with this scale.
    pub fn causal(scale: f32) -> Self {
        let (window, soft_cap, slopes, sinks, mask, tile) = (None, None, None, None, None, None);
        Self { scale, causal: true, window, soft_cap, slopes, sinks, mask, tile }
    }
}

/// ALiBi's slopes for so many heads, as llama.cpp has them for any number: 2^(−max_bias·i/n) for the
/// first n = 2^⌊log₂ heads⌋, and those in between for the rest.
pub fn alibi_slopes(heads: usize, max_bias: f32) -> Vec<f32> {
    let n = (heads + 1).next_power_of_two() / 2;
    let power = |i: usize, of: f64| (-f64::from(max_bias) / of * i as f64).exp2() as f32;
    let slope = |h: usize| match h {
        _ if h < n => power(h + 1, n as f64),
        _ => power(2 * (h - n) + 1, 2.0 * n as f64),
    };
    (0..heads).map(slope).collect()
}

/// The queries' shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Query heads; a multiple of the cache's.
    pub heads: usize,
    /// Sequences, up to [`MAX_SEQUENCES`]; their rows follow one another.
    pub sequences: usize,
    /// Rows of queries of each.
    pub rows: usize,
    /// Floats from row to row of q; a multiple of 4.
    pub q_stride: usize,
    /// Floats from row to row of y; a multiple of 4.
    pub y_stride: usize,
}

/// Attention of a given shape, with the memory in which the splits of a context leave their parts.
/// All layers of a model may share it.
#[derive(Debug)]
pub struct Attention {
    shape: Shape,
    kv: KvShape,
    options: Options,
    tile: Tile,
    lib: [Part; 3],
    of_heads: Buffer,
    parts: Option<Buffer>,
    spare: Buffer,
}

impl Attention {
    /// Prepares attention of such queries over caches of this shape.
    ///
    /// # Errors
    /// [`Error::Shape`] and [`Error::InvalidOption`] for what the kernel or the options forbid,
    /// [`Error::Limit`] for a context too long for any split; what the device says.
    pub async fn new(gpu: &Gpu, shape: Shape, kv: KvShape, options: Options) -> Result<Self> {
        check(&shape, kv, &options)?;
        let queries = (shape.sequences, shape.rows * (shape.heads / kv.heads));
        let tile = match options.tile {
            Some(tile) => tile,
            None => Tile::on(gpu, queries, kv)?,
        };
        tile.check(layout::most_lanes(gpu), kv)?;
        let mut of_heads = vec![[1.0, 0.0]; shape.heads];
        for (head, slope) in of_heads.iter_mut().zip(options.slopes.iter().flatten()) {
            head[0] = *slope;
        }
        for (head, sink) in of_heads.iter_mut().zip(options.sinks.iter().flatten()) {
            head[1] = *sink;
        }
        let of_heads = Buffer::from_slice(gpu, "slopes, sinks", of_heads.as_flattened()).await?;
        let spare = Buffer::new(gpu, "attention spare", 4).await?;
        let lib = parts(gpu.caps(), tile.lanes);
        let mut made = Self { shape, kv, options, tile, lib, of_heads, parts: None, spare };
        if tile.splits > 1 {
            let words = attention_combine::words(&made.combine());
            made.parts = Some(Buffer::new(gpu, "attention parts", words).await?);
        }
        Ok(made)
    }

    /// How the work is laid out.
    pub fn tile(&self) -> Tile {
        self.tile
    }

    /// Records y = attention of the rows of q over a cache of keys and values, which hold what
    /// `step` says: row i of a sequence stands at its position + i.
    ///
    /// # Errors
    /// [`Error::Shape`] where a mask is there or not against the options, or a buffer is too small;
    /// what the plan says.
    pub fn record<'a>(
        &self,
        plan: &mut PlanBuilder,
        step: &Buffer,
        q: &Buffer,
        (keys, values): (&Kv, &Kv),
        mask: Option<&Buffer>,
        y: impl Into<Place<'a>>,
    ) -> Result<()> {
        let y = y.into();
        for shape in [keys.shape, values.shape] {
            if shape != self.kv {
                return Err(shape_error(format!("{:?}", self.kv), format!("{shape:?}")));
            }
        }
        self.check_buffers(q, mask, &y)?;
        let params = self.params(keys, values);
        let (Some(k), Some(v)) = (keys.matrix.shards.first(), values.matrix.shards.first()) else {
            return Ok(());
        };
        let to = self.parts.as_ref().map_or(y, Place::Buffer);
        let mask = mask.unwrap_or(&self.spare);
        let bound: [&dyn Bind; 7] =
            [step, q, &to.bound(), &k.words, &v.words, mask, &self.of_heads];
        let queries = self.shape.rows * params.group as usize;
        let grid = self.tile.workgroups((self.shape.sequences, queries), keys.shape)?;
        let variant = to.written_by(self.variant(keys, values));
        plan.dispatch(&OP, variant, &params, &bound, grid)?;
        let Some(parts) = &self.parts else { return Ok(()) };
        let combine = self.combine();
        let sinks = self.options.sinks.is_some();
        attention_combine::record(plan, parts, &self.of_heads, y, &combine, sinks)
    }

    fn variant(&self, keys: &Kv, values: &Kv) -> Variant {
        let on = |is: bool| f64::from(u8::from(is));
        let (tile, options) = (&self.tile, &self.options);
        let alibi = options.slopes.is_some() && options.mask.is_none();
        Variant::of(&tile.constants(self.kv.head_dim))
            .and(&[
                ("K_TILE", keys.matrix.tile as f64),
                ("V_TILE", values.matrix.tile as f64),
                ("CAUSAL", on(options.causal)),
                ("WINDOW", on(options.window.is_some())),
                ("SOFT_CAP", on(options.soft_cap.is_some())),
                ("ALIBI", on(alibi)),
                ("MASKED", on(options.mask.is_some())),
                ("SINKS", on(options.sinks.is_some() && self.parts.is_none())),
                ("SPLIT", on(self.parts.is_some())),
                // What is too small for a normal f32 cannot show in a sum of products.
                ("EXACT", 0.0),
            ])
            .with(&self.lib)
            .packed_as("k_", keys.matrix.format)
            .packed_as("v_", values.matrix.format)
    }

    fn params(&self, keys: &Kv, values: &Kv) -> Params {
        let Shape { heads, rows, q_stride, y_stride, .. } = self.shape;
        let planes = |kv: &Kv| kv.matrix.shards.first().map_or([0; 5], |s| s.addresses());
        let ([k_chunks, k_plane1, k_plane2, ..], [v_chunks, v_plane1, v_plane2, ..]) =
            (planes(keys), planes(values));
        let (mask_rows, mask_stride) = self.options.mask.unwrap_or((1, 1));
        Params {
            k_chunks,
            k_plane1,
            k_plane2,
            v_chunks,
            v_plane1,
            v_plane2,
            width: keys.shape.head_dim as u32 / 4,
            group: (heads / keys.shape.heads) as u32,
            heads: heads as u32,
            rows: rows as u32,
            context: keys.stride as u32,
            q_stride: q_stride as u32 / 4,
            y_stride: y_stride as u32 / 4,
            mask_stride: mask_stride as u32,
            mask_rows: mask_rows as u32,
            splits: self.tile.splits as u32,
            window: self.options.window.unwrap_or(0).min(u32::MAX as usize) as u32,
            scale: self.options.scale,
            soft_cap: self.options.soft_cap.unwrap_or(1.0),
        }
    }

    fn combine(&self) -> attention_combine::Params {
        attention_combine::Params {
            heads: self.shape.heads as u32,
            width: self.kv.head_dim as u32 / 4,
            splits: self.tile.splits as u32,
            rows: (self.shape.sequences * self.shape.rows) as u32,
            y_stride: self.shape.y_stride as u32 / 4,
        }
    }

    fn check_buffers(&self, q: &Buffer, mask: Option<&Buffer>, y: &Place<'_>) -> Result<()> {
        let Shape { heads, sequences, rows, q_stride, y_stride } = self.shape;
        let width = heads * self.kv.head_dim;
        let words = |stride: usize| (sequences * rows).saturating_sub(1) * stride + width;
        let mask_words = self.options.mask.map_or(0, |(rows, stride)| rows * stride);
        let words_of = |buffer: &Buffer| Some(buffer.size() / 4);
        let needs = [
            (words_of(q), "q", words(q_stride)),
            (y.bound().words(), "y", words(y_stride)),
            (mask.and_then(words_of), "mask", mask_words),
        ];
        for (there, name, words) in needs {
            if there.is_some_and(|there| there < words as u64) {
                return Err(shape_error(format!("{words} words of {name}"), "less room"));
            }
        }
        if mask.is_some() != self.options.mask.is_some() {
            return Err(shape_error(format!("a mask: {:?}", self.options.mask), "another"));
        }
        Ok(())
    }
}

fn shape_error(expected: String, got: impl ToString) -> Error {
    Error::Shape { op: "attention", expected, got: got.to_string() }
}

fn check(shape: &Shape, of: KvShape, options: &Options) -> Result<()> {
    let Shape { heads, sequences, q_stride, y_stride, rows } = *shape;
    if !(1..=MAX_SEQUENCES).contains(&sequences) {
        return Err(shape_error(format!("1 to {MAX_SEQUENCES} sequences"), sequences));
    }
    if of.head_dim == 0 || !of.head_dim.is_multiple_of(4) || of.head_dim > layout::MAX_HEAD {
        let expected = format!("a head size that is a multiple of 4, up to {}", layout::MAX_HEAD);
        return Err(shape_error(expected, of.head_dim));
    }
    if of.heads == 0 || heads == 0 || !heads.is_multiple_of(of.heads) {
        return Err(shape_error(format!("a multiple of {} heads", of.heads), heads));
    }
    let strides = [q_stride, y_stride];
    let least = if sequences * rows > 1 { heads * of.head_dim } else { 0 };
    if strides.iter().any(|s| !s.is_multiple_of(4) || *s < least) {
        let expected = format!("strides of whole vec4s, at least {least}");
        return Err(shape_error(expected, format!("{strides:?}")));
    }
    let lists = [("slopes", &options.slopes), ("sinks", &options.sinks)];
    for (name, list) in lists {
        if list.as_ref().is_some_and(|l| l.len() != heads || l.iter().any(|v| v.is_nan())) {
            return Err(shape_error(format!("{heads} {name}, none of them NaN"), "another list"));
        }
    }
    let cap = options.soft_cap.unwrap_or(1.0);
    let numbers = [
        ("scale", options.scale, options.scale.is_finite(), "finite"),
        ("soft cap", cap, cap.is_finite() && cap > 0.0, "finite and above 0"),
    ];
    for (name, value, good, allowed) in numbers {
        if !good {
            return Err(Error::InvalidOption { name, value: value.to_string(), allowed });
        }
    }
    if options.window == Some(0) {
        let (value, allowed) = ("0".into(), "at least 1");
        return Err(Error::InvalidOption { name: "window", value, allowed });
    }
    if options.mask.is_some_and(|(rows, stride)| rows == 0 || stride == 0) {
        return Err(shape_error("a mask of at least one value".into(), "an empty one"));
    }
    Ok(())
}
