// exp(x) as a pair (v, e): exp(x) = v·2^e with e integral, so that nothing overflows and rescaling
// is exact (Dukhan & Ablavatski, arXiv 2001.04438). A sum of pairs is a pair.
//
// n = round(x·log2 e), t = x − n·ln2 in [−½ln2, ½ln2] with the Cephes split of ln2 (its high part
// has 9 bits, so n·hi is exact for |n| < 2^15 and no fused multiply-add is needed), v = P(t) with
// the degree-5 polynomial of XNNPACK: relative error below 1.8e-7 for |x| ≤ 1000.
// x is taken as ±1.1e38 beyond that, so that differences of exponents stay finite.

struct Pair { v: f32, e: f32 }

// The sum of nothing.
const PAIR_ZERO: Pair = Pair(0.0, -1.7e38);

fn pair_exp(x: f32) -> Pair {
    let y = clamp(x, -1.1e38, 1.1e38);
    let n = round(y * 1.44269504);
    let t = clamp((y - n * 0.693359375) + n * 2.12194440e-4, -0.35, 0.35);
    var p = fma(t, 0x1.0F9F9Cp-7, 0x1.573A1Ap-5);
    p = fma(t, p, 0x1.555A80p-3);
    p = fma(t, p, 0x1.FFFDC6p-2);
    p = fma(t, p, 0x1.FFFFF6p-1);
    return Pair(fma(t, p, 1.0), n);
}

// 2^d for an integral d ≤ 0, from its bits: exact on every device, 0 below −126.
fn exp2_int(d: f32) -> f32 {
    let bits = u32(i32(max(d, -127.0)) + 127) << 23u;
    return select(0.0, bitcast<f32>(bits), d >= -126.0);
}

fn pair_add(a: Pair, b: Pair) -> Pair {
    let e = max(a.e, b.e);
    return Pair(a.v * exp2_int(a.e - e) + b.v * exp2_int(b.e - e), e);
}

// exp(x) for x ≤ 0 as a plain number.
fn exp_negative(x: f32) -> f32 {
    let p = pair_exp(x);
    return p.v * exp2_int(p.e);
}
