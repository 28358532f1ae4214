// Three passes: the maximum e of the row first, then v = Σ exp(z − e), then the weights.

const PASSES = 2u;

fn start(before: Pair, pass_index: u32) -> Pair4 {
    return Pair4(vec4<f32>(), vec4<f32>(select(PAIR_ZERO.e, before.e, pass_index > 0u)));
}

fn fold4(sum: Pair4, a: Held, b: Held, c: Held, d: Held, pass_index: u32) -> Pair4 {
    if pass_index == 0u {
        return Pair4(sum.v, max(sum.e, max(max(a.z, b.z), max(c.z, d.z))));
    }
    let ab = exp_negative4(a.z - sum.e) + exp_negative4(b.z - sum.e);
    let cd = exp_negative4(c.z - sum.e) + exp_negative4(d.z - sum.e);
    return Pair4(sum.v + (ab + cd), sum.e);
}

// Sums of one row share its maximum, but for empty ones, which are zero.
fn join4(a: Pair4, b: Pair4) -> Pair4 {
    return Pair4(a.v + b.v, max(a.e, b.e));
}

fn join(a: Pair, b: Pair) -> Pair {
    return Pair(a.v + b.v, max(a.e, b.e));
}
