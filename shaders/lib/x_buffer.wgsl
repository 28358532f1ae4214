// x in a storage buffer; the other forms are lib/x_sampled.wgsl and lib/x_stored.wgsl.

@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;

fn x_at(i: u32) -> vec4<f32> {
    return x[i];
}

fn open_x() {}
