// The k largest values of a row, best first, of equals the lower place first. NaN counts as larger
// than everything, so that it is seen; −0 equals +0.
//
// A workgroup takes CHUNK entries, each lane a run of them. Radix selection: a histogram of the keys'
// highest 11 bits tells in which bin the k-th largest lies, one of the next 11 where in that bin, one
// of the last 10 the key itself. What is above goes into a list in any order, of what equals it the
// first come; then each finds its rank by counting. MERGE: the same over the lists of all chunks, by
// one workgroup; equals stand in the order of their places there, too.
//
// A list is WIDTH values, then WIDTH places; where there are fewer entries, the rest are −inf, NONE.

override LANES: u32 = 256u;
override CHUNK: u32 = 4096u;
override WIDTH: u32 = 64u;
override MERGE: bool = false;

// Entries of the row, or of all lists.
struct Params { entries: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;

const NONE: u32 = 0xffffffffu;
const NEGATIVE_INFINITY: u32 = 0xff800000u;
const BINS: u32 = 2048u;
const COARSE: u32 = 16u;

var<workgroup> bins: array<atomic<u32>, BINS>;
// Sums of COARSE bins each.
var<workgroup> sums: array<u32, BINS / COARSE>;
// The bin in which the last entry of the list lies, and how many entries of that bin are in the list.
var<workgroup> found: vec2<u32>;
var<workgroup> above: atomic<u32>;
// How many entries of each lane's equal the last one; then of all lanes before it.
var<workgroup> equal: array<u32, LANES>;
var<workgroup> list_bits: array<u32, WIDTH>;
var<workgroup> list_places: array<u32, WIDTH>;

// A key that orders like the float whose bits it is made from, −0 as +0, all NaNs on top.
fn order(bits: u32) -> u32 {
    let negative = bits > 0x80000000u;
    let key = select(bits | 0x80000000u, ~bits, negative);
    return select(key, 0xffffffffu, (bits & 0x7fffffffu) > 0x7f800000u);
}

fn bits_of(i: u32) -> u32 {
    if MERGE {
        return x[i + i / WIDTH * WIDTH];
    }
    return x[i];
}

fn place_of(i: u32) -> u32 {
    if MERGE {
        return x[i + i / WIDTH * WIDTH + WIDTH];
    }
    return i;
}

// By lane 0: the bin down to which, from the highest, there are `wanted` entries.
fn find(wanted: u32) {
    var left = wanted;
    var coarse = BINS / COARSE - 1u;
    for (; coarse > 0u && sums[coarse] < left; coarse--) {
        left -= sums[coarse];
    }
    var bin = coarse * COARSE + COARSE - 1u;
    for (; bin > coarse * COARSE; bin--) {
        let here = atomicLoad(&bins[bin]);
        if here >= left {
            break;
        }
        left -= here;
    }
    found = vec2<u32>(bin, left);
}

// Which digit of `bits` bits above `shift` the last entry's key has, of keys that begin with `known`;
// and how many entries with all these digits are in the list.
fn digit(lane: u32, run: vec2<u32>, known: u32, shift: u32, bits: u32, wanted: u32) -> vec2<u32> {
    for (var b = lane; b < BINS; b += LANES) {
        atomicStore(&bins[b], 0u);
    }
    workgroupBarrier();
    let mask = (1u << bits) - 1u;
    // All digits above this one; none above the first.
    let fixed = select(~((mask << shift) | ((1u << shift) - 1u)), 0u, shift + bits == 32u);
    for (var i = run.x; i < run.y; i++) {
        let key = order(bits_of(i));
        if (key & fixed) == known {
            atomicAdd(&bins[(key >> shift) & mask], 1u);
        }
    }
    workgroupBarrier();
    for (var c = lane; c < BINS / COARSE; c += LANES) {
        var sum = 0u;
        for (var b = c * COARSE; b < (c + 1u) * COARSE; b++) {
            sum += atomicLoad(&bins[b]);
        }
        sums[c] = sum;
    }
    workgroupBarrier();
    if lane == 0u {
        find(wanted);
    }
    workgroupBarrier();
    return found;
}

// Fills the list with what is above `last`, and the first `equals` entries that equal it.
fn collect(lane: u32, run: vec2<u32>, last: u32, equals: u32, wanted: u32) {
    var mine = 0u;
    for (var i = run.x; i < run.y; i++) {
        let bits = bits_of(i);
        let key = order(bits);
        if key > last {
            let slot = atomicAdd(&above, 1u);
            list_bits[slot] = bits;
            list_places[slot] = place_of(i);
        }
        mine += select(0u, 1u, key == last);
    }
    equal[lane] = mine;
    workgroupBarrier();
    if lane == 0u {
        var sum = 0u;
        for (var l = 0u; l < LANES; l++) {
            let here = equal[l];
            equal[l] = sum;
            sum += here;
        }
    }
    workgroupBarrier();
    var rank = equal[lane];
    if mine > 0u && rank < equals {
        for (var i = run.x; i < run.y; i++) {
            let bits = bits_of(i);
            if order(bits) == last {
                if rank < equals {
                    list_bits[wanted - equals + rank] = bits;
                    list_places[wanted - equals + rank] = place_of(i);
                }
                rank++;
            }
        }
    }
    workgroupBarrier();
}

// How many entries of the list come before entry i. Only fillers are equal in both.
fn rank_of(i: u32, wanted: u32) -> u32 {
    let key = order(list_bits[i]);
    let place = list_places[i];
    var rank = 0u;
    for (var j = 0u; j < wanted; j++) {
        let other = order(list_bits[j]);
        let before = list_places[j] < place || (list_places[j] == place && j < i);
        rank += select(0u, 1u, other > key || (other == key && before));
    }
    return rank;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let start = select(group.x * CHUNK, 0u, MERGE);
    let end = select(min(start + CHUNK, params.entries), params.entries, MERGE);
    let length = (end - start + LANES - 1u) / LANES;
    let first = min(start + lane * length, end);
    let run = vec2<u32>(first, min(first + length, end));
    let wanted = min(WIDTH, end - start);
    if lane == 0u {
        atomicStore(&above, 0u);
    }
    let high = digit(lane, run, 0u, 21u, 11u, wanted);
    let middle = digit(lane, run, high.x << 21u, 10u, 11u, high.y);
    let known = (high.x << 21u) | (middle.x << 10u);
    let low = digit(lane, run, known, 0u, 10u, middle.y);
    collect(lane, run, known | low.x, low.y, wanted);
    let list = group.x * 2u * WIDTH;
    for (var i = lane; i < WIDTH; i += LANES) {
        if i < wanted {
            let to = list + rank_of(i, wanted);
            y[to] = list_bits[i];
            y[to + WIDTH] = list_places[i];
        } else {
            y[list + i] = NEGATIVE_INFINITY;
            y[list + WIDTH + i] = NONE;
        }
    }
}
