// Four floats, as bits, of two words that hold two binary16 each.
fn f16_pairs(a: u32, b: u32) -> vec4<u32> {
    return bitcast<vec4<u32>>(vec4<f32>(
        f16_value(a & 0xffffu), f16_value(a >> 16u), f16_value(b & 0xffffu), f16_value(b >> 16u),
    ));
}
