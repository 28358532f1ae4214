// Copies the keys and values of a step's rows into the cache, from its position on. A lane per
// element.

override LANES: u32 = 64u;

struct Params { width: u32, stride: u32, k_at: u32, v_at: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> k: array<f32>;
@group(0) @binding(4) var<storage, read_write> v: array<f32>;

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= params.width {
        return;
    }
    let from_row = id.y * params.stride + id.x;
    let to = (step.position + id.y) * params.width + id.x;
    k[to] = x[from_row + params.k_at];
    v[to] = x[from_row + params.v_at];
}
