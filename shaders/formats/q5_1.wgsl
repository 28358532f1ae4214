// GGUF Q5_1, x = d·q + m. Plane 0: 4 words per chunk, word g = the low bits of elements 8g..8g+8,
// lowest nibble first. Plane 1: 1 word per chunk, bit j = the fifth bit of element j. Plane 2:
// 1 word per chunk, d | m << 16.

struct Block { q: vec4<u32>, fifth: u32, d: f32, m: f32 }

fn load_block(row: u32, c: u32) -> Block {
    let s = slot(row, c, 1u);
    let fifth = row_word(1u, row, c, 1u);
    let scale = row_word(2u, row, c, 1u);
    return Block(
        load_vec4(plane(0u) / 4u + s), fifth, f16_value(scale), f16_value(scale >> 16u));
}

const CODE_OFFSET = true;

fn codes8(b: Block, g: u32) -> Vec8 {
    return with_fifth(nibbles(b.q[g]), b.fifth >> (8u * g));
}

fn scale_offset(b: Block) -> vec2<f32> {
    return vec2<f32>(b.d, b.m);
}

fn decode8(b: Block, g: u32) -> Vec8 {
    let q = codes8(b, g);
    return Vec8(b.d * q.lo + b.m, b.d * q.hi + b.m);
}

const HAS_MINIMUM = true;

fn integers(b: Block) -> Integers {
    let even = even_nibbles(b.q) | even_fifths(b.fifth);
    let odd = odd_nibbles(b.q) | even_fifths(b.fifth >> 1u);
    return Integers(even, odd, 0, vec2<i32>(1), b.d, b.m);
}

const CHUNK_WORDS = 6u;

fn encode32(x: array<u32, 32>, peak: u32) -> array<u32, CHUNK_WORDS> {
    let grid = affine(x, 31u);
    var words: array<u32, CHUNK_WORDS>;
    for (var j = 0u; j < 32u; j++) {
        let q = affine_code(grid, x[j], 31u);
        words[j / 8u] |= (q & 15u) << (4u * (j % 8u));
        words[4] |= (q >> 4u) << j;
    }
    words[5] = f16_bits(grid.d) | (f16_bits(grid.least) << 16u);
    return words;
}
