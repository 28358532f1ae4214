// x in a texture, as ops/stage.wgsl leaves it, for the reason that lib/weights_stored.wgsl has.

@group(0) @binding(2) var x: texture_storage_2d<rgba32float, read>;

fn x_at(i: u32) -> vec4<f32> {
    return textureLoad(x, vec2<u32>(i & 1023u, i >> 10u));
}

fn open_x() {}
