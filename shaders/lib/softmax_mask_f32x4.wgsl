// A mask whose rows begin at whole vec4s.

@group(0) @binding(2) var<storage, read> mask: array<vec4<u32>>;

fn mask_bits(row: u32, i: u32) -> vec4<u32> {
    return mask[row * (params.mask_stride / 4u) + i];
}
