// Rows of floats that begin anywhere.

@group(0) @binding(5) var<storage, read_write> y: array<u32>;

fn y_bits(row: u32, i: u32) -> vec4<u32> {
    let at = row * params.y_stride + 4u * i;
    let left = params.cols - 1u - 4u * i;
    return vec4<u32>(y[at], y[at + min(1u, left)], y[at + min(2u, left)], y[at + min(3u, left)]);
}

fn put(row: u32, i: u32, bits: vec4<u32>, count: u32) {
    let at = row * params.y_stride + 4u * i;
    y[at] = bits.x;
    if count > 1u {
        y[at + 1u] = bits.y;
    }
    if count > 2u {
        y[at + 2u] = bits.z;
    }
    if count > 3u {
        y[at + 3u] = bits.w;
    }
}
