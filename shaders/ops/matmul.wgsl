// y = x·Wᵀ on packed weights: y[m, n] = Σ_k x[m, k]·W[n, k], accumulated in f32.
//
// A lane owns 4 rows of W and TILE_M rows of x: a block of each of its rows is loaded once, decoded
// eight weights at a time in registers, and used for every row of x. TILE_M = 1 is the GEMV of
// decoding; larger tiles are prefill. SPLIT lanes share the same rows, each taking every SPLIT-th
// chunk, and add up in a fixed order: 1 where lanes are few (a CPU), more where they are many.

override LANES: u32 = 64u;
override SPLIT: u32 = 16u;
override TILE_M: u32 = 1u;
// Whether the last chunk reaches past the end of x's rows.
override TAIL: bool = false;
// Whether to add to what is in y (a residual), and whether to add a bias per column.
override ACCUMULATE: bool = false;
override BIAS: bool = false;

// Strides of x count vec4s. The shard holds rows first_row .. first_row + rows of W.
struct Params {
    chunks: u32, plane1: u32, plane2: u32, scales: u32, table: u32,
    rows: u32, first_row: u32, m: u32, x_row: u32, x_stride: u32, y_stride: u32, y_at: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
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

fn load_x(m: u32, i: u32) -> vec4<f32> {
    if TAIL && i >= params.x_stride {
        return vec4<f32>();
    }
    return x[(params.x_row + m) * params.x_stride + i];
}

fn store(m: u32, row: u32, value: f32) {
    if m >= params.m || row >= params.rows {
        return;
    }
    let n = params.first_row + row;
    let to = m * params.y_stride + params.y_at + n;
    var sum = row_scale(row) * value;
    if BIAS {
        sum += bias[n];
    }
    if ACCUMULATE {
        sum += y[to];
    }
    y[to] = sum;
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
        let b0 = load_block(safe.x, c);
        let b1 = load_block(safe.y, c);
        let b2 = load_block(safe.z, c);
        let b3 = load_block(safe.w, c);
        for (var g = 0u; g < 4u; g++) {
            let w0 = decode8(b0, g);
            let w1 = decode8(b1, g);
            let w2 = decode8(b2, g);
            let w3 = decode8(b3, g);
            let k = c * 8u + g * 2u;
            for (var m = 0u; m < TILE_M; m++) {
                let lo = load_x(min(first_m + m, params.m - 1u), k);
                let hi = load_x(min(first_m + m, params.m - 1u), k + 1u);
                let sum = sums[m];
                sums[m] = vec4<f32>(
                    dot8(sum.x, w0, lo, hi), dot8(sum.y, w1, lo, hi),
                    dot8(sum.z, w2, lo, hi), dot8(sum.w, w3, lo, hi));
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
