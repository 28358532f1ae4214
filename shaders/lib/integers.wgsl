// A chunk of weights as small integers, for dot4I8Packed: weight j of half h (elements 16h..16h+16) is
// d·scales[h]·(code[j] − zero) + m. The twin of src/formats/integers.rs.
//
// Codes are bytes. Of each eight, the even ones stand in one word and the odd ones in another, as
// nibbles come apart with a mask; component g has those of elements 8g..8g+8.
struct Integers { even: vec4<u32>, odd: vec4<u32>, zero: i32, scales: vec2<i32>, d: f32, m: f32 }

fn even_nibbles(q: vec4<u32>) -> vec4<u32> {
    return q & vec4<u32>(0x0f0f0f0fu);
}

fn odd_nibbles(q: vec4<u32>) -> vec4<u32> {
    return even_nibbles(q >> vec4<u32>(4u));
}

// Bit 8g + 2i of h to bit 4 of byte i of component g.
fn even_fifths(h: u32) -> vec4<u32> {
    let bits = (vec4<u32>(h) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(0x55u);
    // Four copies, each 6 bits further up; where two meet, the carry stops at the next odd bit.
    return ((bits * vec4<u32>(0x41041u)) & vec4<u32>(0x01010101u)) << vec4<u32>(4u);
}

// Bits 4i and 4i + 1 of the low half of each component to bits 4 and 5 of its byte i.
fn even_crumbs(c: vec4<u32>) -> vec4<u32> {
    let nibbles = c & vec4<u32>(0x3333u);
    let bytes = (nibbles | (nibbles << vec4<u32>(8u))) & vec4<u32>(0x00ff00ffu);
    return ((bytes << vec4<u32>(4u)) | (bytes << vec4<u32>(8u))) & vec4<u32>(0x30303030u);
}

// Twice the value of the E2M1 code in each byte, as a signed byte.
fn doubled_e2m1_bytes(c: vec4<u32>) -> vec4<u32> {
    let ones = vec4<u32>(0x01010101u);
    let c0 = c & ones;
    let c1 = (c >> vec4<u32>(1u)) & ones;
    let c2 = (c >> vec4<u32>(2u)) & ones;
    // 0, 1, 2, 3, 4, 6, 8, 12, bit by bit.
    let b0 = c0 & ~c2;
    let b1 = (c1 & ~c2) | (c0 & c2 & ~c1);
    let b2 = c2 & (c0 | (c1 ^ ones));
    let b3 = c2 & c1;
    let size = b0 | (b1 << vec4<u32>(1u)) | (b2 << vec4<u32>(2u)) | (b3 << vec4<u32>(3u));
    // −0 is 0, or its carry would reach the next byte.
    let minus = (c >> vec4<u32>(3u)) & (c0 | c1 | c2);
    return (size ^ (minus * vec4<u32>(255u))) + minus;
}
