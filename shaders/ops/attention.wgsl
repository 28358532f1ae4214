// Attention with grouped heads over a KV cache in any format, on (mantissa, exponent) pairs:
// y = Σ_j exp(z_j)·v_j / Σ_j exp(z_j), never materialising the scores. An online softmax (Milakov &
// Gimelshein, arXiv 1805.02867; tiled as in Dao et al., arXiv 2205.14135) in which all of a tile's
// exponentials share an exponent, so that moving a sum to another one is exact.
//
// A workgroup takes TILE_Q queries that share a head of keys (those of its group, row by row) and
// walks its split of the context in tiles of 4·LANES positions. First each lane scores four
// positions against every query: a position's keys are decoded once for all of them. The lanes find
// the largest exponent of each query and give each other their weights, as lib/tile_memory.wgsl or
// lib/tile_subgroup.wgsl says. Then a lane owns eight values of the head: teams of SLICES lanes each add
// up some of the tile's positions. At the end the teams are added in a fixed order. Queries come
// through lib/q_subgroup.wgsl or lib/q_direct.wgsl; y goes to lib/y_vec4s.wgsl or lib/y_texels.wgsl.
//
// A step may have several sequences, each with rows of its own and its own part of the cache; a
// workgroup's queries are of one sequence. What is done for each query is in lib/attention_quad.wgsl; loops
// with much in them end where they are left, as in ops/matmul.wgsl.

override LANES: u32 = 64u;
override TILE_Q: u32 = 8u;
// Eights of a head, the last one perhaps half full.
override SLICES: u32 = 8u;
override HALF_SLICE: bool = false;
// vec4s of workgroup memory: LANES·max(TILE_Q, 3).
override SCRATCH: u32 = 512u;

// Whether row i sees positions up to its own only; and not those `window` or more before it.
override CAUSAL: bool = true;
override WINDOW: bool = false;
// cap·tanh(z/cap) on scores; a bias of slope·distance; a mask that is added, times the slope.
override SOFT_CAP: bool = false;
override ALIBI: bool = false;
override MASKED: bool = false;
// Whether the context is split, and sums are left for attention_combine.
override SPLIT: bool = false;

// A sequence has `rows` rows. Strides of q and y count vec4s, that of the mask floats. The cache has
// `context` rows for each head.
struct Params {
    k_chunks: u32, k_plane1: u32, k_plane2: u32, v_chunks: u32, v_plane1: u32, v_plane2: u32,
    width: u32, group: u32, heads: u32, rows: u32, context: u32,
    q_stride: u32, y_stride: u32, mask_stride: u32, mask_rows: u32,
    splits: u32, window: u32, scale: f32, soft_cap: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> k: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read> v: array<vec4<u32>>;
@group(0) @binding(6) var<storage, read> mask: array<f32>;
// A slope and a sink for each head.
@group(0) @binding(7) var<storage, read> of_heads: array<vec2<f32>>;

const MAX_TILE_Q = 8u;

var<workgroup> scratch: array<vec4<f32>, SCRATCH>;

fn k_load_word(i: u32) -> u32 {
    return k[i / 4u][i % 4u];
}

fn k_load_vec4(i: u32) -> vec4<u32> {
    return k[i];
}

fn v_load_word(i: u32) -> u32 {
    return v[i / 4u][i % 4u];
}

fn v_load_vec4(i: u32) -> vec4<u32> {
    return v[i];
}

// Query m of the workgroup: its row, its head, its position, the first of its sequence, and the
// positions start..end that it sees.
struct Query { row: u32, head: u32, place: u32, base: u32, start: u32, end: u32 }

fn query(sequence: u32, kv_head: u32, index: u32) -> Query {
    let span = step.spans[sequence];
    let row = min(index / params.group, params.rows - 1u);
    let head = kv_head * params.group + index % params.group;
    let place = span.position + row;
    let end = min(select(span.position + span.rows, place + 1u, CAUSAL), span.end);
    let start = select(0u, max(place + 1u, params.window) - params.window, WINDOW);
    return Query(
        sequence * params.rows + row, head, place, span.start, clamp(start, span.start, end), end);
}

// The queries of a workgroup: of which sequence, for which head of keys, which is the first.
struct Queries { sequence: u32, kv_head: u32, first: u32 }

fn asked(all: Queries, m: u32) -> Query {
    return query(all.sequence, all.kv_head, all.first + m);
}

fn load_q(at: u32, i: u32) -> vec4<f32> {
    if HALF_SLICE && i >= params.width {
        return vec4<f32>();
    }
    return q[at + i];
}

fn largest(v: vec4<f32>) -> f32 {
    return max(max(v.x, v.y), max(v.z, v.w));
}

fn mask_at(row: u32, keys: vec4<u32>) -> vec4<f32> {
    let at = row % params.mask_rows * params.mask_stride;
    return vec4<f32>(mask[at + keys.x], mask[at + keys.y], mask[at + keys.z], mask[at + keys.w]);
}

fn is_minus_infinity(x: vec4<f32>) -> vec4<bool> {
    return bitcast<vec4<u32>>(x) == vec4<u32>(0xff800000u);
}

fn is_not_finite(x: vec4<f32>) -> vec4<bool> {
    return (bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu)) >= vec4<u32>(0x7f800000u);
}

