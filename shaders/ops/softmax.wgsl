// Two-pass softmax over rows (arXiv 2001.04438): the first pass folds exp(scale·x) of a row to one
// (mantissa, exponent) pair, the second writes v·2^(e − E) / V. No pass for the maximum, and no
// overflow. −inf contributes nothing, a row of nothing else gives zeros; +inf or NaN anywhere makes
// the whole row NaN (told by bits, since WGSL may assume neither exists). A workgroup per row.

override LANES: u32 = 256u;

struct Params { cols: u32, rows: u32, scale: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;

var<workgroup> folded_v: array<f32, LANES>;
var<workgroup> folded_e: array<f32, LANES>;
var<workgroup> bad: atomic<u32>;

fn load(i: u32) -> Pair {
    let bits = x[i];
    if bits == 0xff800000u {
        return PAIR_ZERO;
    }
    if (bits & 0x7f800000u) == 0x7f800000u {
        atomicStore(&bad, 1u);
    }
    return pair_exp(clamp(bitcast<f32>(bits), -3.4e38, 3.4e38) * params.scale);
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.y * groups.x + group.x;
    if row >= params.rows {
        return;
    }
    let at = row * params.cols;
    if lane == 0u {
        atomicStore(&bad, 0u);
    }
    workgroupBarrier();
    var mine = PAIR_ZERO;
    for (var i = lane; i < params.cols; i += LANES) {
        mine = pair_add(mine, load(at + i));
    }
    folded_v[lane] = mine.v;
    folded_e[lane] = mine.e;
    workgroupBarrier();
    for (var n = LANES / 2u; n > 0u; n /= 2u) {
        if lane < n {
            let other = Pair(folded_v[lane + n], folded_e[lane + n]);
            mine = pair_add(mine, other);
            folded_v[lane] = mine.v;
            folded_e[lane] = mine.e;
        }
        workgroupBarrier();
    }
    let total = Pair(folded_v[0], folded_e[0]);
    let broken = atomicLoad(&bad) != 0u;
    for (var i = lane; i < params.cols; i += LANES) {
        let p = load(at + i);
        let value = select(0.0, p.v / total.v * exp2_int(p.e - total.e), total.v > 0.0);
        y[at + i] = select(bitcast<u32>(value), 0x7fc00000u, broken);
    }
}
