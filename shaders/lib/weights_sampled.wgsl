// Packed weights in a texture, rows of 1024 texels (src/gpu/texels.rs): CPU drivers load a texel for all
// lanes in a few vector instructions, and a word of a buffer in a loop over lanes.

@group(0) @binding(1) var weights: texture_2d<u32>;

fn load_word(i: u32) -> u32 {
    return load_vec4(i / 4u)[i % 4u];
}

fn load_vec4(i: u32) -> vec4<u32> {
    return textureLoad(weights, vec2<u32>(i % 1024u, i / 1024u), 0u);
}
