// The chunk of x that a lane needs, read by the lane itself; the other forms are
// lib/x_quad.wgsl, lib/x_subgroup.wgsl and lib/x_memory.wgsl. Lanes count for themselves (lib/x_alone.wgsl).

struct XChunk { squares: f32 }

fn fetch_x(m: u32, at: u32, lane: u32) {}

fn load_chunk(m: u32, c: u32) -> XChunk {
    return XChunk(0.0);
}

fn x_vec4(x: XChunk, m: u32, c: u32, i: u32) -> X {
    return load_x(m, c * 8u + i);
}
