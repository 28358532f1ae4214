// E2M1 as GGUF's MXFP4 and NVFP4 have it: values doubled into integers, ties broken towards zero. The
// twin of src/formats/e2m1.rs.

// Twice the values of the eight codes in w.
fn doubled_e2m1(w: u32) -> Vec8 {
    return Vec8(four_doubled_e2m1(w), four_doubled_e2m1(w >> 16u));
}

// With sizes moved to where a float has its lowest exponent bits and its highest mantissa bit, and 2^0
// added, codes 2 to 7 are 2, 3, 4, 6, 8 and 12; 0 and 1 are 1 and 1.5, and lose 1 − code/2. With the
// sign in both, 0 comes out as +0.
fn four_doubled_e2m1(w: u32) -> vec4<f32> {
    let moved = vec4<u32>(w) * vec4<u32>(1u << 22u, 1u << 18u, 1u << 14u, 1u << 10u);
    let size = moved & vec4<u32>(7u << 22u);
    let sign = (moved * 64u) & vec4<u32>(SIGN);
    let one = vec4<f32>(1.0);
    let rest = fma(vec4<f32>(bitcast<vec4<i32>>(size)), vec4<f32>(-0x1p-23), one);
    let over = max(bitcast<vec4<i32>>(rest), vec4<i32>());
    let whole = bitcast<vec4<f32>>((size + bitcast<vec4<u32>>(one)) | sign);
    return whole - bitcast<vec4<f32>>(bitcast<vec4<u32>>(over) | sign);
}

// Steps of d ≥ 0: the middles between neighbours, and how far the nearest code can be told by them.
struct Steps { d: u32, middles: array<u32, 7>, near: u32 }

fn e2m1_steps(d: u32) -> Steps {
    var steps: Steps;
    steps.d = d;
    // 0.5, 1.5, 2.5, 3.5, 5, 7 and 10, in halves.
    var halves = array<u32, 7>(1u, 3u, 5u, 7u, 10u, 14u, 20u);
    for (var i = 0u; i < 7u; i++) {
        steps.middles[i] = f32_mul(d, bitcast<u32>(0.5 * f32(halves[i])));
    }
    steps.near = f32_mul(d, bitcast<u32>(16.0));
    return steps;
}

fn e2m1_code(steps: Steps, x: u32) -> u32 {
    let size = magnitude(x);
    var code = 0u;
    if size <= steps.near && steps.near < INFINITY {
        for (var i = 0u; i < 7u; i++) {
            code += select(0u, 1u, size > steps.middles[i]);
        }
    } else if size < INFINITY {
        code = e2m1_code_far(steps.d, size);
    }
    return select(code, code | 8u, x >= SIGN && code > 0u);
}

// By the rule's letter: so far out, distances may be equal once rounded, or infinite.
fn e2m1_code_far(d: u32, size: u32) -> u32 {
    var code = 0u;
    var least = size;
    for (var k = 1u; k < 8u; k++) {
        let value = f32_mul(d, bitcast<u32>(f32((0xc8643210u >> (4u * k)) & 15u)));
        if value < INFINITY {
            let distance = f32_sub(max(value, size), min(value, size));
            code = select(code, k, distance < least);
            least = min(least, distance);
        }
    }
    return code;
}
