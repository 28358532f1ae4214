// GGUF IQ3_XXS, x = ±d·(2s + 1)/4·point. Plane 0: 3 words per chunk: eight point numbers of a byte;
// four times seven signs, s above them. Plane 1: half a word per 8 chunks, d.

struct Block { front: u32, back: u32, signs: u32, scale: f32 }

fn load_block(row: u32, c: u32) -> Block {
    let at = plane(0u) + 3u * slot(row, c, 1u);
    let signs = load_word(at + 2u);
    let d = f16_half(row_word(1u, row, c, 16u), c / 8u);
    let scale = d * (f32(signs >> 28u) * 0.5 + 0.25);
    return Block(load_word(at), load_word(at + 1u), signs, scale);
}

// Levels 4, 12, 20, 28, 36, 44, 52 and 62.
fn levels4(point: u32) -> vec4<u32> {
    let n = numbers4(point);
    return 8u * n + 2u * ((n + vec4<u32>(1u)) >> vec4<u32>(3u)) + vec4<u32>(4u);
}

fn decode8(b: Block, g: u32) -> Vec8 {
    let pair = select(b.front, b.back, g > 1u) >> (16u * (g & 1u));
    let lo = levels4(grid_point(pair & 255u));
    let hi = levels4(grid_point((pair >> 8u) & 255u));
    return signed8(lo, hi, even_signs((b.signs >> (7u * g)) & 127u), b.scale);
}
