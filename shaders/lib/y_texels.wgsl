// Rows of y as texels, as ops/stage.wgsl would leave them for the multiplication that reads them next, which
// saves that launch. The other forms are lib/y_buffer.wgsl and lib/y_vec4s.wgsl.

@group(0) @binding(3) var y: texture_storage_2d<rgba32float, write>;

fn put_vec4(i: u32, v: vec4<f32>) {
    textureStore(y, vec2<u32>(i % 1024u, i / 1024u), v);
}
