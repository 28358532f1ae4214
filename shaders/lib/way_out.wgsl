// What is done with a multiplication's sums before they go out: a bias per row of W is added. The op binds
// `bias`; lib/to_buffer.wgsl, lib/gates_to_texels.wgsl or lib/scaled_texels.wgsl says where they go. (Joining
// the sums of SPLIT lanes stands in each op: its array is sized by an override, see shaders/README.md.)

override BIAS: bool = false;
// Whether rows 2i and 2i + 1 of W are the gate and the up of y[m, i] = act(gate)·up.
override GLU: bool = false;
// Whether it is added to what is in y (a residual).
override ACCUMULATE: bool = false;

fn with_bias(n: u32, value: f32) -> f32 {
    if BIAS {
        return value + bias[n];
    }
    return value;
}
