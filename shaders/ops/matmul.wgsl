// y = x·Wᵀ on packed weights: y[m, n] = Σ_k x[m, k]·W[n, k], accumulated in f32.
//
// A lane owns ROWS neighbouring rows of W and TILE_M rows of x. A chunk of each row of W is loaded
// once and decoded eight weights at a time in registers, for every row of x. TILE_M = 1 is the GEMV
// of decoding; larger tiles are prefill. SPLIT lanes share the same rows, each taking every SPLIT-th
// chunk, and add up in a fixed order: 1 where lanes are few (a CPU), more where they are many.
// Weights lie where lib/weights_*.wgsl says (a buffer, a texture), x where lib/x_buffer.wgsl,
// lib/x_sampled.wgsl, x_nearest or x_stored does; its values come through lib/x_direct.wgsl, lib/x_quad.wgsl,
// lib/x_subgroup.wgsl or lib/x_memory.wgsl. Between chunks sums are where lib/sums_carried.wgsl or
// lib/sums_stored.wgsl leaves them, and they go out through lib/way_out.wgsl to where lib/to_buffer.wgsl,
// lib/gates_to_texels.wgsl or lib/scaled_texels.wgsl says.
//
// A lane's state within a chunk has constant indices and so lies in registers; hence the written-out tiles.
// Loops end where they are left: lavapipe runs what stands behind a condition once more for no lane.

override LANES: u32 = 64u;
override SPLIT: u32 = 16u;
// 4 or 8.
override ROWS: u32 = 4u;
// 1, 2, 4, 8 or 16.
override TILE_M: u32 = 1u;
// Whether the last chunk reaches past the end of x's rows.
override TAIL: bool = false;
// Whether to multiply with the format's codes, and with their scale and offset once per chunk:
// Σ (d·q + o)·x = d·Σ q·x + o·Σ x.
override CODES: bool = false;
// Whether a chunk's eights are written out, not a loop: the compiler then chooses the words of a block, and
// nothing is carried from eight to eight.
override WRITTEN_OUT: bool = false;
// Whether the loop over eights ends at its head, as Tint wants it: it counts the rounds of a loop that may not
// end, and SwiftShader carries all sums through each branch. Other drivers want the end (see above).
override AT_HEAD: bool = false;
// RMSNorm on the way in: x[m, k]·gain[k] / sqrt(mean(x[m, :]²) + eps), whose last factor waits for
// the sum.
override NORM: bool = false;
// Whether x comes times the gain, with sums of its squares behind each row: only the last factor is left.
override SCALED: bool = false;

