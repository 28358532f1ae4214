// dot4I8Packed on registers: sixteen sums of products of four words with four others, one side of which
// changes each time, as in a tile of a multiplication.

override LANES: u32 = 64u;

struct Params { count: u32, change: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> y: array<i32>;

fn dots(x: u32, w: vec4<u32>) -> vec4<i32> {
    return vec4(
        dot4I8Packed(x, w.x),
        dot4I8Packed(x, w.y),
        dot4I8Packed(x, w.z),
        dot4I8Packed(x, w.w),
    );
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    var x = vec4(lane, lane + 1u, lane + 2u, lane + 3u);
    let w = vec4(lane + 4u, lane + 5u, lane + 6u, lane + 7u);
    var a = vec4<i32>();
    var b = vec4<i32>();
    var c = vec4<i32>();
    var d = vec4<i32>();
    for (var n = 0u; n < params.count; n++) {
        a += dots(x.x, w);
        b += dots(x.y, w);
        c += dots(x.z, w);
        d += dots(x.w, w);
        x += params.change;
    }
    let sum = (a + b) + (c + d);
    y[group.x * LANES + lane] = (sum.x + sum.y) + (sum.z + sum.w);
}
