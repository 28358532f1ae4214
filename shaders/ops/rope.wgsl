// Rotates pairs of every head of a sequence by position (lib/rotate.wgsl), in place. A lane per pair.

override LANES: u32 = 64u;

struct Params { heads: u32, head_dim: u32, pairs: u32, stride: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> table: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = id.y;
    let head = id.x / params.pairs;
    let pair = id.x % params.pairs;
    if head >= params.heads {
        return;
    }
    let at = row * params.stride + head * params.head_dim + pair_places(pair, params.pairs);
    let span = step.spans[0];
    let turn = table[(span.position - span.start + row) * params.pairs + pair];
    let turned = rotate(vec2<f32>(x[at.x], x[at.y]), turn);
    x[at.x] = turned.x;
    x[at.y] = turned.y;
}
