// Row-wise int8, x = q, times the row's scale. Plane 0: 8 words per chunk, word w = elements
// 4w..4w+4, lowest byte first.

struct Block { front: vec4<u32>, back: vec4<u32> }

fn load_block(row: u32, c: u32) -> Block {
    let at = plane(0u) / 4u + slot(row, c, 1u) * 2u;
    return Block(load_vec4(at), load_vec4(at + 1u));
}

fn decode8(b: Block, g: u32) -> Vec8 {
    let side = select(b.back, b.front, g < 2u);
    let q = select(side.zw, side.xy, (g & 1u) == 0u);
    return Vec8(signed_bytes(q.x), signed_bytes(q.y));
}

const CHUNK_WORDS = 8u;

// The nearest integer, ties to even, at most 127; 0 for NaN.
fn nearest_byte(x: u32) -> u32 {
    if is_nan(x) {
        return 0u;
    }
    let s = f32_split(min(magnitude(x), 0x43000000u));
    let q = min(shift_round(s.m, u32(clamp(-s.e, 1, 31))), 127u);
    return select(q, 0u - q, x >= SIGN) & 255u;
}

fn encode32(x: array<u32, 32>, peak: u32) -> array<u32, CHUNK_WORDS> {
    var chunk = x;
    var words: array<u32, CHUNK_WORDS>;
    for (var j = 0u; j < 32u; j++) {
        words[j / 4u] |= nearest_byte(chunk[j]) << (8u * (j % 4u));
    }
    return words;
}