// exp of four positions' logits. What is not seen, and −inf, weighs nothing; +inf and NaN are NaN.
fn weigh(score: vec4<f32>, asked: Query, keys: vec4<u32>) -> Pair4 {
    var gone = (keys < vec4<u32>(asked.start)) | (keys >= vec4<u32>(asked.end));
    var z = score * params.scale;
    if SOFT_CAP {
        let t = exp_negative4(-2.0 / params.soft_cap * abs(z));
        z = select(sign(z) * (params.soft_cap * ((1.0 - t) / (1.0 + t))), z, is_not_finite(z));
    }
    if MASKED {
        let m = mask_at(asked.row, min(keys - asked.base, vec4<u32>(params.mask_stride - 1u)));
        gone = gone | is_minus_infinity(m);
        z += of_heads[asked.head].x * select(m, vec4<f32>(), gone);
    } else if ALIBI {
        z += of_heads[asked.head].x * vec4<f32>(vec4<i32>(keys) - i32(asked.place));
    }
    gone = gone | is_minus_infinity(z);
    let spoilt = is_not_finite(z) & !gone;
    let p = pair_exp_any4(select(z, vec4<f32>(), gone | spoilt));
    // No constant, since WGSL has none that is NaN.
    let nan = bitcast<vec4<f32>>(bitcast<vec4<u32>>(z) | vec4<u32>(0x7fc00000u));
    let known = select(p.v, nan, spoilt);
    return Pair4(
        select(known, vec4<f32>(), gone), select(p.e, vec4<f32>(PAIR_ZERO.e), gone));
}

fn keys_of(b: array<k_Block, 4>, g: u32) -> array<Vec8, 4> {
    return array<Vec8, 4>(
        k_decode8(b[0], g), k_decode8(b[1], g), k_decode8(b[2], g), k_decode8(b[3], g));
}

fn values_of(rows: vec4<u32>, slice: u32) -> array<Vec8, 4> {
    let c = slice / 4u;
    let g = slice % 4u;
    return array<Vec8, 4>(
        v_decode8(v_load_block(rows.x, c), g), v_decode8(v_load_block(rows.y, c), g),
        v_decode8(v_load_block(rows.z, c), g), v_decode8(v_load_block(rows.w, c), g));
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let kv_head = group.y;
    let count = params.rows * params.group;
    let of_sequence = (count + TILE_Q - 1u) / TILE_Q;
    let sequence = min(group.x / of_sequence, MAX_SEQUENCES - 1u);
    let first_query = group.x % of_sequence * TILE_Q;
    let first_row = kv_head * params.context;

    // The tiles that any of the queries sees, and those of this split. They are counted from the
    // sequence's first position, so that what another sequence keeps before it is never read.
    let earliest = query(sequence, kv_head, first_query);
    let latest = query(sequence, kv_head, min(first_query + TILE_Q, count) - 1u);
    let tile = 4u * LANES;
    let length = latest.end - min(latest.base, latest.end);
    let tiles_from = (earliest.start - earliest.base) / tile;
    let tiles = (length + tile - 1u) / tile - min(tiles_from, length / tile);
    let share = (tiles + params.splits - 1u) / params.splits;
    let begin = earliest.base + (tiles_from + group.z * share) * tile;
    let end = min(begin + share * tile, latest.end);

    let slice = lane % SLICES;
    let team = lane / SLICES;
    let teams = LANES / SLICES;

    let all = Queries(sequence, kv_head, first_query);
    var front = begin_quad(0u, all);
    var back = begin_quad(4u, all);
    begin_q();
    begin_tiles(lane);

    if begin < end {
        var at = begin;
        loop {
            let keys = vec4<u32>(at + lane) + vec4<u32>(0u, 1u, 2u, 3u) * LANES;
            let safe = first_row + min(keys, vec4<u32>(end - 1u));
            var c = 0u;
            loop {
                let b = array<k_Block, 4>(
                    k_load_block(safe.x, c), k_load_block(safe.y, c),
                    k_load_block(safe.z, c), k_load_block(safe.w, c));
                begin_chunk_quad(&front, 0u, c);
                begin_chunk_quad(&back, 4u, c);
                var g = 0u;
                loop {
                    let w = keys_of(b, g);
                    score_quad(&front, 0u, w, c, g);
                    score_quad(&back, 4u, w, c, g);
                    g++;
                    if g == min(4u, SLICES - 4u * c) {
                        break;
                    }
                }
                c++;
                if 4u * c >= SLICES {
                    break;
                }
            }
            weigh_quad(&front, 0u, all, keys);
            weigh_quad(&back, 4u, all, keys);
            meet();
            rescale_quad(&front, 0u, lane);
            rescale_quad(&back, 4u, lane);
            meet();
            // All lanes go through this loop together, those with nothing to add, too.
            let last = min(LANES, end - at);
            var first = 0u;
            loop {
                let j = min(first + team, LANES - 1u);
                let there = min(vec4<u32>(at + j) + vec4<u32>(0u, 1u, 2u, 3u) * LANES, vec4<u32>(end - 1u));
                let w = values_of(first_row + there, slice);
                add_values_quad(&front, 0u, w, j, first + team < last);
                add_values_quad(&back, 4u, w, j, first + team < last);
                first += teams;
                if first >= last {
                    break;
                }
            }
            at += tile;
            if at >= end {
                break;
            }
        }
    }
    end_quad(front, 0u, all, group.z, lane);
    end_quad(back, 4u, all, group.z, lane);
}
