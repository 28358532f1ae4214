//! The k largest values of a row and where they stand: candidates of sampling.

use super::check_loop;
use crate::error::{Error, Result};
use crate::gpu::{Access, Binding, Buffer, Grid, Op, PlanBuilder, Variant, params, part};

params! {
    /// Values in the row, or in all lists that are merged.
    entries: u32,
}

/// The operation.
pub static OP: Op = Op {
    name: "top_k",
    parts: &[part!("ops/top_k.wgsl")],
    formats: &[],
    reduces: false,
    bindings: &[
        Binding { name: "x", access: Access::Read },
        Binding { name: "y", access: Access::Write },
    ],
    params: Params::INFO,
};

/// The most that can be asked for.
pub const MAX_K: usize = 256;

/// Where there are fewer values than places in a list: the place of each that is missing, whose value
/// is −inf.
pub const NONE: u32 = u32::MAX;

const LANES: usize = 256;

/// Values that a workgroup takes.
const CHUNK: usize = 4096;

/// A workgroup for each chunk of the row.
///
/// # Errors
/// [`Error::Shape`] for a k of 0 or above [`MAX_K`], [`Error::Limit`] where merging the chunks' lists
/// would loop too long.
pub fn workgroups(cols: usize, k: usize) -> Result<Grid> {
    if !(1..=MAX_K).contains(&k) {
        let (expected, got) = (format!("a k from 1 to {MAX_K}"), k.to_string());
        return Err(Error::Shape { op: "top_k", expected, got });
    }
    let chunks = cols.div_ceil(CHUNK);
    // Five passes over a lane's run, and what does not grow with the row: some 1,000.
    let (own, merged) = (CHUNK / LANES, (chunks * k).div_ceil(LANES));
    check_loop("top_k", 5 * own.max(merged) as u64 + 1024)?;
    Ok([chunks as u32, 1, 1])
}

/// Words of the lists of a row's chunks.
pub fn scratch_words(cols: usize, k: usize) -> usize {
    cols.div_ceil(CHUNK) * list_words(k)
}

/// Words of a list: k values, then k places.
pub fn list_words(k: usize) -> usize {
    2 * k
}

/// Records y = the `k` largest of x[0..cols], at most [`MAX_K`], best first, of equals the lower place
/// first: their bits, then their places. NaN is larger than everything. `scratch` holds
/// [`scratch_words`].
///
/// # Errors
/// As [`workgroups`].
pub fn record(
    plan: &mut PlanBuilder,
    x: &Buffer,
    (cols, k): (usize, usize),
    scratch: &Buffer,
    y: &Buffer,
) -> Result<()> {
    let grid = workgroups(cols, k)?;
    let variant =
        Variant::of(&[("LANES", LANES as f64), ("CHUNK", CHUNK as f64), ("WIDTH", k as f64)]);
    let chunks = cols.div_ceil(CHUNK);
    let to = if chunks > 1 { scratch } else { y };
    let params = Params { entries: cols as u32 };
    plan.dispatch(&OP, variant.clone(), &params, &[x, to], grid)?;
    if chunks > 1 {
        let params = Params { entries: (chunks * k) as u32 };
        let variant = variant.and(&[("MERGE", 1.0)]);
        plan.dispatch(&OP, variant, &params, &[scratch, y], [1, 1, 1])?;
    }
    Ok(())
}

/// The same in plain Rust: bits and places.
pub fn reference(x: &[f32], k: usize) -> (Vec<u32>, Vec<u32>) {
    // 0.0 − 0.0 of either sign is +0.
    let key = |v: f32| if v.is_nan() { (true, 0.0) } else { (false, v + 0.0) };
    let mut order: Vec<u32> = (0..x.len() as u32).collect();
    order.sort_by(|&a, &b| {
        let ((a_nan, a), (b_nan, b)) = (key(x[a as usize]), key(x[b as usize]));
        b_nan.cmp(&a_nan).then(b.total_cmp(&a))
    });
    order.truncate(k);
    let mut bits: Vec<u32> = order.iter().map(|&i| x[i as usize].to_bits()).collect();
    bits.resize(k, f32::NEG_INFINITY.to_bits());
    order.resize(k, NONE);
    (bits, order)
}
