// A multiplication's y goes to a buffer (lib/y_buffer.wgsl), gated or not, and nowhere else; the other forms
// are lib/gates_to_texels.wgsl and lib/scaled_texels.wgsl.

// Row m's products with four neighbouring rows of the shard.
fn store4(m: u32, row: u32, value: vec4<f32>) {
    if m >= params.m {
        return;
    }
    for (var i = 0u; i < 4u; i++) {
        if row + i >= params.rows {
            return;
        }
        let n = params.first_row + row + i;
        if !GLU {
            store(m, n, with_bias(n, value[i]));
        } else if i % 2u == 0u {
            let gate = with_bias(n, value[i]);
            store(m, n / 2u, activation(gate) * with_bias(n + 1u, value[i + 1u]));
        }
    }
}

fn store8(m: u32, row: u32, a: vec4<f32>, b: vec4<f32>) {
    store4(m, row, a);
    store4(m, row + 4u, b);
}

fn close_tile(m: u32, row: u32, lane: u32) {}
