// v, in a way that no compiler can join with what is done to v next: `zero` is a uniform that is 0,
// which it does not know. A product whose sum goes through here is rounded by itself, and never part of
// a fused multiply-add, which WGSL allows anywhere.
fn separate(v: vec4<f32>, zero: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(bitcast<vec4<u32>>(v) ^ vec4<u32>(zero));
}
