// A mask whose rows begin anywhere. What lies behind a row is read as its last value.

@group(0) @binding(2) var<storage, read> mask: array<u32>;

// The place where a row begins.
fn mask_row(row: u32) -> u32 {
    return row * params.mask_stride;
}

fn mask_bits(at: u32, i: u32) -> vec4<u32> {
    let c = at + 4u * i;
    let left = params.cols - 1u - 4u * i;
    return vec4<u32>(mask[c], mask[c + min(1u, left)], mask[c + min(2u, left)], mask[c + min(3u, left)]);
}
