// Squares that the workgroup adds up by way of its memory, in the order of its lanes: a sum for each column of
// workgroups. The other form is lib/squares_together.wgsl.

var<workgroup> all_squares: array<f32, LANES>;

fn close_tile(m: u32, row: u32, lane: u32) {
    all_squares[lane] = own_squares;
    workgroupBarrier();
    if lane > 0u {
        return;
    }
    var sum = 0.0;
    for (var i = 0u; i < LANES; i++) {
        sum += all_squares[i];
    }
    put_squares(m, row / (ROWS * LANES), sum);
}
