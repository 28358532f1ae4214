// Products with a power of two, exact on devices that flush subnormals too.

// v·2^(s − 127), NaN for s = 255. From s = `safe` on no product is subnormal unless v is.
fn times_e8m0(v: Vec8, s: i32, safe: i32) -> Vec8 {
    if EXACT && s < safe {
        return Vec8(move_exponents(v.lo, s - 127), move_exponents(v.hi, s - 127));
    }
    let d = bitcast<f32>(select(u32(max(s, 0)) << 23u, 0x7fc00000u, s == 255));
    return Vec8(d * v.lo, d * v.hi);
}

// v·2^by by its bits, for products that need no rounding; by < 0.
fn move_exponents(v: vec4<f32>, by: i32) -> vec4<f32> {
    let bits = bitcast<vec4<u32>>(v);
    let size = bits & vec4<u32>(0x7fffffffu);
    let exponent = bitcast<vec4<i32>>(size >> vec4<u32>(23u)) + vec4<i32>(by);
    let normal = size - vec4<u32>(u32(-by) << 23u);
    let mantissa = (size & vec4<u32>(0x7fffffu)) | vec4<u32>(0x800000u);
    let down = clamp(vec4<i32>(1) - exponent, vec4<i32>(0), vec4<i32>(31));
    let moved = select(normal, mantissa >> bitcast<vec4<u32>>(down), exponent < vec4<i32>(1));
    let stays = (size == vec4<u32>(0u)) | (size >= vec4<u32>(INFINITY));
    return bitcast<vec4<f32>>((bits & vec4<u32>(SIGN)) | select(moved, size, stays));
}
