//! Decoding on the device is bit-equal to `formats::decode_row`, for every format.
//!
//! One exception, by name: WGSL promises nothing of NaN, so where a format computes a NaN (an
//! infinite or NaN scale), any NaN will do; f32's are copied, so theirs keep their bits. Devices
//! that flush subnormals need none: f32, f16 and bf16 move or build bits, and no product with a
//! binary16 scale, at least 2^-24, is subnormal in binary32.

use mantissa::Gpu;
use mantissa::formats::{self, CHUNK, FormatRef};
use mantissa::ops::dequantize::{dequantize, record, record_rows};
use mantissa::ops::{Matrix, Placement, stride};
use pollster::block_on;

use crate::support::{
    Case, Expect, OfFormat, Outcome, Random, case, compare, input, of_format, output,
    rows_of_bytes, run, words,
};

pub fn trials() -> Vec<(String, Case)> {
    vec![case("folded", folded), case("slice", slice)]
}

/// What is done with a format.
pub fn format_trials(format: FormatRef) -> Vec<(String, Case)> {
    let all: [(&str, OfFormat); 4] =
        [("shapes", shapes), ("edges", edges), ("rows", gather), ("shards", shards)];
    of_format(format, &all)
}

/// Columns to try: one chunk or block and up; tails where the block divides them.
fn columns(format: FormatRef) -> Vec<usize> {
    let block = format.block_len();
    let all =
        [1, 31, 65, 80, 588].into_iter().chain([CHUNK, 96, 576, 4096]).chain([block, 3 * block]);
    all.filter(|k| k.is_multiple_of(block)).collect()
}

fn expect(format: FormatRef, exact: f32) -> Expect {
    match exact {
        _ if exact.is_nan() && format.name() == "f32" => Expect::Bits(exact.to_bits()),
        _ if exact.is_nan() => Expect::Nan,
        _ => Expect::Bits(exact.to_bits()),
    }
}

/// What rows of blocks are worth, rows `stride(cols)` words apart.
fn expected(format: FormatRef, blocks: &[u8], cols: usize) -> mantissa::Result<Vec<Expect>> {
    let row_bytes = formats::row_bytes(format, cols).unwrap_or(1);
    let mut row = vec![0.0; cols];
    let mut want = Vec::new();
    for bytes in blocks.chunks_exact(row_bytes) {
        formats::decode_row(format, bytes, &mut row)?;
        want.extend(row.iter().map(|v| expect(format, *v)));
        want.resize(want.len().next_multiple_of(4), Expect::Untouched);
    }
    Ok(want)
}

fn check(
    gpu: &Gpu,
    what: &str,
    format: FormatRef,
    blocks: &[u8],
    (rows, cols): (usize, usize),
    placement: Placement,
) -> Outcome {
    let w = Matrix::upload_placed(gpu, "blocks", format, (rows, cols), blocks, placement);
    let w = block_on(w)?;
    let y = output(gpu, rows * stride(cols))?;
    run(gpu, |plan| record(plan, &w, &y))?;
    let what = format!("{what}: {rows} × {cols}, {placement:?}");
    compare(&what, &words(&y)?, &expected(format, blocks, cols)?)
}

/// Both interleavings of rows, from a buffer and from a texture, on every device.
fn placements(gpu: &Gpu) -> [Placement; 2] {
    [1, 8].map(|tile| Placement { tile, texels: tile == 8, ..Placement::of(gpu) })
}

fn shapes(gpu: &Gpu, format: FormatRef) -> Outcome {
    let mut random = Random::new(20);
    for cols in columns(format) {
        for rows in [1, 7, 8, 9, 33] {
            let blocks = random.blocks(format, (rows, cols))?;
            for placement in placements(gpu) {
                check(gpu, "normal", format, &blocks, (rows, cols), placement)?;
            }
        }
    }
    Ok(())
}

/// Blocks of random bytes hold every kind of scale; blocks of one byte hold the extremes of
/// scales and quants at once.
fn edges(gpu: &Gpu, format: FormatRef) -> Outcome {
    let mut random = Random::new(21);
    let cols = (16 * CHUNK).next_multiple_of(format.block_len());
    let bytes = formats::row_bytes(format, cols).unwrap_or(1);
    let placement = Placement::of(gpu);
    let noise: Vec<u8> = (0..64 * bytes).map(|_| random.bits() as u8).collect();
    check(gpu, "random bytes", format, &noise, (64, cols), placement)?;
    let mut flat = Vec::new();
    (0..=255u8).for_each(|byte| flat.extend(std::iter::repeat_n(byte, bytes)));
    check(gpu, "one byte", format, &flat, (256, cols), placement)?;
    scales(gpu, format, cols, placement)
}

