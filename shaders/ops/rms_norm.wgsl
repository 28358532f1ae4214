// y[m, :] = x[m, :] / sqrt(mean(x[m, :]²) + eps) · weight. A workgroup per row.

override LANES: u32 = 64u;

struct Params { cols: u32, x_stride: u32, y_stride: u32, x_row: u32, eps: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let from_row = (params.x_row + group.x) * params.x_stride;
    var squares = 0.0;
    for (var i = lane; i < params.cols; i += LANES) {
        let value = x[from_row + i];
        squares += value * value;
    }
    let mean = reduce_sum(lane, squares) / f32(params.cols);
    let scale = 1.0 / sqrt(mean + params.eps);
    for (var i = lane; i < params.cols; i += LANES) {
        y[group.x * params.y_stride + i] = x[from_row + i] * scale * weight[i];
    }
}
