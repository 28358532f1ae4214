//! How operations are launched, without a GPU: grids within what WebGPU promises, and no invocation
//! that loops longer than a driver allows.

use std::collections::HashSet;

use mantissa::gpu::{Caps, Class};
use mantissa::ops::attention::Tile;
use mantissa::ops::kv::KvShape;
use mantissa::ops::matmul::Share;
use mantissa::ops::softmax::{Layout, Split};
use mantissa::ops::{self, MAX_LOOP, OPS};

/// The widest grid that WebGPU promises.
const WIDEST: u32 = 65_535;

/// Rows × values at the largest shapes that we mean to run: a vocabulary of 262,144, an FFN of
/// 28,672, prefill in chunks of up to 2,048.
#[test]
fn grids_stay_within_the_limit_at_the_largest_shapes() {
    let (vocabulary, wide, rows) = (262_144, 28_672, 2_048);
    let mut grids = vec![
        ("argmax", ops::argmax::workgroups((1, vocabulary)).expect("argmax")),
        ("top_k", ops::top_k::workgroups(vocabulary, ops::top_k::MAX_K).expect("top_k")),
        ("sample", ops::sample::WORKGROUPS),
        ("glu", ops::glu::workgroups(wide, rows)),
        ("rms_norm", ops::rms_norm::workgroups(rows)),
        ("stage", ops::stage::workgroups(rows)),
    ];
    let kv = ops::kv_append::Params {
        chunks: 8,
        heads: 128,
        kv_heads: 128,
        pairs: 128,
        ..Default::default()
    };
    grids.push(("kv_append", ops::kv_append::workgroups(&kv, 1, 1, rows)));
    let rope = ops::rope::Params { heads: 128, head_dim: 256, pairs: 128, stride: 0 };
    grids.push(("rope", ops::rope::workgroups(&rope, rows)));
    let table = ops::dequantize::Params {
        chunks: 8_192 / 32,
        rows: vocabulary as u32,
        ..Default::default()
    };
    let grid = ops::dequantize::workgroups(&table);
    // Folding must still cover every lane.
    let lanes = u64::from(grid[0]) * u64::from(grid[1]) * 64;
    assert!(lanes >= u64::from(table.rows) * u64::from(table.chunks) * 4);
    grids.push(("dequantize", grid));
    let x =
        ops::quantize::Params { chunks: 8_192 / 32, rows: vocabulary as u32, ..Default::default() };
    for group in [1, 2] {
        let grid = ops::quantize::workgroups(&x, group);
        let lanes = u64::from(grid[0]) * u64::from(grid[1]) * 64;
        assert!(lanes >= u64::from(x.rows) * u64::from(x.chunks).div_ceil(group as u64));
        grids.push(("quantize", grid));
    }
    for class in [Class::Gpu, Class::Software] {
        for (queries, positions) in [(8 * rows, 131_072), (8, 131_072), (1, 4_194_304)] {
            let kv = KvShape { heads: 128, head_dim: 256, positions };
            let tile = Tile::choose(Caps::plain(class), 256, (1, queries), kv).expect("attention");
            grids.push(("attention", tile.workgroups((1, queries), kv).expect("attention")));
        }
    }
    let combine = ops::attention_combine::Params {
        heads: 128,
        width: 64,
        splits: 512,
        rows: rows as u32,
        y_stride: 0,
    };
    grids.push(("attention_combine", ops::attention_combine::workgroups(&combine).expect("it")));
    for class in [Class::Gpu, Class::Software] {
        for (rows, cols) in [(1, 2_000_003), (1, 1 << 30), (10_000_000, 64), (1_000_000, 65_536)] {
            let layout = Layout::choose(class, 256, (rows, cols), cols % 2 == 1);
            grids.push(("softmax", layout.workgroups(rows, cols).expect("softmax")));
        }
        for m in [1, 8, rows] {
            let tile = ops::matmul::Tile::choose(
                Caps::plain(class),
                mantissa::formats::F32,
                (vocabulary, wide),
                m,
            );
            let grid = ops::matmul::workgroups(&tile, wide / 32, vocabulary, m).expect("matmul");
            grids.push(("matmul", grid));
            let tile = ops::matmul_q8::Tile::choose(class, m);
            let grid = ops::matmul_q8::workgroups(&tile, wide / 32, vocabulary, m);
            grids.push(("matmul_q8", grid.expect("matmul_q8")));
        }
    }
    grids.push(("quantize_q8", ops::quantize_q8::workgroups(rows, wide).expect("quantize_q8")));
    for (op, grid) in &grids {
        let within = grid.iter().all(|n| (1..=WIDEST).contains(n));
        assert!(within, "{op}: {grid:?}");
    }
    let tried: HashSet<_> = grids.iter().map(|(op, _)| *op).collect();
    let all: HashSet<_> = OPS.iter().map(|op| op.name).collect();
    assert_eq!(tried, all, "every operation has its largest shape here");
}

