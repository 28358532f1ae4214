// Encodes keys (or values) of a step's rows into the cache, from the step's position on: a lane per
// group of chunks (lib/encode.wgsl) of a head. The cache is a matrix with a row for each head and
// position, head by head.

override LANES: u32 = 64u;

// x holds `heads` heads of `cols` floats in each row, from float `at` of it on; the cache `context`
// rows for each head.
struct Params {
    chunks: u32, plane1: u32, plane2: u32, scales: u32, table: u32,
    cols: u32, heads: u32, context: u32, stride: u32, at: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> x: array<u32>;
@group(0) @binding(3) var<storage, read_write> weights: array<u32>;

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let in_head = (params.chunks + GROUP - 1u) / GROUP;
    let head = id.x / in_head;
    let position = step.position + id.y;
    if head >= params.heads || position >= params.context {
        return;
    }
    let x_at = id.y * params.stride + params.at + head * params.cols;
    encode_group(head * params.context + position, x_at, id.x % in_head * GROUP);
}
