// GGUF Q8_0, x = d·q. Plane 0: 8 words per chunk, words 2g and 2g + 1 = the even and the odd elements of
// 8g..8g+8, lowest byte first. Plane 1: half a word per chunk, d.

struct Block { front: vec4<u32>, back: vec4<u32>, d: f32 }

fn load_block(row: u32, c: u32) -> Block {
    let at = plane(0u) / 4u + slot(row, c, 1u) * 2u;
    let scale = row_word(1u, row, c, 2u);
    return Block(load_vec4(at), load_vec4(at + 1u), f16_half(scale, c));
}

const CODE_OFFSET = false;

fn codes8(b: Block, g: u32) -> Vec8 {
    let side = select(b.back, b.front, g < 2u);
    let q = select(side.zw, side.xy, (g & 1u) == 0u);
    return Vec8(front_bytes(q), back_bytes(q));
}

fn scale_offset(b: Block) -> vec2<f32> {
    return vec2<f32>(b.d, 0.0);
}

fn decode8(b: Block, g: u32) -> Vec8 {
    let q = codes8(b, g);
    return Vec8(b.d * q.lo, b.d * q.hi);
}

const HAS_MINIMUM = false;

fn integers(b: Block) -> Integers {
    let even = vec4<u32>(b.front.xz, b.back.xz);
    let odd = vec4<u32>(b.front.yw, b.back.yw);
    return Integers(even, odd, 0, vec2<i32>(1), b.d, 0.0);
}

const CHUNK_WORDS = 9u;

fn encode32(x: array<u32, 32>, peak: u32) -> array<u32, CHUNK_WORDS> {
    let grid = signed_bytes_grid(x);
    var words: array<u32, CHUNK_WORDS>;
    for (var j = 0u; j < 32u; j++) {
        words[j / 8u * 2u + j % 2u] |= signed_byte_code(grid, x[j]) << (4u * (j & 6u));
    }
    words[8] = f16_bits(grid.d);
    return words;
}
