// GGUF TQ2_0, x = d·(q − 1). Plane 0: 2 words per chunk, word h = elements 16h..16h+16, lowest first.
// Plane 1: half a word per block, d.

struct Block { q: vec2<u32>, d: f32 }

fn load_block(row: u32, c: u32) -> Block {
    let at = plane(0u) + 2u * slot(row, c, 1u);
    let scale = row_word(1u, row, c, 16u);
    return Block(vec2<u32>(load_word(at), load_word(at + 1u)), f16_half(scale, c >> 3u));
}

fn decode8(b: Block, g: u32) -> Vec8 {
    let q = crumbs(crumb_group(b.q, g));
    return Vec8(b.d * (q.lo - 1.0), b.d * (q.hi - 1.0));
}
