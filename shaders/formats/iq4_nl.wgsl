// GGUF IQ4_NL, x = d·v[q]. Plane 0: 4 words per chunk, word g = elements 8g..8g+8, lowest nibble
// first. Plane 1: half a word per chunk, d.

struct Block { q: vec4<u32>, d: f32 }

fn load_block(row: u32, c: u32) -> Block {
    let scale = row_word(1u, row, c, 2u);
    return Block(load_vec4(plane(0u) / 4u + slot(row, c, 1u)), f16_half(scale, c));
}

fn decode8(b: Block, g: u32) -> Vec8 {
    let v = iq4_values8(b.q[g]);
    return Vec8(b.d * v.lo, b.d * v.hi);
}
