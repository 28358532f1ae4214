// Rows of floats that begin at whole vec4s.

@group(0) @binding(1) var<storage, read> x: array<vec4<u32>>;

fn x_bits(row: u32, i: u32) -> vec4<u32> {
    return x[row * (params.x_stride / 4u) + i];
}
