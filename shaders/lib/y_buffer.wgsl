// A multiplication's y in a storage buffer; the other form is lib/gates_to_texels.wgsl. The op's params have
// `rows`, `first_row`, `m`, and `y_stride` and `y_at` in floats.

@group(0) @binding(3) var<storage, read_write> y: array<f32>;

fn store(m: u32, n: u32, value: f32) {
    let to = m * params.y_stride + params.y_at + n;
    var sum = value;
    if ACCUMULATE {
        sum += y[to];
    }
    y[to] = sum;
}

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
