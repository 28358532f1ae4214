// GGUF Q2_K, x = d·s·q − dmin·m. Plane 0: 2 words per chunk, word h = elements 16h..16h+16, lowest
// first. Plane 1: half a word per chunk, a byte s | m << 4 per part of 16. Plane 2: 1 word per
// block, d | dmin << 16.

// d and m have both parts' d·s and dmin·m.
struct Block { q: vec2<u32>, d: vec2<f32>, m: vec2<f32> }

fn load_block(row: u32, c: u32) -> Block {
    let at = plane(0u) + 2u * slot(row, c, 1u);
    let parts = row_word(1u, row, c, 2u) >> (16u * (c & 1u));
    let block = row_word(2u, row, c, 8u);
    let s = vec2<f32>(vec2<u32>(parts, parts >> 8u) & vec2<u32>(15u));
    let m = vec2<f32>(vec2<u32>(parts >> 4u, parts >> 12u) & vec2<u32>(15u));
    return Block(
        vec2<u32>(load_word(at), load_word(at + 1u)),
        f16_value(block) * s, f16_value(block >> 16u) * m);
}

fn decode8(b: Block, g: u32) -> Vec8 {
    let q = crumbs(crumb_group(b.q, g));
    let d = select(b.d.y, b.d.x, g < 2u);
    let m = select(b.m.y, b.m.x, g < 2u);
    return Vec8(d * q.lo - m, d * q.hi - m);
}
