// What three passes and online softmax share: values are held as they are, and weighed against the
// largest, total.e.

struct Held { z: vec4<f32> }

fn hold(z: vec4<f32>) -> Held {
    return Held(z);
}

fn hold_seen(z: vec4<f32>, gone: vec4<bool>) -> Held {
    return Held(select(z, vec4<f32>(PAIR_ZERO.e), gone));
}

fn hold_any(z: vec4<f32>) -> Held {
    return Held(z);
}

fn weight(h: Held, total: Pair, inverse: f32) -> vec4<f32> {
    return exp_negative4(h.z - total.e) * inverse;
}

fn log_weight(h: Held, total: Pair, log_sum: f32) -> vec4<f32> {
    return (h.z - total.e) - log_sum;
}

fn log_sum_exp(total: Pair, log_sum: f32) -> f32 {
    return total.e + log_sum;
}
