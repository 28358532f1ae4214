// Softmax over rows of z = scale·x + mask; docs/SOFTMAX.md has the mathematics and the bounds.
//
// The algorithm (lib/softmax_two_pass, _three_pass or _online) and the types of x, mask and y
// (lib/softmax_in_*, _mask_*, _out_*) are parts. A team of TEAM lanes takes one item, lane p of it
// the vec4s p, p + TEAM, .. ; its sums are added in fours, runs and a tree, in an order that depends
// on TEAM and the item's size only.
//   ROWS   an item is a row, read once and held in registers, HELD vec4s a lane
//   FOLD   an item is a chunk of a row; its sum goes to `pairs`
//   WRITE  an item is a chunk of a row; the sums of the row's chunks, `before`, are added first
// −inf and what lies behind the row's visible part contribute nothing; +inf or NaN make the row NaN.
// All three are told by bits and become marks (lib/extexp); |scale·x + mask| counts as 2^126 beyond.

override LANES: u32 = 64u;
override TEAM: u32 = 8u;
override HELD: u32 = 8u;
override STAGE: u32 = 0u;
// Which of three passes a FOLD is.
override PASS: u32 = 0u;
override MASKED: bool = false;
override IN_PLACE: bool = false;
// y is the logarithm of the softmax.
override LOG: bool = false;
// `pairs` takes the row's log-sum-exp.
override LOG_SUM: bool = false;

const ROWS = 0u;
const FOLD = 1u;
const WRITE = 2u;
// vec4s that a lane adds in one step, and steps whose sum is kept apart.
const STEP = 4u;
const RUN = 8u;
const MAX_HELD = 32u;

