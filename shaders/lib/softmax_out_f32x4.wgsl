// Rows of floats that begin at whole vec4s. The last vec4 of a row is this lane's alone, and what
// it holds behind the row stays.

@group(0) @binding(5) var<storage, read_write> y: array<vec4<u32>>;

fn y_bits(row: u32, i: u32) -> vec4<u32> {
    return y[row * (params.y_stride / 4u) + i];
}

fn put(row: u32, i: u32, bits: vec4<u32>, count: u32) {
    let at = row * (params.y_stride / 4u) + i;
    if count >= 4u {
        y[at] = bits;
    } else {
        y[at] = select(y[at], bits, vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(count));
    }
}
