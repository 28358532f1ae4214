// GGUF IQ3_S, x = ±d·(2s + 1)·point. Plane 0: 3 words per chunk: eight point numbers of a byte; a
// byte of signs for each 8 weights. Plane 1: 3 words per 8 chunks: a byte per chunk, the numbers'
// ninth bits; half a byte per chunk, s. Plane 2: half a word per 8 chunks, d.

struct Block { front: u32, back: u32, ninth: u32, signs: u32, scale: f32 }

fn load_block(row: u32, c: u32) -> Block {
    let at = plane(0u) + 3u * slot(row, c, 1u);
    let shared_at = plane(1u) + 3u * slot(row, c, 8u);
    let ninth = load_word(shared_at + (c & 7u) / 4u) >> (8u * (c & 3u));
    let s = (load_word(shared_at + 2u) >> (4u * (c & 7u))) & 15u;
    let d = f16_half(row_word(2u, row, c, 16u), c / 8u);
    let scale = d * f32(2u * s + 1u);
    return Block(load_word(at), load_word(at + 1u), ninth, load_word(at + 2u), scale);
}

// Levels 1, 3, 5 .. 15.
fn levels4(point: u32) -> vec4<u32> {
    return 2u * numbers4(point) + vec4<u32>(1u);
}

fn decode8(b: Block, g: u32) -> Vec8 {
    let pair = select(b.front, b.back, g > 1u) >> (16u * (g & 1u));
    let ninth = b.ninth >> (2u * g);
    let lo = levels4(grid_point((pair & 255u) | ((ninth & 1u) << 8u)));
    let hi = levels4(grid_point(((pair >> 8u) & 255u) | ((ninth & 2u) << 7u)));
    return signed8(lo, hi, b.signs >> (8u * g), b.scale);
}
