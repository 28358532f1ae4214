// y = x·Wᵀ with x as signed bytes (quantize_q8) and W as small integers (lib/integers.wgsl): products
// within a chunk are dot4I8Packed, exact; y is the f32 sum over the chunks of d·scale·Σ, and of m·Σx
// where the format has a minimum.
//
// A lane owns 4 or 8 neighbouring rows of W and TILE_M of x; SPLIT lanes share the same rows, as in
// matmul. Every f32 operation is rounded by itself (lib/separate) and their order is fixed: chunks part,
// part + SPLIT, ..; then the parts from the first (lib/to_buffer). So the bits are those of the CPU's twin,
// on every device, wherever they are finite.

override LANES: u32 = 64u;
override SPLIT: u32 = 16u;
override TILE_M: u32 = 1u;
// Whether a lane owns eight rows of W, where loads of x are dear, or four.
override EIGHT: bool = false;

// The shard holds rows first_row .. first_row + rows of W.
struct Params {
    chunks: u32, plane1: u32, plane2: u32, scales: u32, table: u32,
    rows: u32, first_row: u32, m: u32, y_stride: u32, y_at: u32, opaque_zero: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> q8: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;

const MAX_TILE_M = 16u;

var<workgroup> partial: array<vec4<f32>, LANES>;

// A chunk of a row of x, as quantize_q8 leaves it.
struct Chunk { even: vec4<u32>, odd: vec4<u32>, d: f32, sum: i32, half_sum: i32, scaled: f32 }

fn load_chunk(m: u32, c: u32) -> Chunk {
    let at = (min(m, params.m - 1u) * params.chunks + c) * 3u;
    let about = q8[at + 2u];
    return Chunk(
        q8[at], q8[at + 1u], bitcast<f32>(about.x), bitcast<i32>(about.y), bitcast<i32>(about.z),
        bitcast<f32>(about.w));
}

// Σ scale·(code − zero)·q over a chunk: below 2^24, and so exact as an f32.
fn dot_chunk(w: Integers, x: Chunk) -> i32 {
    let front = dot4I8Packed(w.even.x, x.even.x) + dot4I8Packed(w.odd.x, x.odd.x)
        + dot4I8Packed(w.even.y, x.even.y) + dot4I8Packed(w.odd.y, x.odd.y);
    let back = dot4I8Packed(w.even.z, x.even.z) + dot4I8Packed(w.odd.z, x.odd.z)
        + dot4I8Packed(w.even.w, x.even.w) + dot4I8Packed(w.odd.w, x.odd.w);
    return w.scales.x * (front - w.zero * x.half_sum)
        + w.scales.y * (back - w.zero * (x.sum - x.half_sum));
}

// A chunk of four rows of W.
struct Four { a: Integers, b: Integers, c: Integers, d: Integers }

fn load_four(row: u32, c: u32) -> Four {
    let safe = min(vec4<u32>(row) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.rows - 1u));
    return Four(
        integers(load_block(safe.x, c)), integers(load_block(safe.y, c)),
        integers(load_block(safe.z, c)), integers(load_block(safe.w, c)));
}

fn add(sum: vec4<f32>, w: Four, x: Chunk) -> vec4<f32> {
    let dots = vec4<i32>(dot_chunk(w.a, x), dot_chunk(w.b, x), dot_chunk(w.c, x), dot_chunk(w.d, x));
    let step = separate(vec4<f32>(w.a.d, w.b.d, w.c.d, w.d.d) * x.d, params.opaque_zero);
    let products = separate(step * vec4<f32>(dots), params.opaque_zero);
    if !HAS_MINIMUM {
        return sum + products;
    }
    let least = vec4<f32>(w.a.m, w.b.m, w.c.m, w.d.m) * x.scaled;
    return sum + products + separate(least, params.opaque_zero);
}

// Adds up what SPLIT lanes have of the same rows, in a fixed order; the first of them gets the sum.
fn join(own: vec4<f32>, lane: u32) -> vec4<f32> {
    if SPLIT == 1u {
        return own;
    }
    partial[lane] = own;
    workgroupBarrier();
    var sum = own;
    if lane % SPLIT == 0u {
        for (var i = 1u; i < SPLIT; i++) {
            sum += partial[lane + i];
        }
    }
    workgroupBarrier();
    return sum;
}

fn finish(m: u32, row: u32, lane: u32, own: vec4<f32>) {
    let sum = join(own, lane);
    if lane % SPLIT == 0u {
        store4(m, row, sum);
    }
}

// The sums of a row of x: four rows of W, and four more where a lane owns eight.
struct Sums { a: vec4<f32>, b: vec4<f32> }

fn add_row(own: Sums, m: u32, c: u32, w: Four, more: Four) -> Sums {
    let x = load_chunk(m, c);
    if EIGHT {
        return Sums(add(own.a, w, x), add(own.b, more, x));
    }
    return Sums(add(own.a, w, x), own.b);
}

fn finish_row(own: Sums, m: u32, row: u32, lane: u32) {
    finish(m, row, lane, own.a);
    if EIGHT {
        finish(m, row + 4u, lane, own.b);
    }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    open_weights();
    let row = (group.x * (LANES / SPLIT) + lane / SPLIT) * select(4u, 8u, EIGHT);
    let first_m = group.y * TILE_M;

    // A single row's sums are apart, for lib/attention_quad.wgsl's reason; written out, sixteen rows would
    // compile for seconds, since few drivers have dot4I8Packed.
    var single: Sums;
    var sums: array<Sums, MAX_TILE_M>;
    for (var c = lane % SPLIT; c < params.chunks; c += SPLIT) {
        let w = load_four(row, c);
        var more = w;
        if EIGHT {
            more = load_four(row + 4u, c);
        }
        if TILE_M == 1u {
            single = add_row(single, first_m, c, w, more);
        } else {
            for (var m = 0u; m < TILE_M; m++) {
                sums[m] = add_row(sums[m], first_m + m, c, w, more);
            }
        }
    }
    if TILE_M == 1u {
        finish_row(single, first_m, row, lane);
    } else {
        for (var m = 0u; m < TILE_M; m++) {
            finish_row(sums[m], first_m + m, row, lane);
        }
    }
}
