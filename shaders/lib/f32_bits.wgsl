// f32 arithmetic on bits, in integers: correctly rounded (nearest even) with subnormals, overflow
// and NaN as IEEE 754 has them, so that the result is the CPU's on every device. WGSL's own
// division is good to 2.5 ulp only, its multiply-adds may be fused, its subnormals flushed, and it
// may assume that NaN and infinity do not exist.

const INFINITY = 0x7f800000u;
const SIGN = 0x80000000u;

// m·2^e.
struct Scaled { m: u32, e: i32 }

fn magnitude(x: u32) -> u32 {
    return x & 0x7fffffffu;
}

fn is_finite(x: u32) -> bool {
    return magnitude(x) < INFINITY;
}

fn is_nan(x: u32) -> bool {
    return magnitude(x) > INFINITY;
}

// m / 2^s, rounded; 0 < s < 32 and m < 2^31.
fn shift_round(m: u32, s: u32) -> u32 {
    return (m + (1u << (s - 1u)) - 1u + ((m >> s) & 1u)) >> s;
}

// |x| of a finite x, with m in 2^23 .. 2^24 unless it is 0.
fn f32_split(x: u32) -> Scaled {
    let exponent = (x >> 23u) & 255u;
    let m = (x & 0x7fffffu) | select(0u, 0x800000u, exponent > 0u);
    let up = countLeadingZeros(m) - 8u;
    return Scaled(m << up, i32(max(exponent, 1u)) - 150 - i32(up));
}

// The f32 nearest to m·2^e, m < 2^31. The lowest bit of m may stand for all below it ("sticky") if
// m has at least 26 bits.
fn f32_join(m: u32, e: i32) -> u32 {
    let up = countLeadingZeros(m) - 1u;
    let from_e = e - i32(up);
    // 24 bits stay; fewer if the result is subnormal.
    let cut = max(7, -149 - from_e);
    if m == 0u || cut > 31 {
        return 0u;
    }
    let rounded = shift_round(m << (up & 31u), u32(cut));
    return min((u32(from_e + cut + 149) << 23u) + rounded, INFINITY);
}

// |a / b|, both finite, b not zero.
fn f32_div(a: u32, b: u32) -> u32 {
    let n = f32_split(a);
    let d = f32_split(b);
    var q = n.m / d.m;
    var rest = n.m % d.m;
    // Long division, 7 bits at a time.
    for (var i = 0u; i < 4u; i++) {
        rest <<= 7u;
        q = (q << 7u) | (rest / d.m);
        rest %= d.m;
    }
    return f32_join((q << 1u) | min(rest, 1u), n.e - d.e - 29);
}

// |a·b|, both finite.
fn f32_mul(a: u32, b: u32) -> u32 {
    let x = f32_split(a);
    let y = f32_split(b);
    let xh = x.m >> 12u;
    let xl = x.m & 0xfffu;
    let yh = y.m >> 12u;
    let yl = y.m & 0xfffu;
    let mid = xh * yl + xl * yh;
    let low = xl * yl + ((mid & 0xfffu) << 12u);
    let high = xh * yh + (mid >> 12u) + (low >> 24u);
    // The product is high·2^24 + (low mod 2^24); 30 of its 48 bits and a sticky one do.
    let rest = (low & 0xffffffu) >> 18u;
    return f32_join((high << 6u) | rest | min(low & 0x3ffffu, 1u), x.e + y.e + 18);
}

// a·b; one that a device might flush is made in integers, if EXACT.
fn f32_product(a: f32, b: f32) -> f32 {
    let product = a * b;
    if !EXACT {
        return product;
    }
    let x = bitcast<u32>(a);
    let y = bitcast<u32>(b);
    // A device that flushes takes infinity times a subnormal for infinity times 0.
    if max(magnitude(x), magnitude(y)) == INFINITY && min(magnitude(x), magnitude(y)) > 0u {
        return bitcast<f32>(((x ^ y) & SIGN) | INFINITY);
    }
    if magnitude(bitcast<u32>(product)) > 0x01000000u || !is_finite(x) || !is_finite(y) {
        return product;
    }
    return bitcast<f32>(((x ^ y) & SIGN) | f32_mul(x, y));
}

// a − b, both finite, a ≥ b.
fn f32_sub(a: u32, b: u32) -> u32 {
    let x = f32_split(a);
    let y = f32_split(b);
    let e = max(x.e, y.e);
    let difference = f32_aligned(x, a, e) - f32_aligned(y, b, e);
    return f32_join(u32(difference), e - 6);
}

// x with its sign, in units of 2^(e − 6), sticky; e ≥ x.e.
fn f32_aligned(x: Scaled, sign: u32, e: i32) -> i32 {
    let m = x.m << 6u;
    let s = u32(min(e - x.e, 31));
    let cut = i32((m >> s) | select(0u, 1u, (m >> s) << s != m));
    return select(cut, -cut, sign >= SIGN);
}

// |x| in units of 2^−bits, cut towards zero; |x| < 2^(32 − bits).
fn f32_fixed(x: u32, bits: i32) -> u32 {
    let s = f32_split(x);
    let up = s.e + bits;
    return select(s.m >> u32(clamp(-up, 0, 31)), s.m << u32(clamp(up, 0, 31)), up > 0);
}

// The binary16 nearest to x; a NaN keeps the payload bits that fit. The twin of `f32_to_f16` in
// src/formats/bits.rs.
fn f16_bits(x: u32) -> u32 {
    let sign = (x & SIGN) >> 16u;
    if is_nan(x) {
        return sign | 0x7c00u | max((x >> 13u) & 0x3ffu, 1u);
    }
    let exponent = magnitude(x) >> 23u;
    let m = (x & 0x7fffffu) | select(0u, 0x800000u, exponent > 0u);
    // Below exponent 113 the result is subnormal: the unit stays, more bits go.
    let base = max(exponent, 113u);
    let rounded = shift_round(m, min(13u + base - exponent, 31u));
    return sign | min(((base - 113u) << 10u) + rounded, 0x7c00u);
}

// The bfloat16 nearest to x; a NaN keeps its upper bits and becomes quiet.
fn bf16_bits(x: u32) -> u32 {
    let rounded = (x + 0x7fffu + ((x >> 16u) & 1u)) >> 16u;
    return select(rounded, (x >> 16u) | 0x40u, is_nan(x));
}
