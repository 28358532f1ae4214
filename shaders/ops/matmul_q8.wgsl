// y = x·Wᵀ with x as signed bytes (quantize_q8) and W as small integers (lib/integers.wgsl): products
// within a chunk are dot4I8Packed, exact; y is the f32 sum over the chunks of d·scale·Σ, and of m·Σx
// where the format has a minimum.
//
// Lanes and rows are laid out as in matmul. Every f32 operation is rounded by itself (lib/separate)
// and their order is fixed: chunks part, part + SPLIT, ..; then the parts from the first. So the bits
// are those of the CPU's twin, on every device, wherever they are finite.

override LANES: u32 = 64u;
override SPLIT: u32 = 16u;
override TILE_M: u32 = 1u;
// Whether to add to what is in y (a residual), and whether to add a bias per column.
override ACCUMULATE: bool = false;
override BIAS: bool = false;

// The shard holds rows first_row .. first_row + rows of W.
struct Params {
    chunks: u32, plane1: u32, plane2: u32, scales: u32, table: u32,
    rows: u32, first_row: u32, m: u32, y_stride: u32, y_at: u32, opaque_zero: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> q8: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

const MAX_TILE_M = 16u;

var<workgroup> partial: array<vec4<f32>, LANES>;

fn load_word(i: u32) -> u32 {
    return weights[i / 4u][i % 4u];
}

fn load_vec4(i: u32) -> vec4<u32> {
    return weights[i];
}

fn store(m: u32, row: u32, value: f32) {
    if m >= params.m || row >= params.rows {
        return;
    }
    let n = params.first_row + row;
    let to = m * params.y_stride + params.y_at + n;
    var sum = value;
    if BIAS {
        sum += bias[n];
    }
    if ACCUMULATE {
        sum += y[to];
    }
    y[to] = sum;
}

// Σ scale·(code − zero)·q over a chunk, below 2^24; `sums` are those of q, whole and first half.
fn dot(w: Integers, even: vec4<u32>, odd: vec4<u32>, sums: vec2<i32>) -> i32 {
    let front = dot4I8Packed(w.even.x, even.x) + dot4I8Packed(w.odd.x, odd.x)
        + dot4I8Packed(w.even.y, even.y) + dot4I8Packed(w.odd.y, odd.y);
    let back = dot4I8Packed(w.even.z, even.z) + dot4I8Packed(w.odd.z, odd.z)
        + dot4I8Packed(w.even.w, even.w) + dot4I8Packed(w.odd.w, odd.w);
    return w.scales.x * (front - w.zero * sums.y) + w.scales.y * (back - w.zero * (sums.x - sums.y));
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let width = LANES / SPLIT;
    let part = lane % SPLIT;
    let row = group.x * width * 4u + lane / SPLIT;
    let rows = vec4<u32>(row, row + width, row + 2u * width, row + 3u * width);
    let safe = min(rows, vec4<u32>(params.rows - 1u));
    let first_m = group.y * TILE_M;

    var sums: array<vec4<f32>, MAX_TILE_M>;
    for (var m = 0u; m < TILE_M; m++) {
        sums[m] = vec4<f32>();
    }
    for (var c = part; c < params.chunks; c += SPLIT) {
        let w0 = integers(load_block(safe.x, c));
        let w1 = integers(load_block(safe.y, c));
        let w2 = integers(load_block(safe.z, c));
        let w3 = integers(load_block(safe.w, c));
        let d = vec4<f32>(w0.d, w1.d, w2.d, w3.d);
        for (var m = 0u; m < TILE_M; m++) {
            let at = (min(first_m + m, params.m - 1u) * params.chunks + c) * 3u;
            let even = q8[at];
            let odd = q8[at + 1u];
            let about = q8[at + 2u];
            let of_x = bitcast<vec2<i32>>(about.yz);
            let i = vec4<i32>(
                dot(w0, even, odd, of_x), dot(w1, even, odd, of_x),
                dot(w2, even, odd, of_x), dot(w3, even, odd, of_x));
            let step = separate(d * bitcast<f32>(about.x), params.opaque_zero);
            sums[m] += separate(step * vec4<f32>(i), params.opaque_zero);
            if HAS_MINIMUM {
                let least = vec4<f32>(w0.m, w1.m, w2.m, w3.m);
                sums[m] += separate(least * bitcast<f32>(about.w), params.opaque_zero);
            }
        }
    }
    for (var m = 0u; m < TILE_M; m++) {
        var sum = sums[m];
        if SPLIT > 1u {
            partial[lane] = sum;
            workgroupBarrier();
            if part == 0u {
                for (var i = 1u; i < SPLIT; i++) {
                    sum += partial[lane + i];
                }
            }
            workgroupBarrier();
        }
        if part == 0u {
            for (var i = 0u; i < 4u; i++) {
                store(first_m + m, rows[i], sum[i]);
            }
        }
    }
}
