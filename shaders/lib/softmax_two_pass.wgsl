// Two passes: sums are (mantissa, exponent) pairs, so none over the maximum is needed, and moving a
// sum to another exponent is exact.

const PASSES = 1u;

struct Held { z: vec4<f32>, v: vec4<f32>, e: vec4<f32> }

fn hold(z: vec4<f32>) -> Held {
    let p = pair_exp4(z);
    return Held(z, p.v, p.e);
}

fn hold_seen(z: vec4<f32>, gone: vec4<bool>) -> Held {
    let empty = vec4<f32>(PAIR_ZERO.e);
    let p = pair_exp4(select(z, vec4<f32>(), gone));
    return Held(select(z, empty, gone), p.v, select(p.e, empty, gone));
}

fn hold_any(z: vec4<f32>) -> Held {
    let p = pair_exp_any4(z);
    return Held(z, p.v, p.e);
}

fn start(before: Pair, pass_index: u32) -> Pair4 {
    return Pair4(vec4<f32>(), vec4<f32>(PAIR_ZERO.e));
}

fn fold4(sum: Pair4, a: Held, b: Held, c: Held, d: Held, pass_index: u32) -> Pair4 {
    let e = max(sum.e, max(max(a.e, b.e), max(c.e, d.e)));
    let ab = a.v * exp2_int4(a.e - e) + b.v * exp2_int4(b.e - e);
    let cd = c.v * exp2_int4(c.e - e) + d.v * exp2_int4(d.e - e);
    return Pair4(sum.v * exp2_int4(sum.e - e) + (ab + cd), e);
}

fn join4(a: Pair4, b: Pair4) -> Pair4 {
    let e = max(a.e, b.e);
    return Pair4(a.v * exp2_int4(a.e - e) + b.v * exp2_int4(b.e - e), e);
}

fn join(a: Pair, b: Pair) -> Pair {
    return pair_add(a, b);
}

fn weight(h: Held, total: Pair, inverse: f32) -> vec4<f32> {
    return (h.v * inverse) * exp2_int4(h.e - total.e);
}

// ln of what z weighs: the same reduction as in pair_exp4, with the sum's exponent. Where that is no
// power of two (EXP_FAR), it stands for a value of z.
fn log_weight(h: Held, total: Pair, log_sum: f32) -> vec4<f32> {
    if abs(total.e) >= EXP_FAR * 1.5 {
        return (h.z - coarse(total.e)) - log_sum;
    }
    let e = vec4<f32>(total.e);
    let high = round(e * 0x1p-12) * 0x1p12;
    let low = e - high;
    let z = (((h.z - high * LN2_1) - low * LN2_1) - high * LN2_2) - low * LN2_2;
    return (z - e * LN2_3) - log_sum;
}

fn log_sum_exp(total: Pair, log_sum: f32) -> f32 {
    if abs(total.e) >= EXP_FAR * 1.5 {
        return coarse(total.e) + log_sum;
    }
    return total.e * LN2_1 + (total.e * LN2_2 + (total.e * LN2_3 + log_sum));
}

// The inverse of what pair_exp_any4 does from EXP_FAR on.
fn coarse(e: f32) -> f32 {
    return sign(e) * bitcast<f32>(bitcast<u32>(abs(e)) - 0x400000u);
}
