// A mask whose rows begin at whole vec4s.

@group(0) @binding(2) var<storage, read> mask: array<vec4<u32>>;

// The place where a row begins.
fn mask_row(row: u32) -> u32 {
    return row * (params.mask_stride / 4u);
}

fn mask_bits(at: u32, i: u32) -> vec4<u32> {
    return mask[at + i];
}
