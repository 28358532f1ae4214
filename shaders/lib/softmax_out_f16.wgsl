// Rows of binary16, two to a word, each beginning at a whole word. The second half of an odd row's
// last word becomes zero.

@group(0) @binding(5) var<storage, read_write> y: array<u32>;

// The place where a row begins.
fn y_row(row: u32) -> u32 {
    return row * (params.y_stride / 2u);
}

fn y_bits(at: u32, i: u32) -> vec4<u32> {
    let last = (params.cols - 1u) / 2u;
    return f16_pairs(y[at + 2u * i], y[at + min(2u * i + 1u, last)]);
}

fn put(at: u32, i: u32, bits: vec4<u32>) {
    put_some(at, i, bits, 4u);
}

fn put_some(at: u32, i: u32, bits: vec4<u32>, count: u32) {
    let c = at + 2u * i;
    y[c] = f16_bits(bits.x) | select(0u, f16_bits(bits.y) << 16u, count > 1u);
    if count > 2u {
        y[c + 1u] = f16_bits(bits.z) | select(0u, f16_bits(bits.w) << 16u, count > 3u);
    }
}
