// Rows of binary16, two to a word, each beginning at a whole word.

@group(0) @binding(1) var<storage, read> x: array<u32>;

// The place where a row begins.
fn x_row(row: u32) -> u32 {
    return row * (params.x_stride / 2u);
}

fn x_bits(at: u32, i: u32) -> vec4<u32> {
    let last = (params.cols - 1u) / 2u;
    return f16_pairs(x[at + 2u * i], x[at + min(2u * i + 1u, last)]);
}
