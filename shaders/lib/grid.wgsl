// The grids of GGUF's IQ formats; the twin of src/formats/grid.rs. Points lie in the format's
// table, two to a word.

// Point i in the low 16 bits; what is above them is not its own.
fn grid_point(i: u32) -> u32 {
    return load_word(table() + i / 2u) >> (16u * (i & 1u));
}

// Seven signs, and the eighth, which makes their number even.
fn even_signs(seven: u32) -> u32 {
    return seven | ((countOneBits(seven) & 1u) << 7u);
}

// Eight magnitudes times scale, negative where the bit in signs is set.
fn signed8(lo: vec4<u32>, hi: vec4<u32>, signs: u32, scale: f32) -> Vec8 {
    let top = vec4<u32>(0x80000000u);
    let v = floats(lo, hi);
    let s_lo = (vec4<u32>(signs) * vec4<u32>(1u << 31u, 1u << 30u, 1u << 29u, 1u << 28u)) & top;
    let s_hi = (vec4<u32>(signs) * vec4<u32>(1u << 27u, 1u << 26u, 1u << 25u, 1u << 24u)) & top;
    return Vec8(
        scale * bitcast<vec4<f32>>(bitcast<vec4<u32>>(v.lo) ^ s_lo),
        scale * bitcast<vec4<f32>>(bitcast<vec4<u32>>(v.hi) ^ s_hi));
}

// A point of eight coordinates of two bits, whose levels are 8, 25 and 43.
fn grid8(point: u32, signs: u32, scale: f32) -> Vec8 {
    let lo = vec4<u32>(point, point >> 2u, point >> 4u, point >> 6u) & vec4<u32>(3u);
    let hi = vec4<u32>(point >> 8u, point >> 10u, point >> 12u, point >> 14u) & vec4<u32>(3u);
    let eight = vec4<u32>(8u);
    return signed8(
        17u * lo + (lo >> vec4<u32>(1u)) + eight, 17u * hi + (hi >> vec4<u32>(1u)) + eight,
        signs, scale);
}

// A point of eight coordinates of two bits, whose levels are −1, 0 and 1, with an eighth added to
// each; or taken off, where minus is 1.
fn ternary8(point: u32, minus: u32, scale: f32) -> Vec8 {
    let lo = vec4<u32>(point, point >> 2u, point >> 4u, point >> 6u) & vec4<u32>(3u);
    let hi = vec4<u32>(point >> 8u, point >> 10u, point >> 12u, point >> 14u) & vec4<u32>(3u);
    let less = vec4<i32>(7 + 2 * i32(minus));
    let eighth = 0.125 * scale;
    return Vec8(
        eighth * vec4<f32>(bitcast<vec4<i32>>(lo << vec4<u32>(3u)) - less),
        eighth * vec4<f32>(bitcast<vec4<i32>>(hi << vec4<u32>(3u)) - less));
}

// The level numbers of a point of four coordinates of four bits.
fn numbers4(point: u32) -> vec4<u32> {
    return vec4<u32>(point, point >> 4u, point >> 8u, point >> 12u) & vec4<u32>(15u);
}
