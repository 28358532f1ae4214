// Small floats of 3 to 8 bits in streams (lib/bit_stream.wgsl); the twin of src/formats/element.rs,
// where the kinds are told.

override EXPONENT_BITS: u32 = 4u;
override MANTISSA_BITS: u32 = 3u;
override EXPONENT_BIAS: u32 = 7u;
// The code of the largest finite value; above it are infinity and NaN.
override LARGEST_CODE: u32 = 126u;

fn code_width() -> u32 {
    return 1u + EXPONENT_BITS + MANTISSA_BITS;
}

fn sign_bit() -> u32 {
    return 1u << (EXPONENT_BITS + MANTISSA_BITS);
}

// Elements 8g..8g+8 of a chunk's stream.
fn elements(stream: Stream, g: u32) -> Vec8 {
    let w = stream_window(stream, code_width(), g);
    return Vec8(four_elements(w.x), four_elements(stream_code(w, code_width(), 4u)));
}

// The lowest four codes of w.
fn four_elements(w: u32) -> vec4<f32> {
    let width = code_width();
    let codes = vec4<u32>(w, w >> width, w >> (2u * width), w >> (3u * width));
    let size = codes & vec4<u32>(sign_bit() - 1u);
    let moved = size * vec4<u32>(1u << (23u - MANTISSA_BITS));
    let normal = moved + vec4<u32>((127u - EXPONENT_BIAS) << 23u);
    let unit = bitcast<f32>((128u - EXPONENT_BIAS - MANTISSA_BITS) << 23u);
    let subnormal = bitcast<vec4<u32>>(vec4<f32>(bitcast<vec4<i32>>(size)) * unit);
    var bits = select(normal, subnormal, size < vec4<u32>(1u << MANTISSA_BITS));
    if LARGEST_CODE + 1u < sign_bit() {
        let special = moved | vec4<u32>(INFINITY);
        bits = select(bits, special, size > vec4<u32>(LARGEST_CODE));
    }
    let sign = (codes & vec4<u32>(sign_bit())) * vec4<u32>(1u << (32u - width));
    return bitcast<vec4<f32>>(bits | sign);
}

// The code nearest to v with the sign of x, of two the even one, at most the largest.
fn element_code(x: u32, v: Scaled) -> u32 {
    // Exponents count from that of the smallest normal code; there and below, the unit stays.
    let exponent = v.e + 22 + i32(EXPONENT_BIAS);
    let m = (u32(clamp(exponent, 0, i32(1u << EXPONENT_BITS))) << 23u) + v.m;
    let rounded = shift_round(m, min(23u - MANTISSA_BITS + u32(max(-exponent, 0)), 31u));
    return select(0u, sign_bit(), x >= SIGN) | min(rounded, LARGEST_CODE);
}

// The same of any f32, by its bits.
fn element_code_of(x: u32) -> u32 {
    if is_nan(x) {
        let all_ones = sign_bit() - 1u;
        return select(0u, sign_bit(), x >= SIGN) | select(0u, all_ones, LARGEST_CODE < all_ones);
    }
    return element_code(x, f32_split(min(magnitude(x), INFINITY - 1u)));
}

// Puts code j into a chunk's stream, where its bits are still zero.
fn put_code(words: ptr<function, array<u32, 9>>, j: u32, code: u32) {
    let bit = code_width() * j;
    (*words)[bit / 32u] |= code << (bit % 32u);
    if bit % 32u + code_width() > 32u {
        (*words)[bit / 32u + 1u] |= code >> (32u - bit % 32u);
    }
}
