// For formats without codes of their own: the weights themselves.
const CODE_OFFSET = false;

fn codes8(b: Block, g: u32) -> Vec8 {
    return decode8(b, g);
}

fn scale_offset(b: Block) -> vec2<f32> {
    return vec2<f32>(1.0, 0.0);
}
