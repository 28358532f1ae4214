//! Makes a step's rows ready for attention: rotates queries and keys, and appends keys and values to
//! the cache, in the cache's format.

use super::kv::Kv;
use super::quantize::{ENCODE, LANES, encoder, group};
use super::rope::ROTATE;
use super::{MAX_SEQUENCES, STEP, fold};
use crate::error::{Error, Result};
use crate::formats::{self, FormatRef};
use crate::gpu::{Access, Bind, Binding, Buffer, Class, Grid, Op, PlanBuilder, params, part};

params! {
    packed:
    /// Values in a head.
    cols: u32,
    /// Heads of queries.
    heads: u32,
    /// Heads of keys, and of values.
    kv_heads: u32,
    /// Pairs that are rotated in each head of queries and keys.
    pairs: u32,
    /// Positions that the table has.
    positions: u32,
    /// Rows of the cache for each head.
    context: u32,
    /// Floats from row to row of x.
    stride: u32,
    /// Rows of a sequence.
    span_rows: u32,
    /// Rows of all.
    rows: u32,
}

/// The operation.
pub static OP: Op = Op {
    name: "kv_append",
    parts: &[part!("ops/kv_append.wgsl"), ENCODE, ROTATE, STEP],
    formats: &[""],
    reduces: false,
    bindings: &[
        Binding { name: "step", access: Access::Uniform },
        Binding { name: "turns", access: Access::Read },
        Binding { name: "x", access: Access::Write },
        Binding { name: "keys", access: Access::Write },
        Binding { name: "values", access: Access::Write },
    ],
    params: Params::INFO,
};

/// Rows of x: heads of queries, then of keys, then of values, as many of each as the cache has.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// The buffer.
    pub x: &'a Buffer,
    /// Floats from row to row.
    pub stride: usize,
    /// Sequences, up to [`MAX_SEQUENCES`]; their rows follow one another.
    pub sequences: usize,
    /// Rows of each: as many as its [`Span`](super::Span) has.
    pub rows: usize,
    /// Heads of queries.
    pub heads: usize,
}

/// How queries and keys are rotated.
#[derive(Debug, Clone, Copy)]
pub struct Rotation<'a> {
    /// [`rope::table`](super::rope::table).
    pub table: &'a Buffer,
    /// Positions that the table has; a sequence cannot be longer.
    pub positions: usize,
    /// Pairs that are rotated in each head; the rest of it stays.
    pub pairs: usize,
    /// Pairs i with i + pairs, otherwise 2i with 2i + 1.
    pub neox: bool,
}

/// Pairs of the queries that a lane rotates. On a CPU, lanes that have nothing to encode go through
/// the encoder all the same, so there are few of them.
fn turns(class: Class) -> usize {
    match class {
        Class::Software => 16,
        Class::Gpu => 1,
    }
}

/// For each row, a lane per `group` chunks of a head of keys or values and one per `turns` pairs of
/// the queries, all folded into two dimensions. A lane loops a few hundred times per chunk, whatever
/// the shape.
pub fn workgroups(params: &Params, group: usize, turns: usize, rows: usize) -> Grid {
    let encoding = 2 * params.kv_heads as usize * (params.chunks as usize).div_ceil(group);
    let turning = (params.heads as usize * params.pairs as usize).div_ceil(turns);
    fold((rows * (encoding + turning)).div_ceil(LANES as usize))
}

/// Records what attention needs of rows at the positions that `step` names: queries are rotated in
/// place, keys on their way into the cache. Rows behind their sequence's end are left alone.
///
/// # Errors
/// [`Error::Shape`] for keys and values of different formats or shapes, too many sequences, and where
/// the rows or the table are too short for them; what the plan says.
pub fn record(
    plan: &mut PlanBuilder,
    step: &Buffer,
    rows: Rows<'_>,
    rotation: Rotation<'_>,
    (keys, values): (&Kv, &Kv),
) -> Result<()> {
    check(rows, rotation, keys, values)?;
    let format = keys.matrix.format;
    let turns = turns(plan.gpu().caps().class);
    let variant = encoder(format).packed(format).and(&[
        ("K_TILE", keys.matrix.tile as f64),
        ("V_TILE", values.matrix.tile as f64),
        ("NEOX", u8::from(rotation.neox).into()),
        ("TURNS", turns as f64),
    ]);
    for (k, v) in keys.matrix.shards.iter().zip(&values.matrix.shards) {
        let params = Params {
            cols: keys.shape.head_dim as u32,
            heads: rows.heads as u32,
            kv_heads: keys.shape.heads as u32,
            pairs: rotation.pairs as u32,
            positions: rotation.positions as u32,
            context: keys.stride as u32,
            stride: rows.stride as u32,
            span_rows: rows.rows as u32,
            rows: (rows.sequences * rows.rows) as u32,
            ..Params::of(k)
        };
        let grid = workgroups(&params, group(format), turns, rows.sequences * rows.rows);
        let buffers: [&dyn Bind; 5] = [step, rotation.table, rows.x, &k.words, &v.words];
        plan.dispatch(&OP, variant.clone(), &params, &buffers, grid)?;
    }
    Ok(())
}

fn check(rows: Rows<'_>, rotation: Rotation<'_>, keys: &Kv, values: &Kv) -> Result<()> {
    let wrong = |expected: String, got: String| Err(Error::Shape { op: OP.name, expected, got });
    let told = |kv: &Kv| format!("{:?} in {}", kv.shape, kv.matrix.format.name());
    // Of the same shape, they have the same planes: heads begin at multiples of every tile.
    if told(keys) != told(values) {
        return wrong(format!("values as the keys, {}", told(keys)), told(values));
    }
    let shape = keys.shape;
    let width = (rows.heads + 2 * shape.heads) * shape.head_dim;
    if rows.stride < width {
        return wrong(format!("rows of at least {width} floats"), rows.stride.to_string());
    }
    if 2 * rotation.pairs > shape.head_dim {
        let got = format!("{} pairs", rotation.pairs);
        return wrong(format!("pairs of a head of {}", shape.head_dim), got);
    }
    if !(1..=MAX_SEQUENCES).contains(&rows.sequences) {
        return wrong(format!("1 to {MAX_SEQUENCES} sequences"), rows.sequences.to_string());
    }
    let (angles, bytes) = (rotation.positions * rotation.pairs, rotation.table.size());
    if bytes / 8 < angles as u64 {
        return wrong(format!("a table of {angles} angles"), format!("{bytes} bytes"));
    }
    Ok(())
}

/// A head as the cache holds it: padded with zeros to whole blocks, in the format.
///
/// # Errors
/// [`Error::Shape`] where the block is larger than what is asked for.
pub fn reference(format: FormatRef, head: &[f32], cols: usize) -> Result<Vec<u8>> {
    let bytes = formats::row_bytes(format, cols).filter(|_| head.len() <= cols);
    let bytes = bytes.ok_or_else(|| Error::Shape {
        op: "kv_append",
        expected: format!("rows of whole blocks of {}", format.block_len()),
        got: format!("{} values in rows of {cols}", head.len()),
    })?;
    let mut padded = head.to_vec();
    padded.resize(cols, 0.0);
    let mut row = vec![0; bytes];
    formats::encode_rows(format, cols, &padded, &mut row)?;
    Ok(row)
}
