// bfloat16: one plane, 16 words per chunk, two weights in a word, the first in its low half.

struct Block { at: u32 }

fn load_block(row: u32, c: u32) -> Block {
    return Block((plane(0u) + slot(row, c, 1u) * 16u) / 4u);
}

fn decode8(b: Block, g: u32) -> Vec8 {
    let w = load_vec4(b.at + g);
    let even = w * vec4<u32>(0x10000u);
    let odd = w & vec4<u32>(0xffff0000u);
    return Vec8(
        bitcast<vec4<f32>>(vec4<u32>(even.x, odd.x, even.y, odd.y)),
        bitcast<vec4<f32>>(vec4<u32>(even.z, odd.z, even.w, odd.w)),
    );
}

const CHUNK_WORDS = 16u;

fn encode32(x: array<u32, 32>, peak: u32) -> array<u32, CHUNK_WORDS> {
    var words: array<u32, CHUNK_WORDS>;
    for (var w = 0u; w < 16u; w++) {
        words[w] = bf16_bits(x[2u * w]) | (bf16_bits(x[2u * w + 1u]) << 16u);
    }
    return words;
}
