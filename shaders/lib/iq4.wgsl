// The values of IQ4_NL's and IQ4_XS's codes (ggml-common.h, kvalues_iq4nl), four signed bytes to a
// word, lowest first:
// −127 −104 −83 −65, −49 −35 −22 −10, 1 13 25 38, 53 69 89 113.
fn iq4_values(codes: vec4<u32>) -> vec4<f32> {
    let second = (codes & vec4<u32>(4u)) != vec4<u32>();
    let negative = select(vec4<u32>(0xbfad9881u), vec4<u32>(0xf6eaddcfu), second);
    let positive = select(vec4<u32>(0x26190d01u), vec4<u32>(0x71594535u), second);
    let words = select(negative, positive, (codes & vec4<u32>(8u)) != vec4<u32>());
    let tops = words << (vec4<u32>(24u) - ((codes & vec4<u32>(3u)) << vec4<u32>(3u)));
    return vec4<f32>(bitcast<vec4<i32>>(tops) >> vec4<u32>(24u));
}

// Those of the eight nibbles of w, lowest first.
fn iq4_values8(w: u32) -> Vec8 {
    let fields = vec4<u32>(w, w >> 4u, w >> 8u, w >> 12u);
    return Vec8(iq4_values(fields), iq4_values(fields >> vec4<u32>(16u)));
}