/// A token takes six launches for each layer, whatever lanes share: four multiplications, append and
/// attention. A row of x is staged by none, since each is left in texels by what computes it, where texels are
/// read; by tiles that leave such. (On a device: tests/gpu/program.rs, tests/peers/test_bench.py.)
#[test]
fn what_a_token_reads_is_staged_by_no_launch() {
    let plain = Caps::plain(Class::Software);
    let quads = Caps { subgroups: true, quads: 4, ..plain };
    let eights = Caps { subgroups: true, subgroup: 8, quads: 8, ..plain };
    let q4_1 = mantissa::formats::by_name("q4_1").expect("q4_1");
    for caps in [plain, quads, eights] {
        let tile = |shape| ops::matmul::Tile::choose(caps, q4_1, shape, 1);
        // SmolLM2-135M: what is added to the residual stream leaves the next norm's texels.
        for shape in [(576, 576), (576, 1536)] {
            assert_eq!((tile(shape).split, tile(shape).m), (1, 1), "{caps:?}, {shape:?}");
        }
        // A lane has whole texels of gated activations.
        assert_eq!(tile((3072, 576)).rows, 8, "{caps:?}");
    }
    // A GPU reads buffers.
    for shape in [(960, 576), (576, 576), (3072, 576), (576, 1536), (49_152, 576)] {
        assert!(!ops::matmul::Tile::choose(Caps::plain(Class::Gpu), q4_1, shape, 1).staged);
    }
}

/// A fold covers every group, in no more than it must.
#[test]
fn folding_covers_every_row() {
    let layout = Layout { lanes: 8, team: 8, split: Split::Rows };
    for rows in [1usize, 2, 65_535, 65_536, 65_537, 131_071, 1_000_003] {
        let [x, y, z] = layout.workgroups(rows, 10).expect("short rows");
        let groups = x as usize * y as usize;
        assert!(x <= WIDEST && y <= WIDEST && z == 1, "{rows}: {x} × {y} × {z}");
        assert!((rows..rows + y as usize).contains(&groups), "{rows}: {x} × {y}");
    }
}

