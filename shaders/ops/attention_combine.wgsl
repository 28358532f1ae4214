// Adds up what the splits of a context left of each query's attention (shaders/ops/attention.wgsl):
// pairs with whatever exponents, rescaled by powers of two, so exactly, and added in the order of
// the splits. A lane per vec4 of y, which is where lib/y_vec4s.wgsl or lib/y_texels.wgsl says.

override LANES: u32 = 64u;

// A split's part is `width` vec4s and one with the sum of weights and its exponent; y_stride counts
// vec4s.
struct Params { heads: u32, width: u32, splits: u32, rows: u32, y_stride: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> parts: array<vec4<f32>>;
// A slope and a sink for each head.
@group(0) @binding(2) var<storage, read> of_heads: array<vec2<f32>>;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = (group.y * groups.x + group.x) * LANES + lane;
    let query = id / params.width;
    let place = id % params.width;
    if query >= params.rows * params.heads {
        return;
    }
    let first = query * params.splits * (params.width + 1u);
    var total = PAIR_ZERO;
    var sums = vec4<f32>();
    for (var s = 0u; s < params.splits; s++) {
        let part = first + s * (params.width + 1u);
        let other = parts[part + params.width].xy;
        let e = max(total.e, other.y);
        let shrink = exp2_int(total.e - e);
        let scale = exp2_int(other.y - e);
        sums = sums * shrink + parts[part + place] * scale;
        total = Pair(total.v * shrink + other.x * scale, e);
    }
    let head = query % params.heads;
    let end = finish(total, of_heads[head].y);
    let to = query / params.heads * params.y_stride + head * params.width + place;
    put_vec4(to, sums * (end.shrink * end.inverse));
}
