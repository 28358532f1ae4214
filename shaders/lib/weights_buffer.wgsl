// Packed weights in a storage buffer; the other forms are lib/weights_sampled.wgsl and
// lib/weights_stored.wgsl.

@group(0) @binding(1) var<storage, read> weights: array<vec4<u32>>;

fn load_word(i: u32) -> u32 {
    return weights[i / 4u][i % 4u];
}

fn load_vec4(i: u32) -> vec4<u32> {
    return weights[i];
}

fn open_weights() {}
