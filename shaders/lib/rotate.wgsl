// Rotation of a head's pairs by position (RoFormer, arXiv 2104.09864), for kernels that have the
// angles' cosines and sines in a table made in f64, since WGSL's are only good near zero.
// NEOX: pair i is (i, i + pairs); otherwise (2i, 2i + 1), as in GGUF's llama files.

override NEOX: bool = false;

// Where in its head a pair lies.
fn pair_places(pair: u32, pairs: u32) -> vec2<u32> {
    let first = select(2u * pair, pair, NEOX);
    return vec2<u32>(first, first + select(1u, pairs, NEOX));
}

// The pair that value j of a head is of; j is below 2·pairs.
fn pair_of(j: u32, pairs: u32) -> u32 {
    return select(j / 2u, j % pairs, NEOX);
}

// turn: cosine and sine.
fn rotate(v: vec2<f32>, turn: vec2<f32>) -> vec2<f32> {
    return vec2<f32>(v.x * turn.x - v.y * turn.y, v.x * turn.y + v.y * turn.x);
}
