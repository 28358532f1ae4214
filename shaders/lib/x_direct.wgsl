// The chunk of x that a lane needs, read by the lane itself; the other forms are
// lib/x_subgroup.wgsl and lib/x_memory.wgsl.

struct XChunk { squares: f32 }

fn begin_x() {}

fn first_chunk(lane: u32) -> u32 {
    return lane % SPLIT;
}

fn fetch_x(m: u32, at: u32, lane: u32) {}

fn load_chunk(m: u32, c: u32) -> XChunk {
    return XChunk(0.0);
}

fn x_vec4(x: XChunk, m: u32, c: u32, i: u32) -> X {
    return load_x(m, c * 8u + i);
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