/// Every binary16 (of large blocks: some) in the first and last two bytes of a block, and as the
/// upper half of a weight or of a row's scale: all scales, subnormals and both zeros among them.
fn scales(gpu: &Gpu, format: FormatRef, cols: usize, placement: Placement) -> Outcome {
    let mut random = Random::new(22);
    let size = format.block_bytes();
    let step = format.block_len().div_ceil(CHUNK);
    let in_row = cols / format.block_len();
    let mut rows: Vec<u8> = Vec::new();
    for (i, half) in (0..=u16::MAX).step_by(step).enumerate() {
        if i % in_row == 0 && format.row_scale().bytes() > 0 {
            rows.extend([random.bits() as u8, random.bits() as u8]);
            rows.extend(half.to_le_bytes());
        }
        let mut block: Vec<u8> = (0..size).map(|_| random.bits() as u8).collect();
        let high = if size == 4 { 2 } else { 0 };
        if size > 1 {
            block[high..high + 2].copy_from_slice(&half.to_le_bytes());
            block[size - 2..].copy_from_slice(&half.to_le_bytes());
        }
        rows.extend(block);
    }
    let count = 65_536 / step / in_row;
    check(gpu, "every scale", format, &rows, (count, cols), placement)
}

/// Rows by id, in any order, repeated; an id outside the table writes nothing.
fn gather(gpu: &Gpu, format: FormatRef) -> Outcome {
    let (rows, cols) = (100, (2 * CHUNK).next_multiple_of(format.block_len()));
    let blocks = Random::new(23).blocks(format, (rows, cols))?;
    let row_words = expected(format, &blocks, cols)?;
    let ids = [0u32, 99, 1, 50, 50, 100, 7, 8, u32::MAX];
    for tile in [1, 8] {
        for shard_bytes in [u64::from(u32::MAX), rows_of_bytes(format, 16, cols)] {
            let placement = Placement { tile, shard_bytes, texels: tile == 8 };
            let w = Matrix::upload_placed(gpu, "w", format, (rows, cols), &blocks, placement);
            let (w, list) = (block_on(w)?, input(gpu, &ids)?);
            let y = output(gpu, ids.len() * stride(cols))?;
            run(gpu, |plan| record_rows(plan, &w, &list, &y, ids.len()))?;
            let row = |id: u32| -> Vec<Expect> {
                let at = id as usize * stride(cols);
                let none = vec![Expect::Untouched; stride(cols)];
                row_words.get(at..at + stride(cols)).map_or(none, <[Expect]>::to_vec)
            };
            let want: Vec<Expect> = ids.iter().flat_map(|id| row(*id)).collect();
            let what = format!("ids, tiles of {tile}, {} shards", w.shards.len());
            compare(&what, &words(&y)?, &want)?;
        }
    }
    Ok(())
}

/// A matrix in several buffers decodes to the same bits.
fn shards(gpu: &Gpu, format: FormatRef) -> Outcome {
    let (rows, cols) = (77, (3 * CHUNK).next_multiple_of(format.block_len()));
    let blocks = Random::new(24).blocks(format, (rows, cols))?;
    for tile in [1, 8] {
        let placement =
            Placement { tile, shard_bytes: rows_of_bytes(format, 16, cols), texels: tile == 8 };
        let w = Matrix::upload_placed(gpu, "w", format, (rows, cols), &blocks, placement);
        let shards = block_on(w)?.shards.len();
        if shards < 3 {
            return Err(format!("only {shards} shards").into());
        }
        check(gpu, "shards", format, &blocks, (rows, cols), placement)?;
    }
    Ok(())
}

/// More workgroups than a dimension of the grid holds.
fn folded(gpu: &Gpu) -> Outcome {
    let f32 = formats::by_name("f32")?;
    // A workgroup of 64 lanes of 8 weights decodes 16 rows of a chunk.
    let (rows, cols) = (16 * 65_535 + 17, 1);
    let blocks = Random::new(25).blocks(f32, (rows, cols))?;
    check(gpu, "folded", f32, &blocks, (rows, cols), Placement::of(gpu))
}

/// The one-shot function on slices.
fn slice(gpu: &Gpu) -> Outcome {
    let f32 = formats::by_name("f32")?;
    for cols in [1, 65, 588] {
        let blocks = Random::new(26).blocks(f32, (5, cols))?;
        let y = block_on(dequantize(gpu, f32, &blocks, (5, cols)))?;
        let same = y.iter().flat_map(|v| v.to_le_bytes()).eq(blocks.iter().copied());
        if !same || y.len() != 5 * cols {
            return Err(format!("{cols} columns differ").into());
        }
    }
    Ok(())
}
