// The queries' values, read by each lane itself; the other form is lib/q_subgroup.wgsl.

struct QChunk { at: u32 }

fn begin_q() {}

fn load_q_chunk(at: u32, c: u32) -> QChunk {
    return QChunk(at);
}

// vec4 i of chunk c.
fn q_vec4(q: QChunk, c: u32, i: u32) -> vec4<f32> {
    return load_q(q.at, 8u * c + i);
}
