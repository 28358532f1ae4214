// f32 multiply-adds on registers: eight chains of vec4s, none waiting for another. x is multiplied by
// `factor` and `term` is added, `count` times four.

override LANES: u32 = 64u;

struct Params { count: u32, factor: f32, term: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

fn four(x: vec4<f32>, factor: vec4<f32>, term: vec4<f32>) -> vec4<f32> {
    return fma(fma(fma(fma(x, factor, term), factor, term), factor, term), factor, term);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let factor = vec4(params.factor);
    let term = vec4(params.term);
    var a = vec4(f32(lane));
    var b = a + 1.0;
    var c = a + 2.0;
    var d = a + 3.0;
    var e = a + 4.0;
    var f = a + 5.0;
    var g = a + 6.0;
    var h = a + 7.0;
    for (var n = 0u; n < params.count; n++) {
        a = four(a, factor, term);
        b = four(b, factor, term);
        c = four(c, factor, term);
        d = four(d, factor, term);
        e = four(e, factor, term);
        f = four(f, factor, term);
        g = four(g, factor, term);
        h = four(h, factor, term);
    }
    let sum = ((a + b) + (c + d)) + ((e + f) + (g + h));
    y[group.x * LANES + lane] = (sum.x + sum.y) + (sum.z + sum.w);
}
