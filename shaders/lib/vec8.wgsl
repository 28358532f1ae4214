// Eight consecutive weights, and the small unpackers that formats share.

// Whether products too small for a normal f32 must be right on devices that flush them; that takes
// much code for what cannot show in a sum.
override EXACT: bool = true;

struct Vec8 { lo: vec4<f32>, hi: vec4<f32> }

// The f32 value of the binary16 in the low 16 bits of h, built from its bits: exact, subnormals
// included, on devices whose own conversion flushes them.
fn f16_value(h: u32) -> f32 {
    let sign = (h & 0x8000u) << 16u;
    let exponent = (h >> 10u) & 31u;
    let mantissa = h & 0x3ffu;
    let normal = ((exponent + 112u) << 23u) | (mantissa << 13u);
    let special = 0x7f800000u | (mantissa << 13u);
    let subnormal = bitcast<u32>(f32(mantissa) * 0x1p-24);
    let bits = select(select(normal, special, exponent == 31u), subnormal, exponent == 0u);
    return bitcast<f32>(sign | bits);
}

// Small codes as floats: through i32, which every processor converts in one instruction.
fn floats(lo: vec4<u32>, hi: vec4<u32>) -> Vec8 {
    return Vec8(vec4<f32>(bitcast<vec4<i32>>(lo)), vec4<f32>(bitcast<vec4<i32>>(hi)));
}

// The eight nibbles of w, lowest first, as 0..15.
fn nibbles(w: u32) -> Vec8 {
    let lo = vec4<u32>(w, w >> 4u, w >> 8u, w >> 12u) & vec4<u32>(15u);
    let hi = vec4<u32>(w >> 16u, w >> 20u, w >> 24u, w >> 28u) & vec4<u32>(15u);
    return floats(lo, hi);
}

// Chunk c's half of a word that holds the binary16 scales of two chunks.
fn f16_half(w: u32, c: u32) -> f32 {
    return f16_value(w >> (16u * (c & 1u)));
}

// Eight codes of five bits: the nibbles of w, and bit i of h as the fifth of code i.
fn nibbles_and_fifth(w: u32, h: u32) -> Vec8 {
    let lo = vec4<u32>(w, w >> 4u, w >> 8u, w >> 12u) & vec4<u32>(15u);
    let hi = vec4<u32>(w >> 16u, w >> 20u, w >> 24u, w >> 28u) & vec4<u32>(15u);
    let fifth_lo = vec4<u32>(h << 4u, h << 3u, h << 2u, h << 1u) & vec4<u32>(16u);
    let fifth_hi = vec4<u32>(h, h >> 1u, h >> 2u, h >> 3u) & vec4<u32>(16u);
    return floats(lo | fifth_lo, hi | fifth_hi);
}

// The four bytes of w as signed integers, lowest first.
fn signed_bytes(w: u32) -> vec4<f32> {
    let tops = vec4<u32>(w << 24u, w << 16u, w << 8u, w);
    return top_bytes(tops);
}

// The highest byte of each word as a signed integer.
fn top_bytes(words: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(bitcast<vec4<i32>>(words) >> vec4<u32>(24u));
}
