// The chunk of x that all lanes need, where subgroups have but four lanes; eight lanes do better
// (lib/x_subgroup.wgsl). Of four rows, each lane reads another one and they swap, which is an instruction a
// value; a broadcast is five. So the lanes of a quad have the same rows in different places. Of one row or
// two, each lane reads one of four vec4s and passes it round. A lane sees all values, and counts for itself
// (lib/x_alone.wgsl).

struct XChunk { squares: f32 }

const SHARERS = 4u;

fn load_chunk(m: u32, c: u32) -> XChunk {
    return XChunk(0.0);
}

// Which of four rows of x a lane has in place i: in place 0 the one that it reads.
fn nth_row(i: u32) -> u32 {
    if TILE_M > 2u {
        return i ^ share_lane;
    }
    return i;
}

// The value of lane (own ^ way) of the quad.
fn swap(own: vec4<f32>, way: u32) -> vec4<f32> {
    if way == 1u {
        return quadSwapX(own);
    }
    if way == 2u {
        return quadSwapY(own);
    }
    return quadSwapDiagonal(own);
}

fn swap_x(own: X, way: u32) -> X {
    var x = X(swap(own.v, way), 0.0);
    if NORM {
        x.squares = swap(vec4<f32>(own.squares), way).x;
    }
    return x;
}

fn pass_round(own: X) -> array<X, 8> {
    var x: array<X, 8>;
    x[0].v = quadBroadcast(own.v, 0u);
    x[1].v = quadBroadcast(own.v, 1u);
    x[2].v = quadBroadcast(own.v, 2u);
    x[3].v = quadBroadcast(own.v, 3u);
    if NORM {
        x[0].squares = quadBroadcast(own.squares, 0u);
        x[1].squares = quadBroadcast(own.squares, 1u);
        x[2].squares = quadBroadcast(own.squares, 2u);
        x[3].squares = quadBroadcast(own.squares, 3u);
    }
    return x;
}

// The sum of a value over the quad.
fn add_together(own: f32) -> f32 {
    let two = own + quadSwapX(own);
    return two + quadSwapY(two);
}

// Group g of chunk c: both vec4s of the row in place 0, of that in place 1, and so on.
fn x_of_quad(q: Quad, c: u32, g: u32) -> array<X, 8> {
    let at = c * 8u + 2u * g;
    if TILE_M <= 2u {
        return pass_round(load_x(select(q[0].m, q[1].m, share_lane > 1u), at + share_lane % 2u));
    }
    let lo = load_x(q[0].m, at);
    let hi = load_x(q[0].m, at + 1u);
    return array<X, 8>(
        lo, hi, swap_x(lo, 1u), swap_x(hi, 1u), swap_x(lo, 2u), swap_x(hi, 2u),
        swap_x(lo, 3u), swap_x(hi, 3u));
}
