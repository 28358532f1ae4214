// Rows of floats that begin anywhere. What lies behind a row is read as its last value.

@group(0) @binding(1) var<storage, read> x: array<u32>;

// The place where a row begins.
fn x_row(row: u32) -> u32 {
    return row * params.x_stride;
}

fn x_bits(at: u32, i: u32) -> vec4<u32> {
    let c = at + 4u * i;
    let left = params.cols - 1u - 4u * i;
    return vec4<u32>(x[c], x[c + min(1u, left)], x[c + min(2u, left)], x[c + min(3u, left)]);
}
