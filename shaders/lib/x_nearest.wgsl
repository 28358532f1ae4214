// x in a texture, by way of a sampler that takes the nearest texel: before each textureLoad, Tint asks the
// texture for its levels and its size, to stay within them, and SwiftShader answers each time. A sampler
// needs no bounds.

@group(0) @binding(2) var x: texture_2d<f32>;

// The size of a texel, the texture's being 1.
var<private> texel: vec2<f32>;

fn open_x() {
    texel = 1.0 / vec2<f32>(textureDimensions(x));
}

// The middle of the texel: a sampler's coordinates are as exact as 1/256 of one.
fn x_at(i: u32) -> vec4<f32> {
    let at = vec2<f32>(vec2<i32>(vec2<u32>(i & 1023u, i >> 10u)));
    return textureSampleLevel(x, nearest, fma(at, texel, 0.5 * texel), 0.0);
}
