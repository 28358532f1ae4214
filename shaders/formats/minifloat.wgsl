// Minifloats, x = d·element. Plane 0: a word per chunk and bit of an element, the stream of the codes.
// Plane 1: h, a half word per block; d = h·2^−k, 2^k being the largest element's power of two.

// Weights that share an h; 0 where a row has a scale instead.
override SCOPE_LEN: u32 = 0u;

// d of weights 0..16 and 16..32.
struct Block { codes: Stream, front: f32, back: f32 }

fn load_block(row: u32, c: u32) -> Block {
    let codes = load_stream(plane(0u) + slot(row, c, 1u) * code_width(), code_width());
    if SCOPE_LEN == 0u {
        return Block(codes, 1.0, 1.0);
    }
    let sharing = max(SCOPE_LEN / 16u, 1u);
    let pair = row_word(1u, row, c, sharing);
    if SCOPE_LEN == 16u {
        return Block(codes, block_scale(pair & 0xffffu), block_scale(pair >> 16u));
    }
    let d = block_scale(select(pair & 0xffffu, pair >> 16u, c % sharing * 2u >= sharing));
    return Block(codes, d, d);
}

fn max_power() -> u32 {
    return (LARGEST_CODE >> MANTISSA_BITS) - EXPONENT_BIAS;
}

// d, of the bits of h: never subnormal.
fn block_scale(h: u32) -> f32 {
    return f16_value(h) * bitcast<f32>((127u - max_power()) << 23u);
}

fn decode8(b: Block, g: u32) -> Vec8 {
    let v = elements(b.codes, g);
    if SCOPE_LEN == 0u {
        return v;
    }
    let d = select(b.back, b.front, g < 2u);
    // Only these reach below 2^-126.
    if EXPONENT_BITS == 7u {
        return Vec8(small_products(d, v.lo), small_products(d, v.hi));
    }
    return Vec8(d * v.lo, d * v.hi);
}

fn small_products(d: f32, v: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(
        f32_product(d, v.x), f32_product(d, v.y), f32_product(d, v.z), f32_product(d, v.w));
}

// Room for the widest elements.
const CHUNK_WORDS = 9u;

fn encode32(x: array<u32, 32>, peak: u32) -> array<u32, CHUNK_WORDS> {
    var chunk = x;
    var words: array<u32, CHUNK_WORDS>;
    var h = vec2<u32>(block_scale_bits(peak));
    if SCOPE_LEN == 16u {
        var peaks = vec2<u32>();
        for (var j = 0u; j < 16u; j++) {
            peaks = max(peaks, vec2<u32>(magnitude(chunk[j]), magnitude(chunk[j + 16u])));
        }
        h = vec2<u32>(block_scale_bits(peaks.x), block_scale_bits(peaks.y));
    }
    let d = vec2<u32>(bitcast<u32>(block_scale(h.x)), bitcast<u32>(block_scale(h.y)));
    for (var j = 0u; j < 32u; j++) {
        if SCOPE_LEN == 0u {
            put_code(&words, j, element_code_of(chunk[j]));
        } else {
            put_code(&words, j, quotient_code(chunk[j], select(d.y, d.x, j < 16u)));
        }
    }
    if SCOPE_LEN > 0u {
        words[code_width()] = select(h.x, h.x | (h.y << 16u), SCOPE_LEN == 16u);
    }
    return words;
}

// The bits of h for a block of this peak.
fn block_scale_bits(peak: u32) -> u32 {
    if peak >= INFINITY {
        return select(0x7c00u, 0x7e00u, peak > INFINITY);
    }
    let fraction = LARGEST_CODE & ((1u << MANTISSA_BITS) - 1u);
    return f16_bits(f32_div(peak, 0x3f800000u | (fraction << (23u - MANTISSA_BITS))));
}

// The code of x / d; 0 where d is no divisor.
fn quotient_code(x: u32, d: u32) -> u32 {
    if d == 0u || !is_finite(d) {
        return 0u;
    }
    return element_code(x, f32_split(min(f32_div(x, d), INFINITY - 1u)));
}
