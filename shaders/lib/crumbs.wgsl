// The eight two-bit fields in the low 16 bits of w, lowest first, at bits 0 and 1.
struct Crumbs { lo: vec4<u32>, hi: vec4<u32> }

fn crumbs(w: u32) -> Crumbs {
    let fields = vec4<u32>(w, w >> 2u, w >> 4u, w >> 6u);
    return Crumbs(fields & vec4<u32>(3u), (fields >> vec4<u32>(8u)) & vec4<u32>(3u));
}

// Group g's 16 bits of a chunk's two words.
fn crumb_group(q: vec2<u32>, g: u32) -> u32 {
    return select(q.y, q.x, g < 2u) >> (16u * (g & 1u));
}
