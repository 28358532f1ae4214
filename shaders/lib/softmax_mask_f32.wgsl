// A mask whose rows begin anywhere. What lies behind a row is read as its last value.

@group(0) @binding(2) var<storage, read> mask: array<u32>;

fn mask_bits(row: u32, i: u32) -> vec4<u32> {
    let at = row * params.mask_stride + 4u * i;
    let left = params.cols - 1u - 4u * i;
    return vec4<u32>(mask[at], mask[at + min(1u, left)], mask[at + min(2u, left)], mask[at + min(3u, left)]);
}
