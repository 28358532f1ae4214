// GGUF IQ1_S, x = d·(2s + 1)·(point ± 1/8). Plane 0: 1 word per chunk, four point numbers of a
// byte. Plane 1: half a word per chunk: three upper bits of each number, s in 3 bits, whether the
// eighth is taken off. Plane 2: half a word per 8 chunks, d.

struct Block { points: u32, high: u32, scale: f32 }

fn load_block(row: u32, c: u32) -> Block {
    let high = row_word(1u, row, c, 2u) >> (16u * (c & 1u));
    let d = f16_half(row_word(2u, row, c, 16u), c / 8u);
    let scale = d * f32(2u * ((high >> 12u) & 7u) + 1u);
    return Block(load_word(plane(0u) + slot(row, c, 1u)), high, scale);
}

fn decode8(b: Block, g: u32) -> Vec8 {
    let low = (b.points >> (8u * g)) & 255u;
    let point = grid_point(low | (((b.high >> (3u * g)) & 7u) << 8u));
    return ternary8(point, (b.high >> 15u) & 1u, b.scale);
}
