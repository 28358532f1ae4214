// GGUF Q6_K, x = d·s·(q − 32). Plane 0: 4 words per chunk, word g = the low bits of elements
// 8g..8g+8, lowest nibble first. Plane 1: 2 words per chunk, word h = the high bits of elements
// 16h..16h+16, lowest first. Plane 2: 9 words per 2 blocks, words 0..8 = the scales, two bytes per
// chunk; word 8 = d of the even block | d of the odd one << 16.

struct Block { low: vec4<u32>, high: vec2<u32>, d: f32, scales: vec2<i32> }

fn load_block(row: u32, c: u32) -> Block {
    let s = slot(row, c, 1u);
    let high = plane(1u) + 2u * s;
    let at = plane(2u) + 9u * slot(row, c, 16u);
    let d = f16_value(load_word(at + 8u) >> (2u * (c & 8u)));
    let scales = load_word(at + ((c & 15u) >> 1u)) << (16u - 16u * (c & 1u));
    let parts = bitcast<vec2<i32>>(vec2<u32>(scales << 8u, scales)) >> vec2<u32>(24u);
    return Block(
        load_vec4(plane(0u) / 4u + s),
        vec2<u32>(load_word(high), load_word(high + 1u)),
        d,
        parts);
}

fn decode8(b: Block, g: u32) -> Vec8 {
    let q = add_crumbs(nibbles(b.low[g]), crumb_group(b.high, g), 16.0);
    let d = b.d * f32(select(b.scales.y, b.scales.x, g < 2u));
    return Vec8(d * (q.lo - 32.0), d * (q.hi - 32.0));
}

const HAS_MINIMUM = false;

fn integers(b: Block) -> Integers {
    let high = vec4<u32>(b.high.x, b.high.x >> 16u, b.high.y, b.high.y >> 16u);
    return Integers(
        even_nibbles(b.low) | even_crumbs(high), odd_nibbles(b.low) | even_crumbs(high >> vec4<u32>(2u)),
        32, b.scales, b.d, 0.0);
}
