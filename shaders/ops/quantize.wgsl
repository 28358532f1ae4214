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
    encode_group(row, (params.x_row + row) * params.stride, id % in_row * GROUP);
}
