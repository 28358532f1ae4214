// How a multiplication's sums go out: a bias per row of W added, rows 2i and 2i + 1 of W taken as gate
// and up of y[m, i] = act(gate)·up, what is in y added (a residual). The op binds `bias` and `y`; its
// params have `rows`, `first_row`, `m`, `y_stride` and `y_at`. (Joining the sums of SPLIT lanes stands in
// each op: its array is sized by an override, see shaders/README.md.)

override BIAS: bool = false;
override GLU: bool = false;
override ACCUMULATE: bool = false;

fn store(m: u32, n: u32, value: f32) {
    let to = m * params.y_stride + params.y_at + n;
    var sum = value;
    if ACCUMULATE {
        sum += y[to];
    }
    y[to] = sum;
}

fn with_bias(n: u32, value: f32) -> f32 {
    if BIAS {
        return value + bias[n];
    }
    return value;
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
