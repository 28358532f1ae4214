// Rows of floats that begin anywhere.

@group(0) @binding(5) var<storage, read_write> y: array<u32>;

// The place where a row begins.
fn y_row(row: u32) -> u32 {
    return row * params.y_stride;
}

fn y_bits(at: u32, i: u32) -> vec4<u32> {
    let c = at + 4u * i;
    let left = params.cols - 1u - 4u * i;
    return vec4<u32>(y[c], y[c + min(1u, left)], y[c + min(2u, left)], y[c + min(3u, left)]);
}

fn put(at: u32, i: u32, bits: vec4<u32>) {
    put_some(at, i, bits, 4u);
}

fn put_some(at: u32, i: u32, bits: vec4<u32>, count: u32) {
    let c = at + 4u * i;
    y[c] = bits.x;
    if count > 1u {
        y[c + 1u] = bits.y;
    }
    if count > 2u {
        y[c + 2u] = bits.z;
    }
    if count > 3u {
        y[c + 3u] = bits.w;
    }
}
