// y = act(gate)·up (lib/activation.wgsl), with gate and up side by side in a row of x. A lane per
// element.

override LANES: u32 = 64u;

struct Params { cols: u32, x_stride: u32, y_stride: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= params.cols {
        return;
    }
    let at = id.y * params.x_stride + id.x;
    y[id.y * params.y_stride + id.x] = activation(x[at]) * x[at + params.cols];
}
