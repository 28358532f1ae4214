// Rows of floats that begin anywhere. What lies behind a row is read as its last value.

@group(0) @binding(1) var<storage, read> x: array<u32>;

fn x_bits(row: u32, i: u32) -> vec4<u32> {
    let at = row * params.x_stride + 4u * i;
    let left = params.cols - 1u - 4u * i;
    return vec4<u32>(x[at], x[at + min(1u, left)], x[at + min(2u, left)], x[at + min(3u, left)]);
}
