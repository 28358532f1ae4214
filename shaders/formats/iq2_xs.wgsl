// GGUF IQ2_XS, x = ±d·(2s + 1)/8·point. Plane 0: 2 words per chunk, a half for each group of 8: the
// point's number in 9 bits, seven signs above it. Plane 1: 2 words per 8 chunks, a byte per chunk,
// s of its first 16 weights low. Plane 2: half a word per 8 chunks, d.

struct Block { front: u32, back: u32, scales: vec2<f32> }

fn load_block(row: u32, c: u32) -> Block {
    let at = plane(0u) + 2u * slot(row, c, 1u);
    let word = load_word(plane(1u) + 2u * slot(row, c, 8u) + (c & 7u) / 4u);
    let byte = word >> (8u * (c & 3u));
    let s = vec2<u32>(byte, byte >> 4u) & vec2<u32>(15u);
    let d = f16_half(row_word(2u, row, c, 16u), c / 8u);
    return Block(load_word(at), load_word(at + 1u), d * (vec2<f32>(s) * 0.25 + 0.125));
}

fn decode8(b: Block, g: u32) -> Vec8 {
    let second = g > 1u;
    let code = select(b.front, b.back, second) >> (16u * (g & 1u));
    let point = grid_point(code & 511u);
    let scale = select(b.scales.x, b.scales.y, second);
    return grid8(point, even_signs((code >> 9u) & 127u), scale);
}
