// IEEE binary32: one plane, a word per weight.

struct Block { at: u32 }

fn load_block(row: u32, c: u32) -> Block {
    return Block((plane(0u) + slot(row, c, 1u) * 32u) / 4u);
}

fn decode8(b: Block, g: u32) -> Vec8 {
    let lo = load_vec4(b.at + 2u * g);
    let hi = load_vec4(b.at + 2u * g + 1u);
    return Vec8(bitcast<vec4<f32>>(lo), bitcast<vec4<f32>>(hi));
}

const CHUNK_WORDS = 32u;

fn encode32(x: array<u32, 32>, peak: u32) -> array<u32, CHUNK_WORDS> {
    return x;
}
