// Eight consecutive weights, and the small unpackers that formats share.

// Whether products too small for a normal f32 must be right on devices that flush them; that takes
// much code for what cannot show in a sum.
override EXACT: bool = true;

struct Vec8 { lo: vec4<f32>, hi: vec4<f32> }

// Codes are taken where they stand, with a mask, and a power of two brings them down when they are
// floats, which is exact. What is decoded here shifts no vectors, and left shifts are products: four-lane
// processors without such an instruction (SSE4.1, as SwiftShader compiles for) shift lane by lane.

// The f32 value of the binary16 in the low 16 bits of h, built from its bits: exact, subnormals
// included, on devices whose own conversion flushes them.
fn f16_value(h: u32) -> f32 {
    let size = h & 0x7fffu;
    let exponent = h & 0x7c00u;
    // The exponent's bias is 112 more, and once more for infinity and NaN.
    let moved = size * 0x2000u + (112u << 23u);
    let special = moved + (112u << 23u);
    let subnormal = bitcast<u32>(f32(bitcast<i32>(size)) * 0x1p-24);
    let bits = select(select(moved, special, exponent == 0x7c00u), subnormal, exponent == 0u);
    return bitcast<f32>(bits | ((h & 0x8000u) * 0x10000u));
}

// Small codes as floats: through i32, which every processor converts in one instruction.
fn floats(lo: vec4<u32>, hi: vec4<u32>) -> Vec8 {
    return Vec8(vec4<f32>(bitcast<vec4<i32>>(lo)), vec4<f32>(bitcast<vec4<i32>>(hi)));
}

// Where the nibbles of half a word stand, and what brings them down.
const NIBBLE_PLACES = vec4<f32>(0x1p0, 0x1p4, 0x1p8, 0x1p12);
const NIBBLE_STEPS = vec4<f32>(0x1p0, 0x1p-4, 0x1p-8, 0x1p-12);

// The eight nibbles of w, lowest first, those of either half where they stand.
fn standing_nibbles(w: u32) -> Vec8 {
    let mask = vec4<u32>(0xfu, 0xf0u, 0xf00u, 0xf000u);
    return floats(vec4<u32>(w) & mask, vec4<u32>(w >> 16u) & mask);
}

// The eight nibbles q of w as 0..15.
fn nibbles(w: u32) -> Vec8 {
    let q = standing_nibbles(w);
    return Vec8(q.lo * NIBBLE_STEPS, q.hi * NIBBLE_STEPS);
}

// d·q + o, rounded once: d, of few bits, takes what brings the nibbles down.
fn scaled_nibbles(w: u32, d: f32, o: f32) -> Vec8 {
    let q = standing_nibbles(w);
    let step = d * NIBBLE_STEPS;
    return Vec8(q.lo * step + o, q.hi * step + o);
}

// d·(q − zero), where an infinite d gives infinity.
fn centred_nibbles(w: u32, d: f32, zero: f32) -> Vec8 {
    let q = standing_nibbles(w);
    let step = d * NIBBLE_STEPS;
    let at = zero * NIBBLE_PLACES;
    return Vec8((q.lo - at) * step, (q.hi - at) * step);
}

// base + 16 times bit i of h, for eight codes of five bits or more.
fn with_fifth(base: Vec8, h: u32) -> Vec8 {
    let bits = floats(
        vec4<u32>(h) & vec4<u32>(1u, 2u, 4u, 8u), vec4<u32>(h) & vec4<u32>(16u, 32u, 64u, 128u));
    return Vec8(
        fma(bits.lo, vec4<f32>(16.0, 8.0, 4.0, 2.0), base.lo),
        fma(bits.hi, vec4<f32>(1.0, 0.5, 0.25, 0.125), base.hi));
}

// Chunk c's half of a word that holds the binary16 scales of two chunks.
fn f16_half(w: u32, c: u32) -> f32 {
    return f16_value(w >> (16u * (c & 1u)));
}

// The four bytes of w as signed integers, lowest first.
fn signed_bytes(w: u32) -> vec4<f32> {
    let front = front_bytes(vec2<u32>(w));
    let back = back_bytes(vec2<u32>(w));
    return vec4<f32>(front.xz, back.xz);
}

// Bytes 0 of x and y and bytes 1 of x and y, as signed integers: less 128 where the sign is flipped.
fn front_bytes(w: vec2<u32>) -> vec4<f32> {
    let field = w.xyxy & vec4<u32>(0xffu, 0xffu, 0xff00u, 0xff00u);
    let code = bitcast<vec4<i32>>(field ^ vec4<u32>(0x80u, 0x80u, 0x8000u, 0x8000u));
    return fma(vec4<f32>(code), vec4<f32>(1.0, 1.0, 0x1p-8, 0x1p-8), vec4<f32>(-128.0));
}

// Bytes 2 of x and y and bytes 3 of x and y; these have the word's own sign.
fn back_bytes(w: vec2<u32>) -> vec4<f32> {
    let field = w.xyxy & vec4<u32>(0xff0000u, 0xff0000u, 0xff000000u, 0xff000000u);
    let code = bitcast<vec4<i32>>(field ^ vec4<u32>(0x800000u, 0x800000u, 0u, 0u));
    return fma(
        vec4<f32>(code), vec4<f32>(0x1p-16, 0x1p-16, 0x1p-24, 0x1p-24),
        vec4<f32>(-128.0, -128.0, 0.0, 0.0));
}
