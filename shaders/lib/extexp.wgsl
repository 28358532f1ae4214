// exp(x) as a pair (v, e): exp(x) = v·2^e with e integral, so that nothing overflows and rescaling
// is exact (Dukhan & Ablavatski, arXiv 2001.04438). A sum of pairs is a pair. The twin of
// src/ops/extexp.rs, which has the error bound; docs/SOFTMAX.md derives it.
//
// n = round(x·log2 e), t = x − n·ln2. ln 2 is LN2_1 + LN2_2 + LN2_3 with 9 bits in each of the first
// two, so that for |n| < 2^15 their products and the first two differences are exact, fused or not.
// v = 1 + t·(1 + t·r(t)): r is the minimax polynomial of degree 4 (relative error of v 4e-9). There is
// no sum of three terms in it, which drivers would add in another order.

struct Pair { v: f32, e: f32 }
struct Pair4 { v: vec4<f32>, e: vec4<f32> }

// The sum of nothing, and an argument that yields it. Marks of either sign: beyond PAIR_MARK, e is
// no exponent. Differences of any two stay finite.
const PAIR_ZERO: Pair = Pair(0.0, -1.6e38);
const PAIR_MARK = 1.5e38;

// Where the short reduction ends, and where x itself is so coarse that only order counts.
const EXP_NEAR = 16384.0;
const EXP_FAR = 8388608.0;

const LOG2_E = 0x1.715476p+0;
const LN2_1 = 0x1.63p-1;
const LN2_2 = -0x1.bdp-13;
const LN2_3 = -0x1.05c61p-29;

fn exp_polynomial(t: vec4<f32>) -> vec4<f32> {
    let high = 0x1.5558fcp-5 + t * (0x1.123b94p-7 + t * 0x1.6a2164p-10);
    return 1.0 + t * (1.0 + t * (0x1.fffffcp-2 + t * (0x1.55549p-3 + t * high)));
}

// Each |x| < EXP_NEAR.
fn pair_exp4(x: vec4<f32>) -> Pair4 {
    let n = round(x * LOG2_E);
    let t = ((x - n * LN2_1) - n * LN2_2) - n * LN2_3;
    return Pair4(exp_polynomial(t), n);
}

// Any x, without branches. From EXP_FAR on the exponent is monotone in x and grows by at least 1 from
// float to float; beyond 2^126 x counts as 2^126. PAIR_ZERO.e gives PAIR_ZERO, −PAIR_ZERO.e the mark
// (1, 1.6e38).
fn pair_exp_any4(x: vec4<f32>) -> Pair4 {
    let size = abs(x);
    let is_near = size < vec4<f32>(EXP_NEAR);
    let is_far = size >= vec4<f32>(EXP_FAR);
    let is_mark = size > vec4<f32>(PAIR_MARK);
    let y = select(x, vec4<f32>(), is_far);
    // n of up to 24 bits in two halves: all but the last difference is exact.
    let n = round(y * LOG2_E);
    let high = select(round(n * 0x1p-12) * 0x1p12, vec4<f32>(), is_near);
    let low = n - high;
    var t = (((y - high * LN2_1) - low * LN2_1) - high * LN2_2) - low * LN2_2;
    t -= n * LN2_3;
    // x·log2 e has an ulp of up to 1, so n may be off by one.
    let k = select(round(t * LOG2_E), vec4<f32>(), is_near);
    t = (t - k * LN2_1) - k * LN2_2;
    let bits = bitcast<vec4<u32>>(min(size, vec4<f32>(0x1p126))) + vec4<u32>(0x400000u);
    let coarse = sign(x) * bitcast<vec4<f32>>(bits);
    let e = select(select(n + k, coarse, is_far), x, is_mark);
    return Pair4(select(exp_polynomial(t), vec4<f32>(), is_mark & (x < vec4<f32>())), e);
}

fn pair_exp(x: f32) -> Pair {
    let p = pair_exp_any4(vec4<f32>(x));
    return Pair(p.v.x, p.e.x);
}

// 2^d for an integral d ≤ 0: exact on every device, 0 below −126. The lower of d and −127 by bits,
// which is one instruction where a float's maximum minds NaN; adding 1.5·2^23 + 127 leaves d + 127 in
// the lowest bits.
fn exp2_int4(d: vec4<f32>) -> vec4<f32> {
    let above = bitcast<vec4<f32>>(min(bitcast<vec4<u32>>(d), vec4<u32>(0xc2fe0000u)));
    return bitcast<vec4<f32>>(bitcast<vec4<u32>>(above + 12583039.0) << vec4<u32>(23u));
}

fn exp2_int(d: f32) -> f32 {
    let above = bitcast<f32>(min(bitcast<u32>(d), 0xc2fe0000u));
    return bitcast<f32>(bitcast<u32>(above + 12583039.0) << 23u);
}

fn pair_add(a: Pair, b: Pair) -> Pair {
    let e = max(a.e, b.e);
    return Pair(a.v * exp2_int(a.e - e) + b.v * exp2_int(b.e - e), e);
}

// exp(x) for x ≤ 0 as a plain number.
fn exp_negative4(x: vec4<f32>) -> vec4<f32> {
    let p = pair_exp4(max(x, vec4<f32>(-128.0)));
    return p.v * exp2_int4(p.e);
}

fn exp_negative(x: f32) -> f32 {
    return exp_negative4(vec4<f32>(x)).x;
}
