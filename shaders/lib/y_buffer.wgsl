// A multiplication's y in a storage buffer: lib/to_buffer.wgsl and lib/scaled_texels.wgsl leave it there. The
// op's params have `rows`, `first_row`, `m`, and `y_stride` and `y_at` in floats.

@group(0) @binding(3) var<storage, read_write> y: array<f32>;

// Stores a value, and tells what then is there.
fn store(m: u32, n: u32, value: f32) -> f32 {
    let to = m * params.y_stride + params.y_at + n;
    var sum = value;
    if ACCUMULATE {
        sum += y[to];
    }
    y[to] = sum;
    return sum;
}
