// Rows of packed weights as f32. GATHER: the rows that a list of ids names (an embedding);
// otherwise all of a shard's rows in order. A lane per 8 weights.

override LANES: u32 = 64u;
override GATHER: bool = false;

// The shard holds rows first_row .. first_row + shard_rows of the tensor.
struct Params {
    chunks: u32, plane1: u32, plane2: u32, scales: u32, table: u32,
    cols: u32, stride: u32, rows: u32, first_row: u32, shard_rows: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> ids: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

fn scaled(w: f32, scale: f32) -> f32 {
    if ROW_SCALED {
        return f32_product(w, scale);
    }
    return w;
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    open_weights();
    let eights = params.chunks * 4u;
    let id = (group.y * groups.x + group.x) * LANES + lane;
    let to_row = id / eights;
    let eight = id % eights;
    if to_row >= params.rows {
        return;
    }
    var row = to_row;
    var y_row = params.first_row + to_row;
    if GATHER {
        row = ids[to_row] - params.first_row;
        y_row = to_row;
    }
    // An id of another shard wraps around to a large number.
    if row >= params.shard_rows {
        return;
    }
    let values = decode8(load_block(row, eight / 4u), eight % 4u);
    let scale = row_scale(row);
    let col = eight * 8u;
    let to = y_row * params.stride + col;
    for (var i = 0u; i < 4u; i++) {
        if col + i < params.cols {
            y[to + i] = scaled(values.lo[i], scale);
        }
        if col + 4u + i < params.cols {
            y[to + 4u + i] = scaled(values.hi[i], scale);
        }
    }
}
