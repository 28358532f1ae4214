// GGUF Q4_1, x = d·q + m. Plane 0: 4 words per chunk, word g = elements 8g..8g+8, lowest nibble
// first. Plane 1: 1 word per chunk, d | m << 16.

struct Block { q: vec4<u32>, d: f32, m: f32 }

fn load_block(row: u32, c: u32) -> Block {
    let s = slot(row, c, 1u);
    let scale = row_word(1u, row, c, 1u);
    return Block(load_vec4(plane(0u) / 4u + s), f16_value(scale), f16_value(scale >> 16u));
}

const CODE_OFFSET = true;

fn codes8(b: Block, g: u32) -> Vec8 {
    return nibbles(b.q[g]);
}

fn scale_offset(b: Block) -> vec2<f32> {
    return vec2<f32>(b.d, b.m);
}

fn decode8(b: Block, g: u32) -> Vec8 {
    return scaled_nibbles(b.q[g], b.d, b.m);
}

const HAS_MINIMUM = true;

fn integers(b: Block) -> Integers {
    return Integers(even_nibbles(b.q), odd_nibbles(b.q), 0, vec2<i32>(1), b.d, b.m);
}

const CHUNK_WORDS = 5u;

fn encode32(x: array<u32, 32>, peak: u32) -> array<u32, CHUNK_WORDS> {
    let grid = affine(x, 15u);
    var words: array<u32, CHUNK_WORDS>;
    for (var j = 0u; j < 32u; j++) {
        words[j / 8u] |= affine_code(grid, x[j], 15u) << (4u * (j % 8u));
    }
    words[4] = f16_bits(grid.d) | (f16_bits(grid.least) << 16u);
    return words;
}
