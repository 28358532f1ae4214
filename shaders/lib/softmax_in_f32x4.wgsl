// Rows of floats that begin at whole vec4s.

@group(0) @binding(1) var<storage, read> x: array<vec4<u32>>;

// The place where a row begins.
fn x_row(row: u32) -> u32 {
    return row * (params.x_stride / 4u);
}

fn x_bits(at: u32, i: u32) -> vec4<u32> {
    return x[at + i];
}
