// GGUF IQ4_XS, x = d·(s − 32)·v[q]. Plane 0: 4 words per chunk, word g = elements 8g..8g+8, lowest
// nibble first. Plane 1: 2 words per block, d | high bits of s << 16, two per chunk; low four bits
// of s, a nibble per chunk.

struct Block { q: vec4<u32>, d: f32 }

fn load_block(row: u32, c: u32) -> Block {
    let at = plane(1u) + 2u * slot(row, c, 8u);
    let first = load_word(at);
    let i = c & 7u;
    let low = (load_word(at + 1u) >> (4u * i)) & 15u;
    let high = (first >> (16u + 2u * i)) & 3u;
    let d = f16_value(first) * (f32(low | (high << 4u)) - 32.0);
    return Block(load_vec4(plane(0u) / 4u + slot(row, c, 1u)), d);
}

fn decode8(b: Block, g: u32) -> Vec8 {
    let v = iq4_values8(b.q[g]);
    return Vec8(b.d * v.lo, b.d * v.hi);
}
