// Squares that SHARERS lanes of a subgroup add up, who are on neighbouring rows of W (lib/x_subgroup.wgsl,
// lib/x_quad.wgsl): a sum for each of their groups. So lanes of a subgroup must be neighbours in the workgroup,
// as on the drivers where lanes share so; tests/gpu/matmul/scaled.rs would tell. The other form is
// lib/squares_apart.wgsl.

fn close_tile(m: u32, row: u32, lane: u32) {
    let sum = add_together(own_squares);
    if share_lane == 0u && row < params.rows {
        put_squares(m, row / (ROWS * SHARERS), sum);
    }
}
