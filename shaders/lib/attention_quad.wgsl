// What an attention does for each of its queries, and for four of them. Written out, not counted: where a
// loop is too long for a driver to unroll (Mesa: 832 operations in all), and where no loop is unrolled
// (SwiftShader), each array that it counts through is memory, gathered lane by lane wherever it is used.

// What a lane knows of a query: where it is read, its largest exponent so far, the scores of the lane's
// four positions (which become weights) and their exponents, the sums of weights and of weighted values.
struct Own {
    at: u32, top: f32, chunk: QChunk,
    scores: vec4<f32>, exponents: vec4<f32>,
    total: vec4<f32>, lo: vec4<f32>, hi: vec4<f32>,
}

fn begin_query(asked: Query) -> Own {
    var own: Own;
    own.at = asked.row * params.q_stride + asked.head * params.width;
    own.top = PAIR_ZERO.e;
    return own;
}

// The first chunk begins a tile.
fn begin_chunk(query: Own, c: u32) -> Own {
    var own = query;
    own.chunk = load_q_chunk(own.at, c);
    if c == 0u {
        own.scores = vec4<f32>();
    }
    return own;
}

// Eight values of the query, group g of chunk c, with as many keys of each position.
fn score(query: Own, w: array<Vec8, 4>, c: u32, g: u32) -> Own {
    var own = query;
    let lo = q_vec4(own.chunk, c, 2u * g);
    let hi = q_vec4(own.chunk, c, 2u * g + 1u);
    let s = own.scores;
    own.scores = vec4<f32>(
        dot8(s.x, w[0], lo, hi), dot8(s.y, w[1], lo, hi),
        dot8(s.z, w[2], lo, hi), dot8(s.w, w[3], lo, hi));
    return own;
}

// The lane's scores become weights.
fn weigh_tile(query: Own, m: u32, asked: Query, keys: vec4<u32>) -> Own {
    var own = query;
    let p = weigh(own.scores, asked, keys);
    own.scores = p.v;
    own.exponents = p.e;
    tell_top(m, largest(p.e));
    return own;
}

// Brings the tile's weights and the sums to the exponent that is the largest now.
fn rescale(query: Own, m: u32, lane: u32) -> Own {
    var own = query;
    let e = top_of(m, own.top, largest(own.exponents));
    own.scores *= exp2_int4(own.exponents - e);
    tell_weights(m, lane, own.scores);
    let shrink = exp2_int(own.top - e);
    own.total *= shrink;
    own.lo *= shrink;
    own.hi *= shrink;
    own.top = e;
    return own;
}

// Eight values of each of lane j's positions, where there are any.
fn add_values(query: Own, m: u32, w: array<Vec8, 4>, j: u32, there: bool) -> Own {
    var own = query;
    let p = select(vec4<f32>(), weights_of(m, j, own.scores), there);
    own.lo = fma(w[3].lo, vec4<f32>(p.w), fma(w[2].lo, vec4<f32>(p.z),
        fma(w[1].lo, vec4<f32>(p.y), fma(w[0].lo, vec4<f32>(p.x), own.lo))));
    own.hi = fma(w[3].hi, vec4<f32>(p.w), fma(w[2].hi, vec4<f32>(p.z),
        fma(w[1].hi, vec4<f32>(p.y), fma(w[0].hi, vec4<f32>(p.x), own.hi))));
    own.total += p;
    return own;
}

// Eight values of a query's result; of a split, as they are, with the sum behind the last.
fn store(own: Own, asked: Query, split: u32, slice: u32) {
    let t = own.total;
    let sum = Pair((t.x + t.y) + (t.z + t.w), own.top);
    var to = asked.row * params.y_stride + asked.head * params.width;
    var scale = 1.0;
    if SPLIT {
        to = ((asked.row * params.heads + asked.head) * params.splits + split) * (params.width + 1u);
        if slice == 0u {
            put_vec4(to + params.width, vec4<f32>(sum.v, sum.e, 0.0, 0.0));
        }
    } else {
        let end = finish(sum, of_heads[asked.head].y);
        scale = end.shrink * end.inverse;
    }
    put_vec4(to + 2u * slice, own.lo * scale);
    if !HALF_SLICE || 2u * slice + 1u < params.width {
        put_vec4(to + 2u * slice + 1u, own.hi * scale);
    }
}

