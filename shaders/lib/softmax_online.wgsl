// Online softmax (Milakov & Gimelshein, arXiv 1805.02867): a sum relative to the largest value so
// far, v = Σ exp(z − e), multiplied with exp(e − e') whenever that grows to e'.

const PASSES = 1u;

fn start(before: Pair, pass_index: u32) -> Pair4 {
    return Pair4(vec4<f32>(), vec4<f32>(PAIR_ZERO.e));
}

fn fold4(sum: Pair4, a: Held, b: Held, c: Held, d: Held, pass_index: u32) -> Pair4 {
    let e = max(sum.e, max(max(a.z, b.z), max(c.z, d.z)));
    let ab = exp_negative4(a.z - e) + exp_negative4(b.z - e);
    let cd = exp_negative4(c.z - e) + exp_negative4(d.z - e);
    return Pair4(sum.v * exp_negative4(sum.e - e) + (ab + cd), e);
}

fn join4(a: Pair4, b: Pair4) -> Pair4 {
    let e = max(a.e, b.e);
    return Pair4(a.v * exp_negative4(a.e - e) + b.v * exp_negative4(b.e - e), e);
}

fn join(a: Pair, b: Pair) -> Pair {
    let e = max(a.e, b.e);
    return Pair(a.v * exp_negative(a.e - e) + b.v * exp_negative(b.e - e), e);
}
