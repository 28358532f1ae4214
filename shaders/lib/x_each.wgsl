// Eight values of each of two rows of x, one row after the other: the other form is lib/x_quad.wgsl.

// Group g of chunk c: both vec4s of row a, both of row b.
fn x_of_two(a: Lane, b: Lane, c: u32, g: u32) -> array<X, 4> {
    var two: array<X, 4>;
    two[0] = x_vec4(a.x, a.m, c, 2u * g);
    two[1] = x_vec4(a.x, a.m, c, 2u * g + 1u);
    if TILE_M > 1u {
        two[2] = x_vec4(b.x, b.m, c, 2u * g);
        two[3] = x_vec4(b.x, b.m, c, 2u * g + 1u);
    }
    return two;
}
