// Rows of f32 as packed weights: a lane per group of chunks (lib/encode.wgsl). Where rows have
// scales, a launch before with SCALES writes those, a lane per row.

override LANES: u32 = 64u;
override SCALES: bool = false;
// A row's scale is its largest magnitude divided by this.
override ROW_MAX: f32 = 1.0;

// The shard holds `rows` rows, of which the first is row x_row of x.
struct Params {
    chunks: u32, plane1: u32, plane2: u32, scales: u32, table: u32,
    cols: u32, stride: u32, rows: u32, x_row: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> weights: array<u32>;

// Row `row` of the shard, whose values begin at x[x_at].
struct Row { row: u32, x_at: u32 }

fn load_word(i: u32) -> u32 {
    return weights[i];
}

// Nothing is decoded here, but the format part does not resolve without it.
fn load_vec4(i: u32) -> vec4<u32> {
    return vec4<u32>(weights[4u * i], weights[4u * i + 1u], weights[4u * i + 2u], weights[4u * i + 3u]);
}

fn load_bits(r: Row, j: u32) -> u32 {
    return x[r.x_at + j];
}

fn row_slot(r: Row, c: u32, n: u32) -> u32 {
    return slot(r.row, c, n);
}

fn store_word(r: Row, at: u32, word: u32) {
    weights[at] = word;
}

fn write_scale(row: u32) {
    if row >= params.rows {
        return;
    }
    let at = (params.x_row + row) * params.stride;
    var peak = 0u;
    for (var j = 0u; j < params.cols; j++) {
        peak = larger(peak, x[at + j]);
    }
    let scale = f32_div(min(peak, INFINITY - 1u), bitcast<u32>(ROW_MAX));
    weights[params.scales + row] =
        select(select(NAN, INFINITY, peak == INFINITY), scale, peak < INFINITY);
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    if SCALES {
        write_scale((group.y * groups.x + group.x) * LANES + lane);
        return;
    }
    let in_row = (params.chunks + GROUP - 1u) / GROUP;
    let id = (group.y * groups.x + group.x) * LANES + lane;
    let row = id / in_row;
    if row >= params.rows {
        return;
    }
    encode_group(Row(row, (params.x_row + row) * params.stride), id % in_row * GROUP);
}
