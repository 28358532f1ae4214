// A multiplication's y goes to a buffer (lib/y_buffer.wgsl), and to texels times the gain of the RMSNorm that
// comes next: y[m, n]·gain[n], and behind each row sums of the squares of its y[m, n], each the first value of
// a texel, as lib/squares_together.wgsl or lib/squares_apart.wgsl adds them up. So what multiplies next need
// not look at the gain, and has the norm's factor from a few texels (`factor_behind`, ops/matmul.wgsl); no
// launch stages the rows. Whole vec4s of rows, all in one shard; SPLIT and TILE_M are 1.

@group(0) @binding(6) var scaled: texture_storage_2d<rgba32float, write>;

// The squares of a lane's rows of W.
var<private> own_squares: f32;

fn put_scaled(i: u32, v: vec4<f32>) {
    textureStore(scaled, vec2<u32>(i % 1024u, i / 1024u), v);
}

fn put_squares(m: u32, part: u32, sum: f32) {
    put_scaled(m * params.scaled_stride + params.rows / 4u + part, vec4<f32>(sum, 0.0, 0.0, 0.0));
}

fn store4(m: u32, row: u32, value: vec4<f32>) {
    if m >= params.m || row >= params.rows {
        return;
    }
    let n = params.first_row + row;
    let v = vec4<f32>(
        store(m, n, with_bias(n, value.x)), store(m, n + 1u, with_bias(n + 1u, value.y)),
        store(m, n + 2u, with_bias(n + 2u, value.z)), store(m, n + 3u, with_bias(n + 3u, value.w)));
    put_scaled(m * params.scaled_stride + n / 4u, v * gain[n / 4u]);
    own_squares += dot(v, v);
}

fn store8(m: u32, row: u32, a: vec4<f32>, b: vec4<f32>) {
    store4(m, row, a);
    store4(m, row + 4u, b);
}