/// The bound that each operation claims, recounted here from its WGSL, loop by loop: the largest
/// shape that it takes stays below the driver's limit, and the next one is refused.
#[test]
fn the_largest_shape_of_every_loop_stays_below_the_drivers_limit() {
    // softmax: the chunks and their runs; a chunk's steps and runs quickly, again carefully with a
    // loop over the step's 4 vec4s; what is written; halvings (three times) and the team's marks.
    for (team, split) in [(1, Split::Rows), (8, Split::Rows), (8, Split::Chunks(65_536))] {
        let layout = Layout { lanes: 64, team, split };
        let exact = |cols: usize| {
            let (chunks, chunk) = (layout.chunks(cols), layout.chunk(cols));
            let steps = chunk.div_ceil(4 * team);
            let runs = chunks.isqrt() + 1;
            let sums = 2 * steps + steps.div_ceil(8) + 4 * steps;
            chunks + runs + sums + chunk.div_ceil(team) + 3 * 3 + team
        };
        let largest = boundary(|cols| layout.workgroups(1, cols).is_ok());
        assert!(exact(largest) as u64 <= MAX_LOOP, "{layout:?} takes {largest}");
        assert!(largest >= 65_536, "{layout:?} takes {largest} only");
    }

    // argmax, LANES 256: one loop over the row, and 8 halvings.
    let argmax = |cols: usize| (cols.div_ceil(256) + 8) as u64;
    let largest = boundary(|cols| ops::argmax::workgroups((1, cols)).is_ok());
    assert!(argmax(largest) <= MAX_LOOP && argmax(largest + 1) > MAX_LOOP, "argmax {largest}");

    // top_k, merging: a lane clears 8 bins three times, runs over its entries, and adds a sum of 16;
    // lane 0 walks up to 128 sums and 16 bins; two more runs, a loop over the lanes, and one entry's
    // rank among 256. sample: lane 0 goes three times through at most 256 candidates.
    let k = ops::top_k::MAX_K;
    let top_k = |cols: usize| {
        let run = (cols.div_ceil(4096) * k).div_ceil(256);
        (3 * (8 + run + 17 + 128 + 16) + 2 * run + 256 + 1 + 256) as u64
    };
    let largest = boundary(|cols| ops::top_k::workgroups(cols, k).is_ok());
    assert!(top_k(largest) <= MAX_LOOP && largest >= 1 << 25, "top_k {largest}");

    // attention: for each tile of positions itself, the chunks with their eights, and a team's share of
    // the lanes' fours; a window's tiles begin in the middle of one, so there may be one more. At the end
    // each query's loop over the other teams.
    for head_dim in [32usize, 36, 64, 80, 128, 256] {
        for (lanes, queries, splits) in [(64, 8, 1), (64, 1, 1), (32, 3, 1), (64, 8, 7)] {
            let tile = Tile { lanes, queries, splits };
            let kv = |positions| KvShape { heads: 1, head_dim, positions };
            let slices = head_dim.div_ceil(8);
            let teams = lanes / slices;
            let each = 1 + slices.div_ceil(4) + slices + lanes.div_ceil(teams);
            let exact = |positions: usize| {
                let tiles = positions.div_ceil(4 * lanes).div_ceil(splits) + 1;
                tiles * each + queries * teams
            };
            let largest = boundary(|positions| tile.workgroups((1, 8), kv(positions)).is_ok());
            assert!(exact(largest) as u64 <= MAX_LOOP, "{tile:?}, {head_dim} takes {largest}");
        }
    }
    // attention_combine: a loop over the splits.
    let splits = |splits: usize| {
        let splits = u32::try_from(splits).unwrap_or(u32::MAX);
        ops::attention_combine::Params { splits, width: 1, heads: 1, rows: 1, y_stride: 1 }
    };
    let largest = boundary(|n| ops::attention_combine::workgroups(&splits(n)).is_ok());
    assert_eq!(largest as u64, MAX_LOOP);

    // matmul: per chunk its own loop, 4 eights, and the lane's part of 8 · SPLIT · TILE_M vec4s where x
    // goes by way of workgroup memory; then for each row of x and four rows of W the
    // store's 4 and SPLIT − 1 partial sums, as many for the squares.
    for (lanes, split, rows) in [(8, 1, 8), (64, 16, 4), (64, 4, 4)] {
        let shares = [Share::Lane, Share::Workgroup];
        for (m, share) in [1, 2, 4, 8, 16].into_iter().flat_map(|m| shares.map(|share| (m, share)))
        {
            let tile =
                ops::matmul::Tile { lanes, split, rows, m, share, codes: false, staged: false };
            let exact = |chunks: usize| {
                let fours = rows / 4;
                let store = fours * (4 + (split - 1)) + (split - 1);
                let fetches = match share {
                    Share::Workgroup => (8 * split * m).div_ceil(lanes),
                    _ => 0,
                };
                chunks.div_ceil(split) * (1 + 4 + fetches) + m * store
            };
            let takes = |chunks| ops::matmul::workgroups(&tile, chunks, 1, m).is_ok();
            let largest = boundary(takes);
            assert!(exact(largest) as u64 <= MAX_LOOP, "{tile:?} takes {largest} chunks");
        }
    }

    // The same with a norm to finish, a round for each sum behind a row of x; and with the next one's left:
    // lane 0 adds up what all lanes have.
    for (m, lanes, leaves) in [(1, 8, true), (1, 64, false), (16, 8, false)] {
        let (rows, share) = (8, Share::Lane);
        let tile =
            ops::matmul::Tile { lanes, split: 1, rows, m, share, codes: false, staged: true };
        let takes = |parts| ops::matmul::check_squares(&tile, 18, parts, leaves).is_ok();
        let largest = boundary(takes);
        let exact = 18 * (1 + 4) + m * (2 * 4 + largest) + if leaves { lanes } else { 0 };
        assert!(exact as u64 <= MAX_LOOP && largest >= 4000, "{tile:?} takes {largest} sums");
    }

    // matmul_q8: per chunk its own loop and TILE_M rows; then as matmul.
    for (lanes, split) in [(8, 1), (64, 16), (64, 4)] {
        for m in [1, 2, 4, 8, 16] {
            for rows in [4, 8] {
                let tile = ops::matmul_q8::Tile { lanes, split, m, rows };
                let stores = rows / 4 * (4 + (split - 1));
                let exact = |chunks: usize| chunks.div_ceil(split) * (1 + m) + m * (1 + 1 + stores);
                let takes = |chunks| ops::matmul_q8::workgroups(&tile, chunks, 1, m).is_ok();
                let largest = boundary(takes);
                assert!(exact(largest) as u64 <= MAX_LOOP, "{tile:?} takes {largest} chunks");
            }
        }
    }

    // quantize and kv_append loop over one group of chunks, whatever the shape; rope, glu and
    // dequantize do not loop over anything that grows.

    // rms_norm, LANES 64: two loops over the row, and a reduction of at most 64.
    let rms_norm = |cols: usize| (2 * cols.div_ceil(64) + 64) as u64;
    let largest = boundary(|cols| ops::rms_norm::check_cols(cols).is_ok());
    assert!(rms_norm(largest) <= MAX_LOOP, "rms_norm {largest}");

    // stage, LANES 8: two loops over a row's vec4s, and a reduction of at most 8.
    let stage = |cols: usize| (2 * cols.div_ceil(4).div_ceil(8) + 8) as u64;
    let largest = boundary(|cols| ops::stage::check_cols(cols).is_ok());
    assert!(stage(largest) <= MAX_LOOP, "stage {largest}");
}

/// The largest shape that is taken, given that every smaller one is.
fn boundary(takes: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (1, 1 << 40);
    assert!(takes(low) && !takes(high), "no boundary");
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if takes(middle) { low = middle } else { high = middle }
    }
    low
}
