// Where each lane sees all values of its chunks of x (lib/x_direct.wgsl, lib/x_memory.wgsl, lib/x_quad.wgsl),
// and counts them itself.

fn share_sum(own: f32) -> f32 {
    return own;
}

fn chunk_total(x: XChunk, seen: f32) -> f32 {
    return seen;
}

fn part_total(lo: vec4<f32>, hi: vec4<f32>) -> f32 {
    let v = lo + hi;
    return v.x + v.y + v.z + v.w;
}
