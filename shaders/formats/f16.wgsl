// IEEE binary16: one plane, 16 words per chunk, two weights in a word, the first in its low half.

struct Block { at: u32 }

fn load_block(row: u32, c: u32) -> Block {
    return Block((plane(0u) + slot(row, c, 1u) * 16u) / 4u);
}

fn decode8(b: Block, g: u32) -> Vec8 {
    let w = load_vec4(b.at + g);
    return Vec8(
        vec4<f32>(f16_value(w.x), f16_value(w.x >> 16u), f16_value(w.y), f16_value(w.y >> 16u)),
        vec4<f32>(f16_value(w.z), f16_value(w.z >> 16u), f16_value(w.w), f16_value(w.w >> 16u)),
    );
}

const CHUNK_WORDS = 16u;

fn encode32(x: array<u32, 32>, peak: u32) -> array<u32, CHUNK_WORDS> {
    var words: array<u32, CHUNK_WORDS>;
    for (var w = 0u; w < 16u; w++) {
        words[w] = f16_bits(x[2u * w]) | (f16_bits(x[2u * w + 1u]) << 16u);
    }
    return words;
}