// Strides of x, and of what is left for the next multiplication, count vec4s. The last `parts` of a row of x
// are sums of squares. The shard holds rows first_row .. first_row + rows of W.
struct Params {
    chunks: u32, plane1: u32, plane2: u32, scales: u32, table: u32,
    rows: u32, first_row: u32, m: u32, x_row: u32, x_stride: u32, y_stride: u32, y_at: u32,
    cols: u32, eps: f32, parts: u32, scaled_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(4) var<storage, read> gain: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> bias: array<f32>;

// Four values of x on their way into the product, and the sum of their squares.
struct X { v: vec4<f32>, squares: f32 }

// A value for each of a lane's rows of W.
struct Rows { a: vec4<f32>, b: vec4<f32> }

// What a lane has of a row of x so far: its products with rows of W, its squares.
struct Sums { rows: Rows, squares: f32 }

// What it knows of the row beside that, codes and total of the chunk that it is on.
struct Lane { m: u32, x: XChunk, sums: Sums, codes: Rows, total: f32 }

var<workgroup> partial: array<vec4<f32>, LANES>;

fn load_x(m: u32, i: u32) -> X {
    if TAIL && 4u * i >= params.cols {
        return X(vec4<f32>(), 0.0);
    }
    let v = x_at((params.x_row + m) * params.x_stride + i);
    if NORM {
        return X(v * gain[i], dot(v, v));
    }
    return X(v, 0.0);
}

// Row r of the lane's. Of rows that are read together, those behind the end are in the last tile's padding.
fn load_nth(row: u32, r: u32, c: u32) -> Block {
    let last = params.rows - 1u;
    nth = r % NEIGHBOURS;
    if NEIGHBOURS == 1u {
        return load_block(min(row + r, last), c);
    }
    return load_block(min(row, last / NEIGHBOURS * NEIGHBOURS), c);
}

fn load_rows(row: u32, c: u32) -> array<Block, 8> {
    var b: array<Block, 8>;
    b[0] = load_nth(row, 0u, c);
    b[1] = load_nth(row, 1u, c);
    b[2] = load_nth(row, 2u, c);
    b[3] = load_nth(row, 3u, c);
    if ROWS > 4u {
        b[4] = load_nth(row, 4u, c);
        b[5] = load_nth(row, 5u, c);
        b[6] = load_nth(row, 6u, c);
        b[7] = load_nth(row, 7u, c);
    }
    return b;
}

fn factors(b: Block, g: u32) -> Vec8 {
    if CODES {
        return codes8(b, g);
    }
    return decode8(b, g);
}

fn factors_of_rows(b: array<Block, 8>, g: u32) -> array<Vec8, 8> {
    var w: array<Vec8, 8>;
    w[0] = factors(b[0], g);
    w[1] = factors(b[1], g);
    w[2] = factors(b[2], g);
    w[3] = factors(b[3], g);
    if ROWS > 4u {
        w[4] = factors(b[4], g);
        w[5] = factors(b[5], g);
        w[6] = factors(b[6], g);
        w[7] = factors(b[7], g);
    }
    return w;
}

fn dot_rows(s: Rows, w: array<Vec8, 8>, lo: vec4<f32>, hi: vec4<f32>) -> Rows {
    let a = vec4<f32>(
        dot8(s.a.x, w[0], lo, hi), dot8(s.a.y, w[1], lo, hi),
        dot8(s.a.z, w[2], lo, hi), dot8(s.a.w, w[3], lo, hi));
    if ROWS == 4u {
        return Rows(a, s.b);
    }
    let b = vec4<f32>(
        dot8(s.b.x, w[4], lo, hi), dot8(s.b.y, w[5], lo, hi),
        dot8(s.b.z, w[6], lo, hi), dot8(s.b.w, w[7], lo, hi));
    return Rows(a, b);
}

// Eight values of x with as many weights of each row.
fn step(own: Lane, w: array<Vec8, 8>, lo: X, hi: X) -> Lane {
    var lane = own;
    if NORM {
        lane.sums.squares += lo.squares + hi.squares;
    }
    if CODES {
        lane.codes = dot_rows(own.codes, w, lo.v, hi.v);
        lane.total += part_total(lo.v, hi.v);
    } else {
        lane.sums.rows = dot_rows(own.sums.rows, w, lo.v, hi.v);
    }
    return lane;
}

fn begin_chunk(own: Lane, c: u32) -> Lane {
    var lane = own;
    lane.x = load_chunk(own.m, c);
    if NORM {
        lane.sums.squares += lane.x.squares;
    }
    if CODES {
        lane.codes = Rows(vec4<f32>(), vec4<f32>());
        lane.total = 0.0;
    }
    return lane;
}

// The chunk's scale and offset of each of a lane's rows of W, with CODES.
struct Scales { scale: Rows, offset: Rows }

fn scales_of_rows(b: array<Block, 8>) -> Scales {
    var all: Scales;
    if CODES {
        let s0 = scale_offset(b[0]);
        let s1 = scale_offset(b[1]);
        let s2 = scale_offset(b[2]);
        let s3 = scale_offset(b[3]);
        all.scale.a = vec4<f32>(s0.x, s1.x, s2.x, s3.x);
        all.offset.a = vec4<f32>(s0.y, s1.y, s2.y, s3.y);
        if ROWS > 4u {
            let s4 = scale_offset(b[4]);
            let s5 = scale_offset(b[5]);
            let s6 = scale_offset(b[6]);
            let s7 = scale_offset(b[7]);
            all.scale.b = vec4<f32>(s4.x, s5.x, s6.x, s7.x);
            all.offset.b = vec4<f32>(s4.y, s5.y, s6.y, s7.y);
        }
    }
    return all;
}

fn end_chunk(own: Lane, scales: Scales) -> Lane {
    var rows = own.sums.rows;
    if CODE_OFFSET {
        let total = vec4<f32>(chunk_total(own.x, own.total));
        rows.a = fma(scales.offset.a, total, rows.a);
        rows.b = fma(scales.offset.b, total, rows.b);
    }
    rows.a = fma(scales.scale.a, own.codes.a, rows.a);
    rows.b = fma(scales.scale.b, own.codes.b, rows.b);
    var lane = own;
    lane.sums.rows = rows;
    return lane;
}

alias Quad = array<Lane, 4>;

fn new_quad(m: u32) -> Quad {
    var q: Quad;
    let last = params.m - 1u;
    q[0].m = min(m + nth_row(0u), last);
    q[1].m = min(m + nth_row(1u), last);
    q[2].m = min(m + nth_row(2u), last);
    q[3].m = min(m + nth_row(3u), last);
    return q;
}

fn begin_quad(q: ptr<function, Quad>, between: ptr<function, Between>, first: u32, c: u32) {
    take_up(q, between, first);
    (*q)[0] = begin_chunk((*q)[0], c);
    if TILE_M > 1u {
        (*q)[1] = begin_chunk((*q)[1], c);
    }
    if TILE_M > 2u {
        (*q)[2] = begin_chunk((*q)[2], c);
        (*q)[3] = begin_chunk((*q)[3], c);
    }
}

// Group g of chunk c.
fn step_quad(q: ptr<function, Quad>, w: array<Vec8, 8>, c: u32, g: u32) {
    let x = x_of_quad(*q, c, g);
    (*q)[0] = step((*q)[0], w, x[0], x[1]);
    if TILE_M > 1u {
        (*q)[1] = step((*q)[1], w, x[2], x[3]);
    }
    if TILE_M > 2u {
        (*q)[2] = step((*q)[2], w, x[4], x[5]);
        (*q)[3] = step((*q)[3], w, x[6], x[7]);
    }
}

fn end_quad(q: ptr<function, Quad>, between: ptr<function, Between>, first: u32, scales: Scales) {
    if CODES {
        (*q)[0] = end_chunk((*q)[0], scales);
        if TILE_M > 1u {
            (*q)[1] = end_chunk((*q)[1], scales);
        }
        if TILE_M > 2u {
            (*q)[2] = end_chunk((*q)[2], scales);
            (*q)[3] = end_chunk((*q)[3], scales);
        }
    }
    put_down(q, between, first);
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

// The scales of four neighbouring rows of the shard.
fn row_scales(row: u32) -> vec4<f32> {
    let rows = min(vec4<u32>(row, row + 1u, row + 2u, row + 3u), vec4<u32>(params.rows - 1u));
    return vec4<f32>(
        row_scale(rows.x), row_scale(rows.y), row_scale(rows.z), row_scale(rows.w));
}

// RMSNorm's factor by its squares' sum.
fn factor(squares: f32) -> f32 {
    return 1.0 / sqrt(squares / f32(params.cols) + params.eps);
}

// That of row m of x, by the sums behind it.
fn factor_behind(m: u32) -> f32 {
    let end = (params.x_row + min(m, params.m - 1u) + 1u) * params.x_stride;
    var squares = 0.0;
    for (var i = end - params.parts; i < end; i++) {
        squares += x_at(i).x;
    }
    return factor(squares);
}

fn store_sums(own: Sums, m: u32, row: u32, lane: u32) {
    let a = join(own.rows.a, lane);
    var b = own.rows.b;
    if ROWS > 4u {
        b = join(b, lane);
    }
    var norm = 1.0;
    if NORM {
        norm = factor(join(vec4<f32>(share_sum(own.squares)), lane).x);
    } else if SCALED {
        norm = factor_behind(m);
    }
    if lane % SPLIT > 0u {
        return;
    }
    let four = row_scales(row) * a * norm;
    if ROWS == 4u {
        store4(m, row, four);
    } else {
        store8(m, row, four, row_scales(row + 4u) * b * norm);
    }
}

// Group g of chunk c, whose blocks are b.
fn eight(
    q0: ptr<function, Quad>, q1: ptr<function, Quad>, q2: ptr<function, Quad>, q3: ptr<function, Quad>,
    b: array<Block, 8>, c: u32, g: u32,
) {
    let w = factors_of_rows(b, g);
    step_quad(q0, w, c, g);
    if TILE_M > 4u {
        step_quad(q1, w, c, g);
    }
    if TILE_M > 8u {
        step_quad(q2, w, c, g);
        step_quad(q3, w, c, g);
    }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    open_weights();
    open_x();
    begin_x();
    let row = (group.x * (LANES / SPLIT) + lane / SPLIT) * ROWS;
    let m = group.y * TILE_M;
    var q0 = new_quad(m);
    var q1 = new_quad(m + 4u);
    var q2 = new_quad(m + 8u);
    var q3 = new_quad(m + 12u);
    var between: Between;
    var at = 0u;
    loop {
        fetch_x(m, at, lane);
        let c = at + first_chunk(lane);
        if SPLIT == 1u || c < params.chunks {
            begin_quad(&q0, &between, 0u, c);
            if TILE_M > 4u {
                begin_quad(&q1, &between, 4u, c);
            }
            if TILE_M > 8u {
                begin_quad(&q2, &between, 8u, c);
                begin_quad(&q3, &between, 12u, c);
            }
            let b = load_rows(row, c);
            if WRITTEN_OUT {
                eight(&q0, &q1, &q2, &q3, b, c, 0u);
                eight(&q0, &q1, &q2, &q3, b, c, 1u);
                eight(&q0, &q1, &q2, &q3, b, c, 2u);
                eight(&q0, &q1, &q2, &q3, b, c, 3u);
            } else if AT_HEAD {
                for (var g = 0u; g < 4u; g++) {
                    eight(&q0, &q1, &q2, &q3, b, c, g);
                }
            } else {
                var g = 0u;
                loop {
                    eight(&q0, &q1, &q2, &q3, b, c, g);
                    g++;
                    if g == 4u {
                        break;
                    }
                }
            }
            let scales = scales_of_rows(b);
            end_quad(&q0, &between, 0u, scales);
            if TILE_M > 4u {
                end_quad(&q1, &between, 4u, scales);
            }
            if TILE_M > 8u {
                end_quad(&q2, &between, 8u, scales);
                end_quad(&q3, &between, 12u, scales);
            }
        }
        at += SPLIT;
        if at >= params.chunks {
            break;
        }
    }
    store_tile(&q0, &q1, &q2, &q3, &between, m, row, lane);
    close_tile(m, row, lane);
}
