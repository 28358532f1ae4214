// NF4, x = a·T[q]. Plane 0: 4 words per chunk, word g = elements 8g..8g+8, lowest nibble first.
// Plane 1: a word for 2 chunks, a as f32.

struct Block { q: vec4<u32>, a: f32 }

// QLoRA's 16 values, and the middles between neighbours, rounded down, as bits.
const NF4 = array<u32, 16>(
    0xbf800000u, 0xbf3239b1u, 0xbf066b30u, 0xbeca32a0u, 0xbe91a24du, 0xbe3d353fu,
    0xbdba7871u, 0x00000000u, 0x3da2faffu, 0x3e24cae3u, 0x3e7c04ddu, 0x3ead033au,
    0x3ee1a4b8u, 0x3f1007abu, 0x3f3913b3u, 0x3f800000u);
const NF4_MIDDLES = array<u32, 15>(
    0xbf591cd9u, 0xbf1c5271u, 0xbeeb8480u, 0xbeadea77u, 0xbe703cedu, 0xbe0d38bcu,
    0xbd3a7871u, 0x3d22faffu, 0x3df64862u, 0x3e5067e0u, 0x3e9582d4u, 0x3ec753f9u,
    0x3f006d03u, 0x3f248dafu, 0x3f5c89d9u);

fn load_block(row: u32, c: u32) -> Block {
    let a = bitcast<f32>(row_word(1u, row, c, 2u));
    return Block(load_vec4(plane(0u) / 4u + slot(row, c, 1u)), a);
}

fn nf4(q: u32) -> f32 {
    return bitcast<f32>(NF4[q & 15u]);
}

fn decode8(b: Block, g: u32) -> Vec8 {
    let w = b.q[g];
    let lo = vec4<f32>(nf4(w), nf4(w >> 4u), nf4(w >> 8u), nf4(w >> 12u));
    let hi = vec4<f32>(nf4(w >> 16u), nf4(w >> 20u), nf4(w >> 24u), nf4(w >> 28u));
    // A product that a device might flush.
    if EXACT && magnitude(bitcast<u32>(b.a)) < 0x04000000u {
        return Vec8(
            vec4<f32>(
                f32_product(b.a, lo.x), f32_product(b.a, lo.y),
                f32_product(b.a, lo.z), f32_product(b.a, lo.w)),
            vec4<f32>(
                f32_product(b.a, hi.x), f32_product(b.a, hi.y),
                f32_product(b.a, hi.z), f32_product(b.a, hi.w)));
    }
    return Vec8(b.a * lo, b.a * hi);
}

const CHUNK_WORDS = 5u;

// The code nearest to x / a, the lower of two; that of 0 where this is no number.
fn nf4_code(x: u32, a: u32) -> u32 {
    if a == 0u || !is_finite(x) || !is_finite(a) {
        return 7u;
    }
    let ratio = f32_order((x & SIGN) | f32_div(x, a), 0);
    var code = 0u;
    for (var i = 0u; i < 15u; i++) {
        code += select(0u, 1u, ratio > f32_order(NF4_MIDDLES[i], 0));
    }
    return code;
}

fn encode32(x: array<u32, 32>, peak: u32) -> array<u32, CHUNK_WORDS> {
    var chunk = x;
    let a = select(peak, 0x7fc00000u, peak > INFINITY);
    var words: array<u32, CHUNK_WORDS>;
    for (var j = 0u; j < 32u; j++) {
        words[j / 8u] |= nf4_code(chunk[j], a) << (4u * (j % 8u));
    }
    words[4] = a;
    return words;
}
