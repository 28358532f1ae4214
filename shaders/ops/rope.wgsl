// Rotates pairs of every head by position (RoFormer, arXiv 2104.09864), in place. The angles'
// cosines and sines come from a table made in f64, since WGSL's are only good near zero.
// NEOX: pair i is (i, i + pairs); otherwise (2i, 2i + 1), as in GGUF's llama files.
// A lane per pair.

override LANES: u32 = 64u;
override NEOX: bool = false;

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
    let at = row * params.stride + head * params.head_dim;
    let first = at + select(2u * pair, pair, NEOX);
    let second = first + select(1u, params.pairs, NEOX);
    let turn = table[(step.position + row) * params.pairs + pair];
    let a = x[first];
    let b = x[second];
    x[first] = a * turn.x - b * turn.y;
    x[second] = a * turn.y + b * turn.x;
}
