// Block floating point, x = q·2^(E − 127 − (m − 2)); E = 255 is NaN. Plane 0: m words per chunk, a
// stream of 32 mantissas of m bits. Plane 1: E, 16, 8, 4 or 2 bits per chunk.

override MANTISSA_BITS: u32 = 8u;
override BLOCK: u32 = 32u;

// The codes, and E of both halves of the chunk.
struct Block { q: Stream, e: vec2<u32> }

fn load_block(row: u32, c: u32) -> Block {
    let q = load_stream(plane(0u) + slot(row, c, 1u) * MANTISSA_BITS, MANTISSA_BITS);
    let sharing = BLOCK / 8u;
    let word = row_word(1u, row, c, sharing);
    // The first byte that is at least in part the chunk's.
    let first = word >> (c % sharing * 32u / BLOCK * 8u);
    if BLOCK == 16u {
        let both = word >> (16u * (c & 1u));
        return Block(q, vec2<u32>(both, both >> 8u) & vec2<u32>(255u));
    }
    return Block(q, vec2<u32>(first & 255u));
}

fn signed_code(w: vec2<u32>, i: u32) -> i32 {
    return bitcast<i32>(stream_code(w, MANTISSA_BITS, i) << (32u - MANTISSA_BITS)) >> (32u - MANTISSA_BITS);
}

// q·2^e where that may be subnormal, which a multiplication might flush.
fn small_product(q: f32, e: i32) -> f32 {
    return bitcast<f32>((bitcast<u32>(q) & SIGN) | f32_join(u32(abs(q)), e));
}

fn decode8(b: Block, g: u32) -> Vec8 {
    let w = stream_window(b.q, MANTISSA_BITS, g);
    let lo = vec4<f32>(vec4<i32>(signed_code(w, 0u), signed_code(w, 1u), signed_code(w, 2u), signed_code(w, 3u)));
    let hi = vec4<f32>(vec4<i32>(signed_code(w, 4u), signed_code(w, 5u), signed_code(w, 6u), signed_code(w, 7u)));
    let field = select(b.e.y, b.e.x, g < 2u);
    let e = i32(field) - 125 - i32(MANTISSA_BITS);
    if EXACT && e < -126 {
        return Vec8(
            vec4<f32>(small_product(lo.x, e), small_product(lo.y, e), small_product(lo.z, e), small_product(lo.w, e)),
            vec4<f32>(small_product(hi.x, e), small_product(hi.y, e), small_product(hi.z, e), small_product(hi.w, e)));
    }
    let step = bitcast<f32>(select(u32(max(e + 127, 0)) << 23u, 0x7fc00000u, field == 255u));
    return Vec8(step * lo, step * hi);
}

const CHUNK_WORDS = 9u;

fn mantissa(x: u32, e: i32) -> u32 {
    let s = f32_split(x);
    let top = (1u << (MANTISSA_BITS - 1u)) - 1u;
    let q = min(shift_round(s.m, u32(clamp(e - s.e, 1, 31))), top);
    return select(q, 0u - q, x >= SIGN) & ((2u << (MANTISSA_BITS - 1u)) - 1u);
}

fn field_of(peak: u32) -> u32 {
    return min(peak >> 23u, 255u);
}

fn encode32(x: array<u32, 32>, peak: u32) -> array<u32, CHUNK_WORDS> {
    var chunk = x;
    var fields = vec2<u32>(field_of(peak));
    if BLOCK == 16u {
        var peaks = vec2<u32>();
        for (var j = 0u; j < 16u; j++) {
            peaks = max(peaks, vec2<u32>(magnitude(chunk[j]), magnitude(chunk[j + 16u])));
        }
        fields = vec2<u32>(field_of(peaks.x), field_of(peaks.y));
    }
    var words: array<u32, CHUNK_WORDS>;
    for (var j = 0u; j < 32u; j++) {
        let field = select(fields.y, fields.x, j < 16u);
        if field < 255u {
            let q = mantissa(chunk[j], i32(field) - 125 - i32(MANTISSA_BITS));
            let bit = j * MANTISSA_BITS;
            words[bit / 32u] |= q << (bit % 32u);
            if bit % 32u + MANTISSA_BITS > 32u {
                words[bit / 32u + 1u] |= q >> (32u - bit % 32u);
            }
        }
    }
    words[MANTISSA_BITS] = select(fields.x, fields.x | (fields.y << 8u), BLOCK == 16u);
    return words;
}
