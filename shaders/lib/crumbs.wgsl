// The eight two-bit fields in the low 16 bits of w, lowest first, as 0..3.
fn crumbs(w: u32) -> Vec8 {
    return add_crumbs(Vec8(), w, 1.0);
}

// base + unit times those fields.
fn add_crumbs(base: Vec8, w: u32, unit: f32) -> Vec8 {
    let q = floats(
        vec4<u32>(w) & vec4<u32>(0x3u, 0xcu, 0x30u, 0xc0u),
        vec4<u32>(w) & vec4<u32>(0x300u, 0xc00u, 0x3000u, 0xc000u));
    let step = unit * vec4<f32>(1.0, 0x1p-2, 0x1p-4, 0x1p-6);
    return Vec8(fma(q.lo, step, base.lo), fma(q.hi, step * 0x1p-8, base.hi));
}

// Group g's 16 bits of a chunk's two words.
fn crumb_group(q: vec2<u32>, g: u32) -> u32 {
    return select(q.y, q.x, g < 2u) >> (16u * (g & 1u));
}
