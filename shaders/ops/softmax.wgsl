// Softmax over rows of z = scale·x + mask; docs/SOFTMAX.md has the mathematics and the bounds.
//
// The algorithm (lib/softmax_two_pass, _three_pass or _online) and the types of x, mask and y
// (lib/softmax_in_*, _mask_*, _out_*) are parts. A team of TEAM lanes takes one item, lane p of it
// the vec4s p, p + TEAM, .. ; its sums are added in fours, runs and a tree, in an order that depends
// on TEAM and the item's size only.
//   HOLD   an item is a row, read once and held in registers, HELD times STEP vec4s a lane
//   ROWS   an item is a row, read again for each pass
//   FOLD   an item is a chunk of a row; its sum goes to `pairs`
//   WRITE  an item is a chunk of a row; the sums of the row's chunks, `before`, are added first
// −inf and what lies behind the row's visible part contribute nothing; +inf or NaN make the row NaN.
// All three are told by bits and become marks (lib/extexp); |scale·x + mask| counts as 2^126 beyond.
//
// Whole vec4s of ordinary values are loaded `quickly`, while their magnitudes are watched. If one is
// not ordinary, the chunk is done again `carefully`, as its last few values always are. That is a loop
// of its own, since software executes both sides of an if.

override LANES: u32 = 64u;
override TEAM: u32 = 8u;
// 1 to 4 steps.
override HELD: u32 = 1u;
override STAGE: u32 = 0u;
// Which of three passes a FOLD is.
override PASS: u32 = 0u;
override MASKED: bool = false;
override IN_PLACE: bool = false;
// y is the logarithm of the softmax.
override LOG: bool = false;
// `pairs` takes the row's log-sum-exp.
override LOG_SUM: bool = false;
// Whether rows end within a vec4.
override TAIL: bool = true;

const HOLD = 0u;
const ROWS = 1u;
const FOLD = 2u;
const WRITE = 3u;
// vec4s that a lane adds in one step, and steps whose sum is kept apart.
const STEP = 4u;
const RUN = 8u;

