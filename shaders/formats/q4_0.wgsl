// GGUF Q4_0, x = d·(q − 8). Plane 0: 4 words per chunk, word g = elements 8g..8g+8, lowest nibble
// first. Plane 1: half a word per chunk, d.

struct Block { q: vec4<u32>, d: f32 }

fn load_block(row: u32, c: u32) -> Block {
    let scale = row_word(1u, row, c, 2u);
    return Block(load_vec4(plane(0u) / 4u + slot(row, c, 1u)), f16_half(scale, c));
}

const CODE_OFFSET = true;

fn codes8(b: Block, g: u32) -> Vec8 {
    return nibbles(b.q[g]);
}

fn scale_offset(b: Block) -> vec2<f32> {
    return vec2<f32>(b.d, -8.0 * b.d);
}

fn decode8(b: Block, g: u32) -> Vec8 {
    return centred_nibbles(b.q[g], b.d, 8.0);
}

const HAS_MINIMUM = false;

fn integers(b: Block) -> Integers {
    return Integers(even_nibbles(b.q), odd_nibbles(b.q), 8, vec2<i32>(1), b.d, 0.0);
}

const CHUNK_WORDS = 5u;

fn encode32(x: array<u32, 32>, peak: u32) -> array<u32, CHUNK_WORDS> {
    let grid = symmetric(x, 8u);
    var words: array<u32, CHUNK_WORDS>;
    for (var j = 0u; j < 32u; j++) {
        words[j / 8u] |= symmetric_code(grid, x[j], 8u) << (4u * (j % 8u));
    }
    words[4] = f16_bits(grid.d);
    return words;
}
