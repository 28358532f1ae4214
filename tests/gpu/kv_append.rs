//! kv_append gives the CPU's bytes in every format that a cache can be in, and touches no other row.

use mantissa::Gpu;
use mantissa::formats::{self, FormatRef};
use mantissa::ops::kv::{Kv, KvShape, can_hold};
use mantissa::ops::kv_append::{record, reference};
use pollster::block_on;

use crate::support::{
    Case, Outcome, Random, SENTINEL, case, input, run, step, tested_formats, words,
};

pub fn trials() -> Vec<(String, Case)> {
    vec![case("shapes", shapes), case("formats", every_format), case("behind_the_end", behind)]
}

fn shapes(gpu: &Gpu) -> Outcome {
    for name in ["f32", "f16", "q8_0"] {
        let format = formats::by_name(name)?;
        for (heads, head_dim, rows, position) in
            [(1, 4, 1, 0), (1, 32, 1, 5), (3, 64, 3, 0), (2, 36, 7, 2), (5, 80, 33, 40)]
        {
            check(gpu, format, [heads, head_dim, rows, position, position + rows + 2])?;
        }
    }
    Ok(())
}

fn every_format(gpu: &Gpu) -> Outcome {
    for format in tested_formats().into_iter().filter(|f| can_hold(*f)) {
        check(gpu, format, [2, 64, 3, 9, 20])?;
        check(gpu, format, [1, 40, 2, 0, 5])?;
    }
    Ok(())
}

/// Rows that would lie behind the cache's end are dropped: in the rows of the next head they would
/// overwrite what is there.
fn behind(gpu: &Gpu) -> Outcome {
    check(gpu, formats::by_name("q8_0")?, [3, 32, 4, 30, 32])
}

/// Keys and values lie in the middle of rows of x. Both kinds of cache start as sentinels.
fn check(gpu: &Gpu, format: FormatRef, numbers: [usize; 5]) -> Outcome {
    let [heads, head_dim, rows, position, positions] = numbers;
    let what = format!("{} {numbers:?}", format.name());
    let shape = KvShape { heads, head_dim, positions };
    let (at, stride) = (3, 3 + heads * head_dim + 2);
    let mut x = Random::new(3).normals(rows * stride, 1.0);
    x[at] = -0.0;
    let from = input(gpu, &x)?;
    let step = step(gpu, position, rows)?;
    for kv in [block_on(Kv::keys(gpu, format, shape))?, block_on(Kv::values(gpu, format, shape))?] {
        let (cols, shard) = (kv.matrix.cols, &kv.matrix.shards[0]);
        let row_bytes = formats::row_bytes(format, cols).ok_or("no whole blocks")?;
        let untouched = vec![SENTINEL; shard.layout.words];
        shard.buffer.write(0, &untouched);
        let mut bytes = vec![0; kv.matrix.rows * row_bytes];
        shard.layout.unpack(format, &untouched, &mut bytes)?;
        for (row, head) in (0..rows).flat_map(|r| (0..heads).map(move |h| (r, h))) {
            // The cache has as many rows as its tiles.
            if position + row >= kv.stride {
                continue;
            }
            let to = (head * kv.stride + position + row) * row_bytes;
            let value = &x[row * stride + at + head * head_dim..][..head_dim];
            bytes[to..to + row_bytes].copy_from_slice(&reference(format, value, cols)?);
        }
        run(gpu, |plan| record(plan, &step, &from, (at, stride), rows, &kv))?;
        let mut got = vec![0; bytes.len()];
        let written = words(&shard.buffer)?;
        shard.layout.unpack(format, &written[..shard.layout.words], &mut got)?;
        if let Some(i) = (0..got.len()).find(|&i| got[i] != bytes[i]) {
            let (row, byte) = (i / row_bytes, i % row_bytes);
            return Err(
                format!("{what}: row {row}, byte {byte}: {} for {}", got[i], bytes[i]).into()
            );
        }
    }
    Ok(())
}
