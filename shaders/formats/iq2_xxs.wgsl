// GGUF IQ2_XXS, x = ±d·(2s + 1)/8·point. Plane 0: 2 words per chunk, four point numbers of a byte;
// four times seven signs, s above them. Plane 1: half a word per 8 chunks, d.

struct Block { points: u32, signs: u32, scale: f32 }

fn load_block(row: u32, c: u32) -> Block {
    let at = plane(0u) + 2u * slot(row, c, 1u);
    let signs = load_word(at + 1u);
    let d = f16_half(row_word(1u, row, c, 16u), c / 8u);
    return Block(load_word(at), signs, d * (f32(signs >> 28u) * 0.25 + 0.125));
}

fn decode8(b: Block, g: u32) -> Vec8 {
    let point = grid_point((b.points >> (8u * g)) & 255u);
    return grid8(point, even_signs((b.signs >> (7u * g)) & 127u), b.scale);
}
