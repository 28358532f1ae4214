// Rows of binary16, two to a word, each beginning at a whole word; the mask is of floats.

@group(0) @binding(1) var<storage, read> x: array<u32>;

fn x_bits(row: u32, i: u32) -> vec4<u32> {
    let at = row * (params.x_stride / 2u);
    let last = (params.cols - 1u) / 2u;
    return f16_pairs(x[at + 2u * i], x[at + min(2u * i + 1u, last)]);
}
