// Packed weights in a texture, as lib/weights_sampled.wgsl has them, read without a sampler's levels.

@group(0) @binding(1) var weights: texture_storage_2d<rgba32uint, read>;

fn load_word(i: u32) -> u32 {
    return load_vec4(i / 4u)[i % 4u];
}

fn load_vec4(i: u32) -> vec4<u32> {
    return textureLoad(weights, vec2<u32>(i & 1023u, i >> 10u));
}

fn open_weights() {}
