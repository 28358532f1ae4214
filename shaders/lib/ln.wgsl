// ln x of a normal x > 0, good to 7 roundings of |ln x| + 2^-24: x = m·2^k with m in [√½, √2), and
// ln m = 2·atanh(s), s = (m − 1) / (m + 1), |s| ≤ 0.1716, whose series ends at s^9 (2e-9 is lost).
// WGSL's own log errs by up to 2^-21 near 1. Twin: src/ops/extexp.rs.
fn ln(x: f32) -> f32 {
    let bits = bitcast<u32>(x);
    // The exponent grows by one where the mantissa is above √2.
    let k = i32((bits + 0x4afb0du) >> 23u) - 127;
    let m = bitcast<f32>(bits - (u32(k) << 23u));
    let s = (m - 1.0) / (m + 1.0);
    let q = s * s;
    let tail = q * (0.333333333 + q * (0.2 + q * (0.142857143 + q * 0.111111111)));
    let two_s = 2.0 * s;
    return f32(k) * 0x1.63p-1 + (f32(k) * -2.12194440e-4 + (two_s + two_s * tail));
}
