// Packed weights in a texture, rows of 1024 texels (src/gpu/texels.rs), read as a sampler reads it, where
// that is how a CPU's driver loads a vec4 fastest; the other forms are lib/weights_stored.wgsl and
// lib/weights_buffer.wgsl.

@group(0) @binding(1) var weights: texture_2d<u32>;

fn load_word(i: u32) -> u32 {
    return load_vec4(i / 4u)[i % 4u];
}

fn load_vec4(i: u32) -> vec4<u32> {
    return textureLoad(weights, vec2<u32>(i & 1023u, i >> 10u), 0u);
}

fn open_weights() {}
