// The queries' values, read once for each eight lanes of a subgroup: lane i reads vec4 i of a chunk and
// passes it round, as lib/x_subgroup.wgsl does and for its reason. Subgroups must have at least eight
// lanes, all there.

struct QChunk { own: vec4<f32> }

var<private> q_lane: u32;

fn begin_q() {
    q_lane = subgroupExclusiveAdd(1u) % 8u;
}

fn load_q_chunk(at: u32, c: u32) -> QChunk {
    let i = 8u * c + q_lane;
    if i >= params.width {
        return QChunk(vec4<f32>());
    }
    return QChunk(q[at + i]);
}

// vec4 i of chunk c.
fn q_vec4(q: QChunk, c: u32, i: u32) -> vec4<f32> {
    return subgroupShuffle(q.own, i);
}