// Queries at .. at + 4 of the workgroup, as many of them as it has.
alias Quad = array<Own, 4>;

fn begin_quad(at: u32, all: Queries) -> Quad {
    var q: Quad;
    q[0] = begin_query(asked(all, at));
    q[1] = begin_query(asked(all, at + 1u));
    q[2] = begin_query(asked(all, at + 2u));
    q[3] = begin_query(asked(all, at + 3u));
    return q;
}

fn begin_chunk_quad(q: ptr<function, Quad>, at: u32, c: u32) {
    if TILE_Q > at { (*q)[0] = begin_chunk((*q)[0], c); }
    if TILE_Q > at + 1u { (*q)[1] = begin_chunk((*q)[1], c); }
    if TILE_Q > at + 2u { (*q)[2] = begin_chunk((*q)[2], c); }
    if TILE_Q > at + 3u { (*q)[3] = begin_chunk((*q)[3], c); }
}

fn score_quad(q: ptr<function, Quad>, at: u32, w: array<Vec8, 4>, c: u32, g: u32) {
    if TILE_Q > at { (*q)[0] = score((*q)[0], w, c, g); }
    if TILE_Q > at + 1u { (*q)[1] = score((*q)[1], w, c, g); }
    if TILE_Q > at + 2u { (*q)[2] = score((*q)[2], w, c, g); }
    if TILE_Q > at + 3u { (*q)[3] = score((*q)[3], w, c, g); }
}

fn weigh_quad(q: ptr<function, Quad>, at: u32, all: Queries, keys: vec4<u32>) {
    if TILE_Q > at { (*q)[0] = weigh_tile((*q)[0], at, asked(all, at), keys); }
    if TILE_Q > at + 1u { (*q)[1] = weigh_tile((*q)[1], at + 1u, asked(all, at + 1u), keys); }
    if TILE_Q > at + 2u { (*q)[2] = weigh_tile((*q)[2], at + 2u, asked(all, at + 2u), keys); }
    if TILE_Q > at + 3u { (*q)[3] = weigh_tile((*q)[3], at + 3u, asked(all, at + 3u), keys); }
}

fn rescale_quad(q: ptr<function, Quad>, at: u32, lane: u32) {
    if TILE_Q > at { (*q)[0] = rescale((*q)[0], at, lane); }
    if TILE_Q > at + 1u { (*q)[1] = rescale((*q)[1], at + 1u, lane); }
    if TILE_Q > at + 2u { (*q)[2] = rescale((*q)[2], at + 2u, lane); }
    if TILE_Q > at + 3u { (*q)[3] = rescale((*q)[3], at + 3u, lane); }
}

fn add_values_quad(q: ptr<function, Quad>, at: u32, w: array<Vec8, 4>, j: u32, there: bool) {
    if TILE_Q > at { (*q)[0] = add_values((*q)[0], at, w, j, there); }
    if TILE_Q > at + 1u { (*q)[1] = add_values((*q)[1], at + 1u, w, j, there); }
    if TILE_Q > at + 2u { (*q)[2] = add_values((*q)[2], at + 2u, w, j, there); }
    if TILE_Q > at + 3u { (*q)[3] = add_values((*q)[3], at + 3u, w, j, there); }
}

fn end_query(own: Own, m: u32, all: Queries, split: u32, lane: u32) {
    let sums = join_teams(own, lane);
    if lane < SLICES && all.first + m < params.rows * params.group {
        store(sums, asked(all, m), split, lane);
    }
}

fn end_quad(q: Quad, at: u32, all: Queries, split: u32, lane: u32) {
    if TILE_Q > at { end_query(q[0], at, all, split, lane); }
    if TILE_Q > at + 1u { end_query(q[1], at + 1u, all, split, lane); }
    if TILE_Q > at + 2u { end_query(q[2], at + 2u, all, split, lane); }
    if TILE_Q > at + 3u { end_query(q[3], at + 3u, all, split, lane); }
}
