// ACT 0: SiLU, x / (1 + exp(−x)). ACT 1: GELU in its tanh form, which is
// x·sigmoid(2·sqrt(2/pi)·(x + 0.044715·x³)).

override ACT: u32 = 0u;

// 1 / (1 + exp(−x)), from the exponential of a negative number, which cannot overflow.
fn sigmoid(x: f32) -> f32 {
    let small = exp_negative(-abs(x));
    return select(small, 1.0, x >= 0.0) / (1.0 + small);
}

fn activation(gate: f32) -> f32 {
    var argument = gate;
    if ACT == 1u {
        argument = 1.5957691216 * (gate + 0.044715 * gate * gate * gate);
    }
    return gate * sigmoid(argument);
}