// chunk counts vec4s; visible is what row 0 sees of cols, each row `causal` more than the one before;
// limit: |x| from these bits on takes the rare path, where scale·x may not be small.
struct Params {
    cols: u32, rows: u32, x_stride: u32, y_stride: u32, mask_stride: u32, mask_rows: u32,
    chunk: u32, chunks: u32, visible: u32, causal: u32, limit: u32, scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read> before: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> pairs: array<u32>;

var<workgroup> team_v: array<f32, LANES>;
var<workgroup> team_e: array<f32, LANES>;

const MAGNITUDE = 0x7fffffffu;
const INF = 0x7f800000u;
const NEGATIVE_INF = 0xff800000u;
const NOT_A_NUMBER = 0x7fc00000u;
const MASK_LIMIT = 0x46000000u;

fn visible(row: u32) -> u32 {
    return min(params.cols, params.visible + params.causal * row);
}

// A vec4 of z, ready to be summed, or nothing.
fn load(row: u32, i: u32, end: u32) -> Held {
    if 4u * i >= end {
        return nothing();
    }
    var bits: vec4<u32>;
    if IN_PLACE {
        bits = y_bits(row, i);
    } else {
        bits = x_bits(row, i);
    }
    var z = bitcast<vec4<f32>>(bits) * params.scale;
    var rare = 4u * i + 4u > end || any((bits & vec4<u32>(MAGNITUDE)) >= vec4<u32>(params.limit));
    var extra = vec4<u32>();
    if MASKED {
        extra = mask_bits(row % params.mask_rows, i);
        z += bitcast<vec4<f32>>(extra);
        rare = rare || any((extra & vec4<u32>(MAGNITUDE)) >= vec4<u32>(MASK_LIMIT));
    }
    if rare {
        let left = end - 4u * i;
        z.x = careful(bits.x, extra.x);
        z.y = select(PAIR_ZERO.e, careful(bits.y, extra.y), left > 1u);
        z.z = select(PAIR_ZERO.e, careful(bits.z, extra.z), left > 2u);
        z.w = select(PAIR_ZERO.e, careful(bits.w, extra.w), left > 3u);
    }
    return hold(z, rare);
}

// scale·x + mask of any bits, without an overflow on the way; the marks for what is no number.
fn careful(x: u32, extra: u32) -> f32 {
    if spoils(x) || spoils(extra) {
        return -PAIR_ZERO.e;
    }
    if x == NEGATIVE_INF || extra == NEGATIVE_INF {
        return PAIR_ZERO.e;
    }
    let far = (bitcast<f32>(x) * 0x1p-66) * params.scale;
    // Selected before it is multiplied, so that no product overflows.
    let near = select(bitcast<f32>(x), 0.0, abs(far) >= 0x1p60) * params.scale;
    let z = select(near, sign(far) * 0x1p126, abs(far) >= 0x1p60);
    return clamp(z + clamp(bitcast<f32>(extra), -0x1p126, 0x1p126), -0x1p126, 0x1p126);
}

fn spoils(bits: u32) -> bool {
    return (bits & MAGNITUDE) >= INF && bits != NEGATIVE_INF;
}

fn gather(sum: Pair4) -> Pair {
    let xz = Pair(sum.v.x, sum.e.x);
    let yw = Pair(sum.v.y, sum.e.y);
    return join(
        join(xz, Pair(sum.v.z, sum.e.z)),
        join(yw, Pair(sum.v.w, sum.e.w)),
    );
}

// The sum over the lanes of a team; all lanes of the workgroup must call it.
fn team_sum(lane: u32, mine: Pair) -> Pair {
    if TEAM == 1u {
        return mine;
    }
    let first = lane / TEAM * TEAM;
    workgroupBarrier();
    team_v[lane] = mine.v;
    team_e[lane] = mine.e;
    workgroupBarrier();
    for (var n = TEAM / 2u; n >= 8u; n /= 2u) {
        if lane - first < n {
            let sum = join(at_lane(lane), at_lane(lane + n));
            team_v[lane] = sum.v;
            team_e[lane] = sum.e;
        }
        workgroupBarrier();
    }
    let a = join(join(at_lane(first), at_lane(first + 4u)), join(at_lane(first + 2u), at_lane(first + 6u)));
    let b = join(join(at_lane(first + 1u), at_lane(first + 5u)), join(at_lane(first + 3u), at_lane(first + 7u)));
    return join(a, b);
}

fn at_lane(lane: u32) -> Pair {
    return Pair(team_v[lane], team_e[lane]);
}

// vec4s first + p, first + p + TEAM, .. before `last` of a row.
fn fold_chunk(row: u32, p: u32, first: u32, last: u32, total: Pair, pass_index: u32) -> Pair {
    let end = visible(row);
    let stop = min(last, (end + 3u) / 4u);
    var sum = start(total, pass_index);
    for (var run = first + p; run < stop; run += RUN * STEP * TEAM) {
        var part = start(total, pass_index);
        let run_stop = min(stop, run + RUN * STEP * TEAM);
        for (var i = run; i < run_stop; i += STEP * TEAM) {
            part = fold4(
                part, load(row, i, end), load(row, i + TEAM, end), load(row, i + 2u * TEAM, end),
                load(row, i + 3u * TEAM, end), pass_index,
            );
        }
        sum = join4(sum, part);
    }
    return gather(sum);
}

// The sum over all chunks of a row, as the pass before left it.
fn row_sum(row: u32, p: u32, lane: u32, live: bool) -> Pair {
    var sum = PAIR_ZERO;
    for (var k = p; live && k < params.chunks; k += TEAM) {
        let pair = before[row * params.chunks + k];
        sum = join(sum, Pair(pair.x, pair.y));
    }
    return team_sum(lane, sum);
}

fn results(h: Held, total: Pair, inverse: f32, log_sum: f32) -> vec4<u32> {
    if total.e > PAIR_MARK {
        return vec4<u32>(NOT_A_NUMBER);
    }
    if LOG {
        let gone = h.z < vec4<f32>(-PAIR_MARK);
        return select(bitcast<vec4<u32>>(log_weight(h, total, log_sum)), vec4<u32>(NEGATIVE_INF), gone);
    }
    if total.e < -PAIR_MARK {
        return vec4<u32>();
    }
    return bitcast<vec4<u32>>(weight(h, total, inverse));
}

fn put_log_sum(row: u32, total: Pair, log_sum: f32) {
    let value = bitcast<u32>(log_sum_exp(total, log_sum));
    pairs[row] = select(
        select(value, NEGATIVE_INF, total.e < -PAIR_MARK), NOT_A_NUMBER, total.e > PAIR_MARK,
    );
}

// ln of a sum, which is at least 0.7 unless the row is empty or spoilt.
fn log_of(total: Pair) -> f32 {
    if LOG || LOG_SUM {
        return ln(max(total.v, 0.5));
    }
    return 0.0;
}

fn rows(row: u32, p: u32, lane: u32, live: bool) {
    let end = select(0u, visible(row), live);
    var held: array<Held, MAX_HELD>;
    for (var j = 0u; j < HELD; j++) {
        held[j] = load(row, p + j * TEAM, end);
    }
    var total = PAIR_ZERO;
    for (var pass_index = 0u; pass_index < PASSES; pass_index++) {
        var sum = start(total, pass_index);
        for (var j = 0u; j < HELD; j += STEP) {
            sum = fold4(sum, held[j], held[j + 1u], held[j + 2u], held[j + 3u], pass_index);
        }
        total = team_sum(lane, gather(sum));
    }
    if !live {
        return;
    }
    let inverse = 1.0 / total.v;
    let log_sum = log_of(total);
    for (var j = 0u; j < HELD; j++) {
        let i = p + j * TEAM;
        if 4u * i < params.cols {
            put(row, i, results(held[j], total, inverse, log_sum), params.cols - 4u * i);
        }
    }
    if LOG_SUM && p == 0u {
        put_log_sum(row, total, log_sum);
    }
}

fn fold(item: u32, p: u32, lane: u32, live: bool) {
    let row = item / params.chunks;
    let first = item % params.chunks * params.chunk;
    var total = PAIR_ZERO;
    if PASS > 0u {
        total = row_sum(row, p, lane, live);
    }
    var mine = PAIR_ZERO;
    if live {
        mine = fold_chunk(row, p, first, first + params.chunk, total, PASS);
    }
    mine = team_sum(lane, mine);
    if live && p == 0u {
        pairs[2u * item] = bitcast<u32>(mine.v);
        pairs[2u * item + 1u] = bitcast<u32>(mine.e);
    }
}

fn write(item: u32, p: u32, lane: u32, live: bool) {
    let row = item / params.chunks;
    let first = item % params.chunks * params.chunk;
    let total = row_sum(row, p, lane, live);
    if !live {
        return;
    }
    let end = visible(row);
    let inverse = 1.0 / total.v;
    let log_sum = log_of(total);
    let stop = min(first + params.chunk, (params.cols + 3u) / 4u);
    for (var i = first + p; i < stop; i += TEAM) {
        put(row, i, results(load(row, i, end), total, inverse, log_sum), params.cols - 4u * i);
    }
    if LOG_SUM && first + p == 0u {
        put_log_sum(row, total, log_sum);
    }
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let item = (group.y * groups.x + group.x) * (LANES / TEAM) + lane / TEAM;
    let p = lane % TEAM;
    let live = item < params.rows * params.chunks;
    if STAGE == ROWS {
        rows(item, p, lane, live);
    } else if STAGE == FOLD {
        fold(item, p, lane, live);
    } else {
        write(item, p, lane, live);
    }
}
