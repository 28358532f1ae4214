// GGUF Q5_K, x = d·s·q − dmin·m. Plane 0: 4 words per chunk, word g = the low bits of elements
// 8g..8g+8, lowest nibble first. Plane 1: 1 word per chunk, bit j = the fifth bit of element j.
// Plane 2: 4 words per block, d, dmin and every s and m, see lib/scale_and_min.wgsl.

struct Block { q: vec4<u32>, fifth: u32, d: f32, m: f32 }

fn load_block(row: u32, c: u32) -> Block {
    let s = slot(row, c, 1u);
    let block = load_vec4(plane(2u) / 4u + slot(row, c, 8u));
    let scale = scale_and_min(block, c);
    let fifth = row_word(1u, row, c, 1u);
    return Block(load_vec4(plane(0u) / 4u + s), fifth, scale.x, scale.y);
}

const CODE_OFFSET = true;

fn codes8(b: Block, g: u32) -> Vec8 {
    return with_fifth(nibbles(b.q[g]), b.fifth >> (8u * g));
}

fn scale_offset(b: Block) -> vec2<f32> {
    return vec2<f32>(b.d, -b.m);
}

fn decode8(b: Block, g: u32) -> Vec8 {
    let q = codes8(b, g);
    return Vec8(b.d * q.lo - b.m, b.d * q.hi - b.m);
}
