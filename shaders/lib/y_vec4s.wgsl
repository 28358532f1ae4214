// Rows of y in a storage buffer, by vec4s; the other form is lib/y_texels.wgsl.

@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

fn put_vec4(i: u32, v: vec4<f32>) {
    y[i] = v;
}
