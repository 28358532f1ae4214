// NVFP4, x = d·k, k twice an E2M1 and d half an unsigned E4M3 for each 16 weights. Plane 0: 4 words per
// chunk, word g = elements 8g..8g+8, lowest nibble first. Plane 1: half a word per chunk, the two d.

struct Block { q: vec4<u32>, front: f32, back: f32 }

fn load_block(row: u32, c: u32) -> Block {
    let scales = row_word(1u, row, c, 2u) >> (16u * (c & 1u));
    let q = load_vec4(plane(0u) / 4u + slot(row, c, 1u));
    return Block(q, half_e4m3(scales & 255u), half_e4m3((scales >> 8u) & 255u));
}

fn decode8(b: Block, g: u32) -> Vec8 {
    let d = select(b.back, b.front, g < 2u);
    let k = doubled_e2m1(b.q[g]);
    return Vec8(d * k.lo, d * k.hi);
}

// Half of an unsigned E4M3, whose code 0x7f is 0.
fn half_e4m3(code: u32) -> f32 {
    let size = code & 0x7fu;
    let normal = bitcast<f32>((size << 20u) + (119u << 23u));
    let value = select(normal, f32(size) * 0x1p-10, size < 8u);
    return select(value, 0.0, code == 0x7fu);
}

const CHUNK_WORDS = 5u;

fn encode32(x: array<u32, 32>, peak: u32) -> array<u32, CHUNK_WORDS> {
    var words: array<u32, CHUNK_WORDS>;
    for (var s = 0u; s < 2u; s++) {
        var most = 0u;
        for (var j = 16u * s; j < 16u * s + 16u; j++) {
            most = max(most, select(magnitude(x[j]), 0u, is_nan(x[j])));
        }
        let scale = e4m3_code(most);
        let steps = e2m1_steps(bitcast<u32>(half_e4m3(scale)));
        for (var j = 16u * s; j < 16u * s + 16u; j++) {
            words[j / 8u] |= e2m1_code(steps, x[j]) << (4u * (j % 8u));
        }
        // The op takes the upper half from a block's second chunk.
        words[4] |= (scale * 0x10001u) << (8u * s);
    }
    return words;
}

// The E4M3 of most / 6, halves rounded up, all above 248 as 448.
fn e4m3_code(most: u32) -> u32 {
    let sixth = f32_div(min(most, INFINITY - 1u), bitcast<u32>(6.0));
    if sixth < (121u << 23u) {
        // The whole part of the f32 nearest to 512·sixth + ½.
        return min(whole_part(f32_fixed(sixth, 34) + (1u << 24u)), 7u);
    }
    let rounded = ((sixth + 0x80000u) >> 20u) - (120u << 3u);
    return select(0x7eu, rounded, rounded < 0x78u);
}
