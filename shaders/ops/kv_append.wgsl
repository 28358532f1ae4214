// A step's rows made ready for attention, each where its sequence stands: queries are rotated by
// their place in it (lib/rotate.wgsl) in place; keys, rotated, and values, as they are, are encoded
// into their caches (lib/encode.wgsl). A cache is a matrix with a row for each head and position, head
// by head.
//
// The lanes of a row: one per group of chunks of a head of keys, as many for values, then one per
// TURNS pairs of the queries. Keys are rotated on their way, so that what a lane reads no other
// writes.

override LANES: u32 = 64u;
override TURNS: u32 = 1u;
// Rows interleaved with each other in each cache.
override K_TILE: u32 = 1u;
override V_TILE: u32 = 1u;

// A row of x: `heads` heads of `cols` floats of queries, `kv_heads` of keys, as many of values; of
// all `rows`, `span_rows` after one another belong to a sequence. A cache has `context` rows for each
// head, the table `positions`.
struct Params {
    chunks: u32, plane1: u32, plane2: u32, scales: u32, table: u32,
    cols: u32, heads: u32, kv_heads: u32, pairs: u32, positions: u32, context: u32, stride: u32,
    span_rows: u32, rows: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> turns: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> x: array<u32>;
@group(0) @binding(4) var<storage, read_write> keys: array<u32>;
@group(0) @binding(5) var<storage, read_write> values: array<u32>;

// Row `row` of a cache, whose values begin at x[x_at]; of keys, with the table's row for its position.
struct Row { row: u32, x_at: u32, turns_at: u32, is_key: bool }

// Nothing is decoded here, but the format part does not resolve without these.
fn load_word(i: u32) -> u32 {
    return keys[i];
}

fn load_vec4(i: u32) -> vec4<u32> {
    return vec4<u32>(keys[4u * i], keys[4u * i + 1u], keys[4u * i + 2u], keys[4u * i + 3u]);
}

// The values at two places of x, rotated.
fn rotated(places: vec2<u32>, turn: vec2<f32>) -> vec2<u32> {
    let pair = vec2<u32>(x[places.x], x[places.y]);
    return bitcast<vec2<u32>>(rotate(bitcast<vec2<f32>>(pair), turn));
}

fn load_bits(r: Row, j: u32) -> u32 {
    if !r.is_key || j >= 2u * params.pairs {
        return x[r.x_at + j];
    }
    let pair = pair_of(j, params.pairs);
    let places = pair_places(pair, params.pairs);
    let both = rotated(r.x_at + places, turns[r.turns_at + pair]);
    return select(both.y, both.x, j == places.x);
}

fn row_slot(r: Row, c: u32, n: u32) -> u32 {
    return slot_in_tiles(r.row, c, n, select(V_TILE, K_TILE, r.is_key));
}

fn store_word(r: Row, at: u32, word: u32) {
    if r.is_key {
        keys[at] = word;
    } else {
        values[at] = word;
    }
}

fn rotate_queries(x_at: u32, turns_at: u32, first: u32) {
    for (var i = first; i < min(first + TURNS, params.heads * params.pairs); i++) {
        let pair = i % params.pairs;
        let head = x_at + i / params.pairs * params.cols;
        let places = head + pair_places(pair, params.pairs);
        let both = rotated(places, turns[turns_at + pair]);
        x[places.x] = both.x;
        x[places.y] = both.y;
    }
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let in_head = (params.chunks + GROUP - 1u) / GROUP;
    let of_keys = params.kv_heads * in_head;
    let of_row = 2u * of_keys + (params.heads * params.pairs + TURNS - 1u) / TURNS;
    let id = (group.y * groups.x + group.x) * LANES + lane;
    let x_row = id / of_row;
    if x_row >= params.rows {
        return;
    }
    let span = step.spans[x_row / params.span_rows];
    let row_of_span = x_row % params.span_rows;
    let position = span.position + row_of_span;
    let place = position - span.start;
    if row_of_span >= span.rows || position >= span.end || place >= params.positions {
        return;
    }
    let item = id % of_row;
    let x_at = x_row * params.stride;
    let turns_at = place * params.pairs;
    if item >= 2u * of_keys {
        rotate_queries(x_at, turns_at, (item - 2u * of_keys) * TURNS);
        return;
    }
    // Heads of values follow those of keys.
    let head = item / in_head;
    let is_key = head < params.kv_heads;
    let row = (head % params.kv_heads) * params.context + position;
    let head_at = x_at + (params.heads + head) * params.cols;
    encode_group(Row(row, head_at, turns_at, is_key), item % in_head * GROUP);
}
