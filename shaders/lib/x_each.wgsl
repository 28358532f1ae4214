// Eight values of each row of x, one row after the other: the other form is lib/x_quad.wgsl.

// Which of four rows of x a lane has in place i.
fn nth_row(i: u32) -> u32 {
    return i;
}

// Group g of chunk c: both vec4s of the row in place 0, of that in place 1, and so on.
fn x_of_quad(q: Quad, c: u32, g: u32) -> array<X, 8> {
    var x: array<X, 8>;
    x[0] = x_vec4(q[0].x, q[0].m, c, 2u * g);
    x[1] = x_vec4(q[0].x, q[0].m, c, 2u * g + 1u);
    if TILE_M > 1u {
        x[2] = x_vec4(q[1].x, q[1].m, c, 2u * g);
        x[3] = x_vec4(q[1].x, q[1].m, c, 2u * g + 1u);
    }
    if TILE_M > 2u {
        x[4] = x_vec4(q[2].x, q[2].m, c, 2u * g);
        x[5] = x_vec4(q[2].x, q[2].m, c, 2u * g + 1u);
        x[6] = x_vec4(q[3].x, q[3].m, c, 2u * g);
        x[7] = x_vec4(q[3].x, q[3].m, c, 2u * g + 1u);
    }
    return x;
}
