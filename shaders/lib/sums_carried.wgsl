// A lane's sums go from chunk to chunk in variables, so in registers: the other form is lib/sums_stored.wgsl.

struct Between { nothing: u32 }

fn take_up(q: ptr<function, Quad>, between: ptr<function, Between>, first: u32) {}

fn put_down(q: ptr<function, Quad>, between: ptr<function, Between>, first: u32) {}

fn store_quad(q: ptr<function, Quad>, m: u32, row: u32, lane: u32) {
    store_sums((*q)[0].sums, m + nth_row(0u), row, lane);
    if TILE_M > 1u {
        store_sums((*q)[1].sums, m + nth_row(1u), row, lane);
    }
    if TILE_M > 2u {
        store_sums((*q)[2].sums, m + nth_row(2u), row, lane);
        store_sums((*q)[3].sums, m + nth_row(3u), row, lane);
    }
}

fn store_tile(
    q0: ptr<function, Quad>, q1: ptr<function, Quad>, q2: ptr<function, Quad>, q3: ptr<function, Quad>,
    between: ptr<function, Between>, m: u32, row: u32, lane: u32,
) {
    store_quad(q0, m, row, lane);
    if TILE_M > 4u {
        store_quad(q1, m + 4u, row, lane);
    }
    if TILE_M > 8u {
        store_quad(q2, m + 8u, row, lane);
        store_quad(q3, m + 12u, row, lane);
    }
}