// chunk counts vec4s; the sums of chunks are added in runs of chunk_run; visible is what row 0 sees
// of cols, each row `causal` more than the one before; limit: |x| from these bits on is not surely
// ordinary. step is STEP; as a variable, it keeps a rare loop from being unrolled.
struct Params {
    cols: u32, rows: u32, x_stride: u32, y_stride: u32, mask_stride: u32, mask_rows: u32,
    chunk: u32, chunks: u32, visible: u32, causal: u32, limit: u32, step: u32,
    chunk_run: u32, scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read> before: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> pairs: array<u32>;

var<workgroup> team_pairs: array<vec2<f32>, LANES>;
var<workgroup> team_care: array<u32, LANES>;

const MAGNITUDE = 0x7fffffffu;
const INF = 0x7f800000u;
const NEGATIVE_INF = 0xff800000u;
const NOT_A_NUMBER = 0x7fc00000u;
const MASK_LIMIT = 0x46000000u;

fn visible(row: u32) -> u32 {
    return min(params.cols, params.visible + params.causal * row);
}

// A row of this lane's, worked out ahead of its loops: no driver moves work out of a loop for us.
struct Row { x: u32, mask: u32, y: u32, end: u32, scale: f32 }

fn row_of(row: u32) -> Row {
    return Row(x_row(row), mask_row(row % params.mask_rows), y_row(row), visible(row), params.scale);
}

fn bits_of(row: Row, i: u32) -> vec4<u32> {
    if IN_PLACE {
        return y_bits(row.y, i);
    }
    return x_bits(row.x, i);
}

// The largest magnitudes that a lane has met, as bits.
struct Watch { x: vec4<u32>, mask: vec4<u32> }

fn is_ordinary(watch: Watch) -> bool {
    return all(watch.x < vec4<u32>(params.limit)) && all(watch.mask < vec4<u32>(MASK_LIMIT));
}

// A whole vec4 of z that is ordinary: |scale·x| and |mask| below 2^13, or −inf where there is a mask.
fn quickly(row: Row, i: u32, watch: ptr<function, Watch>) -> Held {
    let bits = bits_of(row, i);
    let z = bitcast<vec4<f32>>(bits) * row.scale;
    if !MASKED {
        (*watch).x = max((*watch).x, bits & vec4<u32>(MAGNITUDE));
        return hold(z);
    }
    let extra = mask_bits(row.mask, i);
    let gone = (bits == vec4<u32>(NEGATIVE_INF)) | (extra == vec4<u32>(NEGATIVE_INF));
    (*watch).x = max((*watch).x, select(bits & vec4<u32>(MAGNITUDE), vec4<u32>(), gone));
    (*watch).mask = max((*watch).mask, select(extra & vec4<u32>(MAGNITUDE), vec4<u32>(), gone));
    return hold_seen(z + bitcast<vec4<f32>>(extra), gone);
}

// Any vec4 of z, of which values from column row.end on are not seen.
fn carefully(row: Row, i: u32) -> Held {
    let at = min(i, (params.cols - 1u) / 4u);
    let bits = bits_of(row, at);
    var extra = vec4<u32>();
    if MASKED {
        extra = mask_bits(row.mask, at);
    }
    let z = careful(bits, extra, row.scale);
    let column = 4u * i + vec4<u32>(0u, 1u, 2u, 3u);
    return hold_any(select(z, vec4<f32>(PAIR_ZERO.e), column >= vec4<u32>(row.end)));
}

// One step: the vec4s i, i + TEAM, ..
struct Four { a: Held, b: Held, c: Held, d: Held }

fn four_quickly(row: Row, i: u32, most: u32, watch: ptr<function, Watch>) -> Four {
    let a = quickly(row, min(i, most), watch);
    let b = quickly(row, min(i + TEAM, most), watch);
    let c = quickly(row, min(i + 2u * TEAM, most), watch);
    let d = quickly(row, min(i + 3u * TEAM, most), watch);
    return Four(a, b, c, d);
}

fn four_carefully(row: Row, i: u32) -> Four {
    var four: Four;
    for (var j = 0u; j < params.step; j++) {
        let held = carefully(row, i + j * TEAM);
        if j == 0u {
            four.a = held;
        } else if j == 1u {
            four.b = held;
        } else if j == 2u {
            four.c = held;
        } else {
            four.d = held;
        }
    }
    return four;
}

fn fold_four(sum: Pair4, four: Four, pass_index: u32) -> Pair4 {
    return fold4(sum, four.a, four.b, four.c, four.d, pass_index);
}

// scale·x + mask of any bits, without an overflow on the way; the marks for what is no number.
fn careful(x: vec4<u32>, extra: vec4<u32>, scale: f32) -> vec4<f32> {
    let spoilt = spoils(x) | spoils(extra);
    let gone = (x == vec4<u32>(NEGATIVE_INF)) | (extra == vec4<u32>(NEGATIVE_INF));
    // Selected before they are multiplied, so that no operand and no product is infinite.
    let number = bitcast<vec4<f32>>(select(x, vec4<u32>(), spoilt | gone));
    let far = (number * 0x1p-66) * scale;
    let is_far = abs(far) >= vec4<f32>(0x1p60);
    let scaled = select(select(number, vec4<f32>(), is_far) * scale, sign(far) * 0x1p126, is_far);
    let most = vec4<f32>(0x1p126);
    let added = clamp(bitcast<vec4<f32>>(select(extra, vec4<u32>(), spoilt | gone)), -most, most);
    let z = select(clamp(scaled + added, -most, most), vec4<f32>(PAIR_ZERO.e), gone);
    return select(z, vec4<f32>(-PAIR_ZERO.e), spoilt);
}

fn spoils(bits: vec4<u32>) -> vec4<bool> {
    return ((bits & vec4<u32>(MAGNITUDE)) >= vec4<u32>(INF)) & (bits != vec4<u32>(NEGATIVE_INF));
}

fn gather(sum: Pair4) -> Pair {
    let xz = Pair(sum.v.x, sum.e.x);
    let yw = Pair(sum.v.y, sum.e.y);
    return join(
        join(xz, Pair(sum.v.z, sum.e.z)),
        join(yw, Pair(sum.v.w, sum.e.w)),
    );
}

// The sum over the lanes of a team, in a tree; all lanes of the workgroup must call it.
fn team_sum(lane: u32, mine: Pair) -> Pair {
    if TEAM == 1u {
        return mine;
    }
    let first = lane / TEAM * TEAM;
    var sum = mine;
    workgroupBarrier();
    team_pairs[lane] = vec2<f32>(mine.v, mine.e);
    workgroupBarrier();
    for (var n = TEAM / 2u; n > 0u; n /= 2u) {
        if lane - first < n {
            let other = team_pairs[lane + n];
            sum = join(sum, Pair(other.x, other.y));
            team_pairs[lane] = vec2<f32>(sum.v, sum.e);
        }
        workgroupBarrier();
    }
    let total = team_pairs[first];
    return Pair(total.x, total.y);
}

// Steps from vec4 `first` to `last` of a row that are loaded quickly.
fn whole_steps(row: Row, first: u32, last: u32) -> u32 {
    return (max(min(last, row.end / 4u), first) - first) / (STEP * TEAM);
}

// The sum of a chunk, and whether a whole step of it needed care.
struct Chunk { sum: Pair, careful: bool }

// vec4s first + p, first + p + TEAM, .. before `last` of a row, STEP of them at a time. A step's place
// in the sum does not depend on how it was loaded.
fn fold_chunk(row: Row, p: u32, first: u32, last: u32, total: Pair, pass_index: u32) -> Chunk {
    let width = STEP * TEAM;
    let stop = max(min(last, (row.end + 3u) / 4u), first);
    let steps = (stop - first + width - 1u) / width;
    let whole = whole_steps(row, first, last);
    let lowest = start(total, pass_index);
    var watch = Watch(vec4<u32>(), vec4<u32>());
    var sum = lowest;
    var part = lowest;
    var s = 0u;
    while s < whole {
        part = lowest;
        let run_end = min(s + RUN, whole);
        for (; s < run_end; s++) {
            let four = four_quickly(row, first + p + s * width, 0xffffffffu, &watch);
            part = fold_four(part, four, pass_index);
        }
        if s % RUN == 0u {
            sum = join4(sum, part);
            part = lowest;
        }
    }
    let ordinary = is_ordinary(watch);
    if !ordinary {
        s = 0u;
        sum = lowest;
        part = lowest;
    }
    for (; s < steps; s++) {
        part = fold_four(part, four_carefully(row, first + p + s * width), pass_index);
        if s % RUN == RUN - 1u {
            sum = join4(sum, part);
            part = lowest;
        }
    }
    return Chunk(gather(join4(sum, part)), !ordinary);
}

// The sum over all chunks of a row, as the pass before left it, in runs.
fn row_sum(row: u32) -> Pair {
    var sum = PAIR_ZERO;
    var k = 0u;
    while k < params.chunks {
        var part = PAIR_ZERO;
        let run_end = min(k + params.chunk_run, params.chunks);
        for (; k < run_end; k++) {
            let pair = before[row * params.chunks + k];
            part = join(part, Pair(pair.x, pair.y));
        }
        sum = join(sum, part);
    }
    return sum;
}

// What all elements of a row share.
struct Total { pair: Pair, inverse: f32, log_sum: f32, odd: bool }

fn total_of(pair: Pair) -> Total {
    let odd = abs(pair.e) > PAIR_MARK;
    return Total(pair, 1.0 / pair.v, log_of(pair), odd);
}

// Of a row that has a sum.
fn usual_results(h: Held, total: Total) -> vec4<u32> {
    if LOG {
        let gone = h.z < vec4<f32>(-PAIR_MARK);
        let value = bitcast<vec4<u32>>(log_weight(h, total.pair, total.log_sum));
        return select(value, vec4<u32>(NEGATIVE_INF), gone);
    }
    return bitcast<vec4<u32>>(weight(h, total.pair, total.inverse));
}

fn results(h: Held, total: Total) -> vec4<u32> {
    let empty = select(0u, NEGATIVE_INF, LOG);
    let odd = select(empty, NOT_A_NUMBER, total.pair.e > 0.0);
    return select(usual_results(h, total), vec4<u32>(odd), vec4<bool>(total.odd));
}

fn put_log_sum(row: u32, all: Total) {
    let total = all.pair;
    let value = bitcast<u32>(log_sum_exp(total, all.log_sum));
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

fn held_rows(index: u32, p: u32, lane: u32, live: bool) {
    // Lanes without a row, or behind its end, load what another has; it is made nothing below.
    var row = row_of(min(index, params.rows - 1u));
    row.end = select(0u, row.end, live);
    let width = STEP * TEAM;
    let most = (params.cols - 1u) / 4u;
    var watch = Watch(vec4<u32>(), vec4<u32>());
    var first = four_quickly(row, p, most, &watch);
    var second = first;
    var third = first;
    var fourth = first;
    if HELD > 1u {
        second = four_quickly(row, p + width, most, &watch);
    }
    if HELD > 2u {
        third = four_quickly(row, p + 2u * width, most, &watch);
    }
    if HELD > 3u {
        fourth = four_quickly(row, p + 3u * width, most, &watch);
    }
    // Whole steps of ordinary values stay; what comes behind is loaded again.
    let whole = row.end / 4u / width;
    for (var s = select(0u, whole, is_ordinary(watch)); s < HELD; s++) {
        let four = four_carefully(row, p + s * width);
        if s == 0u {
            first = four;
        } else if s == 1u {
            second = four;
        } else if s == 2u {
            third = four;
        } else {
            fourth = four;
        }
    }
    var pair = PAIR_ZERO;
    for (var pass_index = 0u; pass_index < PASSES; pass_index++) {
        var sum = fold_four(start(pair, pass_index), first, pass_index);
        if HELD > 1u {
            sum = fold_four(sum, second, pass_index);
        }
        if HELD > 2u {
            sum = fold_four(sum, third, pass_index);
        }
        if HELD > 3u {
            sum = fold_four(sum, fourth, pass_index);
        }
        pair = team_sum(lane, gather(sum));
    }
    if !live {
        return;
    }
    let total = total_of(pair);
    put_four(row, p, first, total);
    if HELD > 1u {
        put_four(row, p + width, second, total);
    }
    if HELD > 2u {
        put_four(row, p + 2u * width, third, total);
    }
    if HELD > 3u {
        put_four(row, p + 3u * width, fourth, total);
    }
    if LOG_SUM && p == 0u {
        put_log_sum(index, total);
    }
}

fn put_four(row: Row, i: u32, four: Four, total: Total) {
    put_up_to(row, i, results(four.a, total));
    put_up_to(row, i + TEAM, results(four.b, total));
    put_up_to(row, i + 2u * TEAM, results(four.c, total));
    put_up_to(row, i + 3u * TEAM, results(four.d, total));
}

fn put_up_to(row: Row, i: u32, bits: vec4<u32>) {
    if 4u * i >= params.cols {
        return;
    }
    if TAIL {
        put_some(row.y, i, bits, params.cols - 4u * i);
    } else {
        put(row.y, i, bits);
    }
}

fn rows(index: u32, p: u32, lane: u32, live: bool) {
    let row = row_of(min(index, params.rows - 1u));
    let last = select(0u, (params.cols + 3u) / 4u, live);
    var pair = PAIR_ZERO;
    var needs_care = false;
    for (var pass_index = 0u; pass_index < PASSES; pass_index++) {
        let chunk = fold_chunk(row, p, 0u, last, pair, pass_index);
        needs_care = chunk.careful;
        pair = team_sum(lane, chunk.sum);
    }
    if live {
        write_chunk(index, p, 0u, last, pair, needs_care);
    }
}

fn fold(item: u32, p: u32, lane: u32, live: bool) {
    let index = min(item / params.chunks, params.rows - 1u);
    let first = item % params.chunks * params.chunk;
    var before_this = PAIR_ZERO;
    if PASS > 0u {
        before_this = row_sum(index);
    }
    let last = select(first, first + params.chunk, live);
    let chunk = fold_chunk(row_of(index), p, first, last, before_this, PASS);
    team_care[lane] = select(0u, 1u, chunk.careful);
    let sum = team_sum(lane, chunk.sum);
    if live && p == 0u {
        var care = 0u;
        for (var other = 0u; other < TEAM; other++) {
            care |= team_care[lane + other];
        }
        pairs[4u * item] = bitcast<u32>(sum.v);
        pairs[4u * item + 1u] = bitcast<u32>(sum.e);
        pairs[4u * item + 2u] = care;
    }
}

fn write(item: u32, p: u32) {
    let index = item / params.chunks;
    let first = item % params.chunks * params.chunk;
    let last = min(first + params.chunk, (params.cols + 3u) / 4u);
    write_chunk(index, p, first, last, row_sum(index), bitcast<u32>(before[item].z) != 0u);
}

// A lane's own vec4s first + p, first + p + TEAM, .. of a row.
fn write_chunk(index: u32, p: u32, first: u32, last: u32, pair: Pair, needs_care: bool) {
    let row = row_of(index);
    let total = total_of(pair);
    // Only what the sum's pass has seen to be ordinary.
    let steps = select(whole_steps(row, first, last), 0u, needs_care || total.odd);
    let whole = first + steps * STEP * TEAM;
    var watch = Watch(vec4<u32>(), vec4<u32>());
    var i = first + p;
    for (; i < whole; i += TEAM) {
        put(row.y, i, usual_results(quickly(row, i, &watch), total));
    }
    for (; i < last; i += TEAM) {
        put_some(row.y, i, results(carefully(row, i), total), params.cols - 4u * i);
    }
    if LOG_SUM && first + p == 0u {
        put_log_sum(index, total);
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
    if STAGE == HOLD {
        held_rows(item, p, lane, live);
    } else if STAGE == ROWS {
        rows(item, p, lane, live);
    } else if STAGE == FOLD {
        fold(item, p, lane, live);
    } else if live {
        write(item, p);
    }
}
