// The scale and the minimum of chunk c of a block of Q4_K or Q5_K, d·s and dmin·m (both exact), from
// the block's four words: d | dmin << 16; four low bits of each s; of each m; per chunk 2 high bits
// of s, 2 of m.
fn scale_and_min(block: vec4<u32>, c: u32) -> vec2<f32> {
    let fields = block.yzw >> vec3<u32>(4u * (c & 7u));
    let s = (fields.x & 15u) | ((fields.z << 4u) & 48u);
    let m = (fields.y & 15u) | ((fields.z << 2u) & 48u);
    return vec2<f32>(f16_value(block.x) * f32(s), f16_value(block.x >> 16u) * f32(m));
}
