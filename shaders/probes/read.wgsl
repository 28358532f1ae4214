// Reads packed words and does nothing with them: what a multiplication of one row can reach at best.
// Four loads are under way at a time; their sum modulo 2^32 is kept, so that none can be left out.
// Addresses are as in copy.wgsl; `count` is a multiple of 4.

override LANES: u32 = 64u;

struct Params { count: u32, group_stride: u32, lane_stride: u32, step: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    var i = group.x * params.group_stride + lane * params.lane_stride;
    var a = vec4<u32>();
    var b = vec4<u32>();
    var c = vec4<u32>();
    var d = vec4<u32>();
    for (var n = 0u; n < params.count; n += 4u) {
        a += x[i];
        b += x[i + params.step];
        c += x[i + 2u * params.step];
        d += x[i + 3u * params.step];
        i += 4u * params.step;
    }
    let sum = (a + b) + (c + d);
    y[group.x * LANES + lane] = (sum.x + sum.y) + (sum.z + sum.w);
}
