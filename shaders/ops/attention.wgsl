// Causal attention over the cache, on (mantissa, exponent) pairs: y = Σ_j exp(s_j)·v_j / Σ_j exp(s_j)
// with s_j = scale·q·k_j, never materialising the scores. A workgroup per query and head, which
// walks the cache in blocks of LANES positions: first a lane per position computes its score's
// exponential as a pair; then TEAMS teams of lanes, a lane per vec4 of the head, each add up every
// TEAMS-th position of the block. A lane's sums share an exponent, and rescaling them is by powers
// of two, so exact. At the end the teams' sums are added in a fixed order.

override LANES: u32 = 64u;
// Lanes of a team: head_dim / 4, at most LANES; and teams: LANES / WIDTH.
override WIDTH: u32 = 16u;
override TEAMS: u32 = 4u;

// kv_stride counts floats per position.
struct Params {
    head_dim: u32, group: u32, q_stride: u32, kv_stride: u32, y_stride: u32, scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;

var<workgroup> pair_v: array<f32, LANES>;
var<workgroup> pair_e: array<f32, LANES>;
var<workgroup> team_sums: array<vec4<f32>, LANES>;

fn score(q_at: u32, k_at: u32) -> f32 {
    var sum = 0.0;
    for (var i = 0u; i < WIDTH; i++) {
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
    let kv_at = head / params.group * WIDTH;
    let kv_stride = params.kv_stride / 4u;
    let team = lane / WIDTH;
    let place = lane % WIDTH;

    var sums = vec4<f32>();
    var total = PAIR_ZERO;
    for (var block = 0u; block < positions; block += LANES) {
        var mine = PAIR_ZERO;
        if block + lane < positions {
            mine = pair_exp(score(q_at, (block + lane) * kv_stride + kv_at));
        }
        pair_v[lane] = mine.v;
        pair_e[lane] = mine.e;
        workgroupBarrier();
        let end = select(0u, min(LANES, positions - block), team < TEAMS);
        for (var j = team; j < end; j += TEAMS) {
            let e = max(total.e, pair_e[j]);
            let shrink = exp2_int(total.e - e);
            let weight = pair_v[j] * exp2_int(pair_e[j] - e);
            sums = sums * shrink + weight * v[(block + j) * kv_stride + kv_at + place];
            total = Pair(total.v * shrink + weight, e);
        }
        workgroupBarrier();
    }
    pair_v[lane] = total.v;
    pair_e[lane] = total.e;
    team_sums[lane] = sums;
    workgroupBarrier();
    if lane >= WIDTH {
        return;
    }
    for (var t = 1u; t < TEAMS; t++) {
        let other = lane + t * WIDTH;
        let e = max(total.e, pair_e[other]);
        let shrink = exp2_int(total.e - e);
        let scale = exp2_int(pair_e[other] - e);
        sums = sums * shrink + team_sums[other] * scale;
        total = Pair(total.v * shrink + pair_v[other] * scale, e);
    }
    y[(row * params.y_stride + head * params.head_dim) / 4u + lane] = sums / total.v;
}
