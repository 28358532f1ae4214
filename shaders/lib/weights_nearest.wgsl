// Packed weights in a texture of floats, which only carry the words' bits: by way of a sampler, for the
// reason that lib/x_nearest.wgsl has, and no sampler reads integers. A driver that changed the bits on the
// way (a NaN's, or a subnormal's) would fail the conformance suite.

@group(0) @binding(1) var weights: texture_2d<f32>;

// The size of a texel, the texture's being 1.
var<private> weights_texel: vec2<f32>;

fn open_weights() {
    weights_texel = 1.0 / vec2<f32>(textureDimensions(weights));
}

fn load_word(i: u32) -> u32 {
    return load_vec4(i / 4u)[i % 4u];
}

fn load_vec4(i: u32) -> vec4<u32> {
    let at = vec2<f32>(vec2<i32>(vec2<u32>(i & 1023u, i >> 10u)));
    let middle = fma(at, weights_texel, 0.5 * weights_texel);
    return bitcast<vec4<u32>>(textureSampleLevel(weights, nearest, middle, 0.0));
}
