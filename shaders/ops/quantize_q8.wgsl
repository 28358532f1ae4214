// Rows of f32 as signed bytes with a scale per chunk of 32, for matmul_q8: x ≈ d·q, d the chunk's
// largest magnitude over 127. A lane per chunk.
//
// A chunk is three vec4s: the bytes of even elements and of odd ones, laid out as in
// lib/integers.wgsl; then d, Σq, Σq of the first half, and d·Σq.
//
// The bytes are the same on every device: d and its inverse are made in integers; what is left is one
// product and one sum, each rounded once and kept apart, and nothing in it is subnormal.

override LANES: u32 = 64u;

// Strides of x count vec4s.
struct Params { chunks: u32, rows: u32, x_row: u32, x_stride: u32, opaque_zero: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> q8: array<vec4<u32>>;

// 2^−64: chunks with a smaller step count as zeros.
const LEAST_STEP = 0x1f800000u;
const NAN = 0x7fc00000u;

fn largest(peak: vec4<u32>, v: vec4<u32>) -> vec4<u32> {
    return max(peak, v & vec4<u32>(0x7fffffffu));
}

// The codes of four elements: x/d to the nearest, halves away from zero; 0 where the mask is.
fn codes(v: vec4<u32>, mask: u32, inverse: f32) -> vec4<i32> {
    let magnitudes = bitcast<vec4<f32>>(v & vec4<u32>(mask & 0x7fffffffu));
    let size = separate(magnitudes * inverse, params.opaque_zero);
    let q = vec4<i32>(size + vec4<f32>(0.5));
    return select(q, -q, v >= vec4<u32>(SIGN));
}

fn bytes(even: vec4<i32>) -> u32 {
    let b = bitcast<vec4<u32>>(even) & vec4<u32>(255u);
    return b.x | (b.y << 8u) | (b.z << 16u) | (b.w << 24u);
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = (group.y * groups.x + group.x) * LANES + lane;
    let row = id / params.chunks;
    if row >= params.rows {
        return;
    }
    let first = (params.x_row + row) * params.x_stride + id % params.chunks * 8u;
    var peaks = vec4<u32>();
    for (var i = 0u; i < 8u; i++) {
        peaks = largest(peaks, x[first + i]);
    }
    let peak = max(max(peaks.x, peaks.y), max(peaks.z, peaks.w));
    let finite = peak < INFINITY;
    var step = 0u;
    var inverse = 0u;
    if finite {
        step = f32_div(peak, bitcast<u32>(127.0));
    }
    if step >= LEAST_STEP {
        inverse = f32_div(0x3f800000u, step);
    } else {
        step = 0u;
    }
    var even: vec4<u32>;
    var odd: vec4<u32>;
    var sums = vec2<i32>();
    let mask = select(0u, ~0u, finite);
    for (var g = 0u; g < 4u; g++) {
        let lo = codes(x[first + 2u * g], mask, bitcast<f32>(inverse));
        let hi = codes(x[first + 2u * g + 1u], mask, bitcast<f32>(inverse));
        even[g] = bytes(vec4<i32>(lo.xz, hi.xz));
        odd[g] = bytes(vec4<i32>(lo.yw, hi.yw));
        let all = lo + hi;
        let sum = all.x + all.y + all.z + all.w;
        sums += vec2<i32>(sum, select(0, sum, g < 2u));
    }
    let scaled = bitcast<u32>(bitcast<f32>(step) * f32(sums.x));
    let at = id * 3u;
    q8[at] = even;
    q8[at + 1u] = odd;
    // A NaN or an infinity anywhere makes the whole chunk NaN.
    q8[at + 2u] = vec4<u32>(
        select(NAN, step, finite), bitcast<vec2<u32>>(sums), select(NAN, scaled, finite));
}
