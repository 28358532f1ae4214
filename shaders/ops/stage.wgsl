// Rows of x as texels, for a multiplication that reads them many times: texel m·stride + i is vec4 i of
// row m, with RMSNorm on the way: x·gain / sqrt(mean(x²) + eps). What pads a row to whole vec4s is 0.
// A workgroup per row.

override LANES: u32 = 8u;
override NORM: bool = false;

// Strides count vec4s.
struct Params { cols: u32, x_stride: u32, x_row: u32, m: u32, eps: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> gain: array<vec4<f32>>;
@group(0) @binding(3) var staged: texture_storage_2d<rgba32float, write>;

fn load(row: u32, i: u32) -> vec4<f32> {
    let inside = vec4<u32>(0u, 1u, 2u, 3u) + 4u * i < vec4<u32>(params.cols);
    return select(vec4<f32>(), x[(params.x_row + row) * params.x_stride + i], inside);
}

// What each value of a row is multiplied with, its gain left out.
fn norm(lane: u32, row: u32) -> f32 {
    var squares = 0.0;
    for (var i = lane; i < params.x_stride; i += LANES) {
        let v = load(row, i);
        squares += dot(v, v);
    }
    return 1.0 / sqrt(reduce_sum(lane, squares) / f32(params.cols) + params.eps);
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.y * groups.x + group.x;
    // The same for the whole workgroup.
    if row >= params.m {
        return;
    }
    var scale = 1.0;
    if NORM {
        scale = norm(lane, row);
    }
    for (var i = lane; i < params.x_stride; i += LANES) {
        var v = load(row, i);
        if NORM {
            v = v * scale * gain[i];
        }
        let to = row * params.x_stride + i;
        textureStore(staged, vec2<u32>(to % 1024u, to / 1024u), v);
    }
}
