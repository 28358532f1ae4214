// Causal attention over the cache, on (mantissa, exponent) pairs: y = Σ_j exp(s_j)·v_j / Σ_j exp(s_j)
// with s_j = scale·q·k_j, never materialising the scores. A workgroup per query and head, which
// walks the cache in blocks of LANES positions: first a lane per position computes its score's
// exponential as a pair, then a lane per component of v adds the block up. The accumulators share
// one exponent; rescaling them is by a power of two, so exact, and needed only when it grows.

override LANES: u32 = 64u;
// Components of a head that a lane owns: ceil(head_dim / LANES), at most 4.
override DIMS: u32 = 1u;

// kv_stride counts floats per position.
struct Params {
    head_dim: u32, group: u32, q_stride: u32, kv_stride: u32, y_stride: u32, scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> v: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

var<workgroup> weight_v: array<f32, LANES>;
var<workgroup> weight_e: array<f32, LANES>;

fn score(q_at: u32, k_at: u32) -> f32 {
    var sum = 0.0;
    for (var i = 0u; i < params.head_dim / 4u; i++) {
        sum += dot(q[q_at + i], k[k_at + i]);
    }
    return sum * params.scale;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let head = group.x;
    let row = group.y;
    let positions = step.position + row + 1u;
    let q_at = (row * params.q_stride + head * params.head_dim) / 4u;
    let kv_at = head / params.group * params.head_dim;

    var sums = array<f32, 4>(0.0, 0.0, 0.0, 0.0);
    var total = PAIR_ZERO;
    for (var block = 0u; block < positions; block += LANES) {
        var weight = PAIR_ZERO;
        if block + lane < positions {
            weight = pair_exp(score(q_at, ((block + lane) * params.kv_stride + kv_at) / 4u));
        }
        weight_v[lane] = weight.v;
        weight_e[lane] = weight.e;
        workgroupBarrier();
        for (var j = 0u; j < min(LANES, positions - block); j++) {
            let w = Pair(weight_v[j], weight_e[j]);
            if w.e > total.e {
                let shrink = exp2_int(total.e - w.e);
                for (var i = 0u; i < DIMS; i++) {
                    sums[i] *= shrink;
                }
                total = Pair(total.v * shrink, w.e);
            }
            let factor = w.v * exp2_int(w.e - total.e);
            total.v += factor;
            for (var i = 0u; i < DIMS; i++) {
                let d = min(lane + i * LANES, params.head_dim - 1u);
                sums[i] += factor * v[(block + j) * params.kv_stride + kv_at + d];
            }
        }
        workgroupBarrier();
    }
    for (var i = 0u; i < DIMS; i++) {
        let d = lane + i * LANES;
        if d < params.head_dim {
            y[row * params.y_stride + head * params.head_dim + d] = sums[i] / total.v;
        }
    }
}
