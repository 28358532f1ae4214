// GGUF IQ2_S, x = ±d·(2s + 1)/8·point. Plane 0: 2 words per chunk, a byte for each group of 8: the
// points' numbers; the signs. Plane 1: 4 words per 8 chunks, a half per chunk: two upper bits of
// each number, above them s of the first 16 weights, then of the others. Plane 2: half a word per 8
// chunks, d.

struct Block { points: u32, high: u32, signs: u32, scales: vec2<f32> }

fn load_block(row: u32, c: u32) -> Block {
    let at = plane(0u) + 2u * slot(row, c, 1u);
    let word = load_word(plane(1u) + 4u * slot(row, c, 8u) + (c & 7u) / 2u);
    let high = word >> (16u * (c & 1u));
    let s = vec2<u32>(high >> 8u, high >> 12u) & vec2<u32>(15u);
    let d = f16_half(row_word(2u, row, c, 16u), c / 8u);
    return Block(load_word(at), high, load_word(at + 1u), d * (vec2<f32>(s) * 0.25 + 0.125));
}

fn decode8(b: Block, g: u32) -> Vec8 {
    let low = (b.points >> (8u * g)) & 255u;
    let point = grid_point(low | (((b.high >> (2u * g)) & 3u) << 8u));
    return grid8(point, b.signs >> (8u * g), select(b.scales.x, b.scales.y, g > 1u));
}
