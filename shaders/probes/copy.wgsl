// y = x: what reading and writing cost together. A workgroup copies a block of `count` vec4s per lane;
// `lane_stride` and `step` say whether neighbouring lanes read neighbours or a run each.

override LANES: u32 = 64u;

struct Params { count: u32, group_stride: u32, lane_stride: u32, step: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<u32>>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    var i = group.x * params.group_stride + lane * params.lane_stride;
    for (var n = 0u; n < params.count; n++) {
        y[i] = x[i];
        i += params.step;
    }
}
