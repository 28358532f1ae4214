// GGUF TQ1_0, x = d·(q − 1), digit i of a byte b being ((b·3^i mod 256)·3) / 256. Plane 0: 12 words
// per block, 48 bytes of digits; plane 1: 1 word per block, 4 more. Plane 2: half a word per block,
// d. Element 32i + j is digit i of byte j < 32; 160 + 16i + j of byte 32 + j; 240 + 4i + j of byte
// 48 + j.

// Elements 0..16 and 16..32 of the chunk: their digits, a byte each.
struct Block { front: vec4<u32>, back: vec4<u32>, d: f32 }

// 3^i, i < 5.
fn power_of_3(i: u32) -> u32 {
    return select((0x1b090301u >> (8u * (i & 3u))) & 255u, 81u, i == 4u);
}

// The digits that bytes have at the powers 3^i.
fn digits(bytes: vec4<u32>, powers: vec4<u32>) -> vec4<u32> {
    let mask = vec4<u32>(0x00ff00ffu);
    let three = vec4<u32>(3u);
    let eight = vec4<u32>(8u);
    let even = ((((bytes & mask) * powers) & mask) * three) >> eight;
    let odd = (((((bytes >> eight) & mask) * powers) & mask) * three) & vec4<u32>(0xff00ff00u);
    return (even & mask) | odd;
}

fn load_block(row: u32, c: u32) -> Block {
    let s = slot(row, c, 8u);
    let at = plane(0u) / 4u + 3u * s;
    let i = c & 7u;
    let scale = row_word(2u, row, c, 16u);
    // In chunks 0 to 4 both halves are digit i, of 16 bytes each.
    let whole = i < 5u;
    let first = select(2u * i - 10u, i, whole);
    var front = load_vec4(at + select(2u, 0u, whole));
    var back = front;
    var powers = vec4<u32>(power_of_3(select(first + 1u, i, whole)));
    if whole {
        back = load_vec4(at + 1u);
    }
    if i == 7u {
        back = vec4<u32>(load_word(plane(1u) + s));
        powers = vec4<u32>(1u, 3u, 9u, 27u);
    }
    front = digits(front, vec4<u32>(power_of_3(first)));
    return Block(front, digits(back, powers), f16_half(scale, c >> 3u));
}

fn decode8(b: Block, g: u32) -> Vec8 {
    let side = select(b.back, b.front, g < 2u);
    let q = select(side.zw, side.xy, (g & 1u) == 0u);
    let mask = vec4<u32>(0x3u, 0x300u, 0x30000u, 0x3000000u);
    let step = vec4<f32>(1.0, 0x1p-8, 0x1p-16, 0x1p-24);
    let v = floats(vec4<u32>(q.x) & mask, vec4<u32>(q.y) & mask);
    return Vec8(b.d * (v.lo * step - 1.0), b.d * (v.hi * step - 1.0));
}
