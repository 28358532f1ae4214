// y = act(gate)·up, with gate and up side by side in a row of x. ACT 0: SiLU, x / (1 + exp(−x)).
// ACT 1: GELU in its tanh form, which is x·sigmoid(2·sqrt(2/pi)·(x + 0.044715·x³)).
// A lane per element.

override LANES: u32 = 64u;
override ACT: u32 = 0u;

struct Params { cols: u32, x_stride: u32, y_stride: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

// 1 / (1 + exp(−x)), from the exponential of a negative number, which cannot overflow.
fn sigmoid(x: f32) -> f32 {
    let small = exp_negative(-abs(x));
    return select(small, 1.0, x >= 0.0) / (1.0 + small);
}

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= params.cols {
        return;
    }
    let at = id.y * params.x_stride + id.x;
    let gate = x[at];
    var argument = gate;
    if ACT == 1u {
        argument = 1.5957691216 * (gate + 0.044715 * gate * gate * gate);
    }
    y[id.y * params.y_stride + id.x] = gate * sigmoid(argument) * x[at + params.cols];
}
