// GGUF IQ1_M, x = d·(2s + 1)·(point ± 1/8). Plane 0: 1 word per chunk, four point numbers of a
// byte. Plane 1: half a word per chunk, 4 bits for each group of 8: three upper bits of the number,
// whether the eighth is taken off. Plane 2: 2 words per 8 chunks, four halves: in 12 bits s of two
// chunks, 3 bits for each 16 weights; in the upper 4, a part of d.

struct Block { points: u32, high: u32, scales: vec2<f32> }

fn load_block(row: u32, c: u32) -> Block {
    let high = row_word(1u, row, c, 2u) >> (16u * (c & 1u));
    let shared_at = plane(2u) + 2u * slot(row, c, 8u);
    let front = load_word(shared_at);
    let back = load_word(shared_at + 1u);
    let d = f16_value(
        ((front >> 12u) & 0xfu) | ((front >> 24u) & 0xf0u)
        | ((back >> 4u) & 0xf00u) | ((back >> 16u) & 0xf000u));
    let word = select(front, back, (c & 4u) != 0u) >> (8u * (c & 2u) + 6u * (c & 1u));
    let s = vec2<u32>(word, word >> 3u) & vec2<u32>(7u);
    let scales = d * vec2<f32>(2u * s + vec2<u32>(1u));
    return Block(load_word(plane(0u) + slot(row, c, 1u)), high, scales);
}

fn decode8(b: Block, g: u32) -> Vec8 {
    let low = (b.points >> (8u * g)) & 255u;
    let high = b.high >> (4u * g);
    let point = grid_point(low | ((high & 7u) << 8u));
    return ternary8(point, (high >> 3u) & 1u, select(b.scales.x, b.scales.y, g > 1u));
}
