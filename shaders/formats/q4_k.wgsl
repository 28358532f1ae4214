// GGUF Q4_K, x = d·s·q − dmin·m. Plane 0: 4 words per chunk, word g = elements 8g..8g+8, lowest nibble
// first. Plane 1: 4 words per block, d, dmin and every s and m, see lib/scale_and_min.wgsl.

struct Block { q: vec4<u32>, d: f32, m: f32 }

fn load_block(row: u32, c: u32) -> Block {
    let block = load_vec4(plane(1u) / 4u + slot(row, c, 8u));
    let scale = scale_and_min(block, c);
    return Block(load_vec4(plane(0u) / 4u + slot(row, c, 1u)), scale.x, scale.y);
}

const CODE_OFFSET = true;

fn codes8(b: Block, g: u32) -> Vec8 {
    return nibbles(b.q[g]);
}

fn scale_offset(b: Block) -> vec2<f32> {
    return vec2<f32>(b.d, -b.m);
}

fn decode8(b: Block, g: u32) -> Vec8 {
    return scaled_nibbles(b.q[g], b.d, -b.m);
}

const HAS_MINIMUM = true;

fn integers(b: Block) -> Integers {
    return Integers(even_nibbles(b.q), odd_nibbles(b.q), 0, vec2<i32>(1), b.d, -b.m);
}
