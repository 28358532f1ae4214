// GGUF MXFP4, x = 2^(e − 128)·k, k twice an E2M1. Plane 0: 4 words per chunk, word g = elements
// 8g..8g+8, lowest nibble first. Plane 1: a byte per chunk, e.

struct Block { q: vec4<u32>, e: u32 }

fn load_block(row: u32, c: u32) -> Block {
    let scales = row_word(1u, row, c, 4u);
    return Block(load_vec4(plane(0u) / 4u + slot(row, c, 1u)), (scales >> (8u * (c & 3u))) & 255u);
}

const CODE_OFFSET = false;

fn codes8(b: Block, g: u32) -> Vec8 {
    return doubled_e2m1(b.q[g]);
}

fn scale_offset(b: Block) -> vec2<f32> {
    return vec2<f32>(bitcast<f32>((max(b.e, 1u) - 1u) << 23u), 0.0);
}

fn decode8(b: Block, g: u32) -> Vec8 {
    return times_e8m0(codes8(b, g), i32(b.e) - 1, 1);
}

const HAS_MINIMUM = false;

// Scales below 2^−38 count as 0, so that no product is subnormal.
fn integers(b: Block) -> Integers {
    let d = bitcast<f32>(select((max(b.e, 1u) - 1u) << 23u, 0u, b.e < 90u));
    return Integers(
        doubled_e2m1_bytes(even_nibbles(b.q)), doubled_e2m1_bytes(odd_nibbles(b.q)),
        0, vec2<i32>(1), d, 0.0);
}

const CHUNK_WORDS = 5u;

fn encode32(x: array<u32, 32>, peak: u32) -> array<u32, CHUNK_WORDS> {
    var words: array<u32, CHUNK_WORDS>;
    let e = mxfp4_exponent(peak);
    let steps = e2m1_steps(select((e - 1u) << 23u, 0x200000u << (e & 1u), e < 2u));
    for (var j = 0u; j < 32u; j++) {
        words[j / 8u] |= e2m1_code(steps, x[j]) << (4u * (j % 8u));
    }
    words[4] = e;
    return words;
}

// ⌊log2(peak)⌋ + 125 in eight bits, the logarithm rounded to f32: see src/formats/mxfp4.rs.
fn mxfp4_exponent(peak: u32) -> u32 {
    if peak == 0u || peak >= INFINITY {
        return 0u;
    }
    let v = f32_split(peak);
    let floor_log2 = v.e + 23;
    let distance = u32(floor_log2 ^ (floor_log2 >> 31u));
    let below = 0x1000000u - v.m;
    let up = distance > 0u && below <= (88u >> (7u - firstLeadingBit(max(distance, 1u))));
    return (u32(floor_log2 + 125) + select(0u, 1u, up)) & 255u;
}
