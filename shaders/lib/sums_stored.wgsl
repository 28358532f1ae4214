// A lane's sums wait in memory from chunk to chunk: the other form is lib/sums_carried.wgsl. SwiftShader
// carries every variable through each place where branches meet, a dozen instructions each time, with 64 sums
// a fifth of all. It leaves an array alone whose index is computed, as in store_tile.

alias Between = array<Sums, 16>;

// The sums of four rows of x, of which the first is row `first` of the lane's.
fn take_up(q: ptr<function, Quad>, between: ptr<function, Between>, first: u32) {
    (*q)[0].sums = (*between)[first];
    (*q)[1].sums = (*between)[first + 1u];
    (*q)[2].sums = (*between)[first + 2u];
    (*q)[3].sums = (*between)[first + 3u];
}

fn put_down(q: ptr<function, Quad>, between: ptr<function, Between>, first: u32) {
    (*between)[first] = (*q)[0].sums;
    (*between)[first + 1u] = (*q)[1].sums;
    (*between)[first + 2u] = (*q)[2].sums;
    (*between)[first + 3u] = (*q)[3].sums;
}

fn store_tile(
    q0: ptr<function, Quad>, q1: ptr<function, Quad>, q2: ptr<function, Quad>, q3: ptr<function, Quad>,
    between: ptr<function, Between>, m: u32, row: u32, lane: u32,
) {
    for (var i = 0u; i < TILE_M; i++) {
        store_sums((*between)[i], m + i / 4u * 4u + nth_row(i % 4u), row, lane);
    }
}
