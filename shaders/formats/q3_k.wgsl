// GGUF Q3_K, x = d·(s − 32)·(q − 4). Plane 0: 2 words per chunk, word h = the low bits of elements
// 16h..16h+16, lowest first. Plane 1: 1 word per chunk, bit j = the high bit of element j. Plane 2:
// 7 words per 2 blocks: 3 for the even block's scales, a byte per chunk of two words for the low
// four bits, a nibble of a third for the high two; 3 for the odd block's; d | d of the odd one << 16.

// d has both parts' d·(s − 32).
struct Block { low: vec2<u32>, high: u32, d: vec2<f32> }

fn load_block(row: u32, c: u32) -> Block {
    let s = slot(row, c, 1u);
    let low = plane(0u) + 2u * s;
    let pair = plane(2u) + 7u * slot(row, c, 16u);
    let at = pair + 3u * ((c >> 3u) & 1u);
    let d = f16_value(load_word(pair + 6u) >> (2u * (c & 8u)));
    let nibbles_of_s = load_word(at + ((c >> 2u) & 1u)) >> (8u * (c & 3u));
    let crumbs_of_s = load_word(at + 2u) >> (4u * (c & 7u));
    let four = vec2<u32>(nibbles_of_s, nibbles_of_s >> 4u) & vec2<u32>(15u);
    let two = vec2<u32>(crumbs_of_s << 4u, crumbs_of_s << 2u) & vec2<u32>(48u);
    return Block(
        vec2<u32>(load_word(low), load_word(low + 1u)),
        row_word(1u, row, c, 1u),
        d * (vec2<f32>(four | two) - 32.0));
}

fn decode8(b: Block, g: u32) -> Vec8 {
    let low = crumbs(crumb_group(b.low, g));
    let high = vec4<u32>(b.high >> (8u * g));
    let bits = floats(high & vec4<u32>(1u, 2u, 4u, 8u), high & vec4<u32>(16u, 32u, 64u, 128u));
    let lo = fma(bits.lo, vec4<f32>(4.0, 2.0, 1.0, 0.5), low.lo);
    let hi = fma(bits.hi, vec4<f32>(0.25, 0.125, 0x1p-4, 0x1p-5), low.hi);
    let d = select(b.d.y, b.d.x, g < 2u);
    return Vec8(d * (lo - 4.0), d * (hi - 4.0));
}
