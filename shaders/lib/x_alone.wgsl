// Where each lane sees all values of its chunks of x itself (lib/x_direct.wgsl, lib/x_memory.wgsl), and counts
// them itself: SPLIT lanes are on chunks side by side.

fn begin_x() {}

fn first_chunk(lane: u32) -> u32 {
    return lane % SPLIT;
}

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
