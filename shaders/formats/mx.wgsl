// OCP MX, x = 2^(s − 127)·element. Plane 0: a word per chunk and bit of an element, the little-endian
// stream of the elements. Plane 1: a byte per chunk, s; 255 is NaN.

struct Block { codes: Stream, s: u32 }

fn load_block(row: u32, c: u32) -> Block {
    let codes = load_stream(plane(0u) + slot(row, c, 1u) * code_width(), code_width());
    let scales = row_word(1u, row, c, 4u);
    return Block(codes, (scales >> (8u * (c & 3u))) & 255u);
}

fn decode8(b: Block, g: u32) -> Vec8 {
    return times_e8m0(elements(b.codes, g), i32(b.s), i32(EXPONENT_BIAS + MANTISSA_BITS));
}

// Room for the widest elements.
const CHUNK_WORDS = 9u;

fn encode32(x: array<u32, 32>, peak: u32) -> array<u32, CHUNK_WORDS> {
    var words: array<u32, CHUNK_WORDS>;
    if !is_finite(peak) {
        words[code_width()] = 255u;
        return words;
    }
    let max_exponent = i32(LARGEST_CODE >> MANTISSA_BITS) - i32(EXPONENT_BIAS);
    let s = max(i32(peak >> 23u) - max_exponent, 0);
    for (var j = 0u; j < 32u; j++) {
        let v = f32_split(x[j]);
        put_code(&words, j, element_code(x[j], Scaled(v.m, v.e + 127 - s)));
    }
    words[code_width()] = u32(s);
    return words;
}
