// Rows of floats that begin at whole vec4s. The last vec4 of a row is this lane's alone, and what
// it holds behind the row stays.

@group(0) @binding(5) var<storage, read_write> y: array<vec4<u32>>;

// The place where a row begins.
fn y_row(row: u32) -> u32 {
    return row * (params.y_stride / 4u);
}

fn y_bits(at: u32, i: u32) -> vec4<u32> {
    return y[at + i];
}

fn put(at: u32, i: u32, bits: vec4<u32>) {
    y[at + i] = bits;
}

fn put_some(at: u32, i: u32, bits: vec4<u32>, count: u32) {
    let c = at + i;
    y[c] = select(y[c], bits, vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(count));
}
