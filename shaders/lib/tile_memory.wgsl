// What the lanes of an attention tell each other about a tile, through workgroup memory; the other form
// is lib/tile_subgroup.wgsl.

// The largest exponent of each query so far: the order of an atomic maximum does not matter.
var<workgroup> tops: array<atomic<i32>, MAX_TILE_Q>;

// A float as an integer of the same order, and back.
fn ordered(x: f32) -> i32 {
    let bits = bitcast<i32>(x);
    return bits ^ ((bits >> 31u) & 0x7fffffff);
}

fn unordered(i: i32) -> f32 {
    return bitcast<f32>(i ^ ((i >> 31u) & 0x7fffffff));
}

fn begin_tiles(lane: u32) {
    if lane < TILE_Q {
        atomicStore(&tops[lane], ordered(PAIR_ZERO.e));
    }
    workgroupBarrier();
}

fn tell_top(m: u32, e: f32) {
    atomicMax(&tops[m], ordered(e));
}

// After meet(): query m's largest exponent, which was `before` and of which this lane told e.
fn top_of(m: u32, before: f32, e: f32) -> f32 {
    return unordered(atomicLoad(&tops[m]));
}

fn tell_weights(m: u32, lane: u32, own: vec4<f32>) {
    scratch[m * LANES + lane] = own;
}

// After meet(): what lane j told of query m, where this one told `own`.
fn weights_of(m: u32, j: u32, own: vec4<f32>) -> vec4<f32> {
    return scratch[m * LANES + j];
}

fn meet() {
    workgroupBarrier();
}

// Adds up what the teams have, in a fixed order; the lanes of the first get the sums.
fn join_teams(query: Own, lane: u32) -> Own {
    var own = query;
    let end = LANES / SLICES * SLICES;
    if end == SLICES {
        return own;
    }
    workgroupBarrier();
    scratch[lane] = own.lo;
    scratch[LANES + lane] = own.hi;
    scratch[2u * LANES + lane] = own.total;
    workgroupBarrier();
    if lane < SLICES {
        for (var other = lane + SLICES; other < end; other += SLICES) {
            own.lo += scratch[other];
            own.hi += scratch[LANES + other];
            own.total += scratch[2u * LANES + other];
        }
    }
    return own;
}
