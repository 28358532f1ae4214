// Where a multiplication's y is texels (lib/y_texels.wgsl): the gated activations (GLU) of eight neighbouring
// rows of W are one. So lanes own eight rows, and there are whole eights of them; `y_stride` counts texels.

fn gated(n: u32, gate: f32, up: f32) -> f32 {
    return activation(with_bias(n, gate)) * with_bias(n + 1u, up);
}

// Lanes that own four rows have no whole texel: they are not launched.
fn store4(m: u32, row: u32, value: vec4<f32>) {}

fn store8(m: u32, row: u32, a: vec4<f32>, b: vec4<f32>) {
    if m >= params.m || row >= params.rows {
        return;
    }
    let n = params.first_row + row;
    put_vec4(m * params.y_stride + n / 8u, vec4<f32>(
        gated(n, a.x, a.y), gated(n + 2u, a.z, a.w),
        gated(n + 4u, b.x, b.y), gated(n + 6u, b.z, b.w)));
}

fn close_tile(m: u32, row: u32, lane: u32) {}
