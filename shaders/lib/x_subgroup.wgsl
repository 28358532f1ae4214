// The chunk of x that all lanes need, read once for each eight lanes of a subgroup: lane i reads
// vec4 i of the chunk and passes it round. Where a load costs as much as dozens of multiply-adds,
// this is what bounds the kernel; the other forms are lib/x_direct, x_quad and x_memory. Subgroups
// must have at least eight lanes, all there, and all on the same row and chunk.

struct XChunk { own: vec4<f32>, squares: f32 }

const SHARERS = 8u;

fn load_chunk(m: u32, c: u32) -> XChunk {
    let own = load_x(m, c * 8u + share_lane);
    return XChunk(own.v, own.squares);
}

// vec4 i of the chunk. Its squares are counted in load_chunk, by the lane that read it.
fn x_vec4(x: XChunk, m: u32, c: u32, i: u32) -> X {
    return X(subgroupShuffle(x.own, i), 0.0);
}

// The sum of a value over the lanes that share.
fn share_sum(own: f32) -> f32 {
    let two = own + subgroupShuffleXor(own, 1u);
    let four = two + subgroupShuffleXor(two, 2u);
    return four + subgroupShuffleXor(four, 4u);
}

fn add_together(own: f32) -> f32 {
    return share_sum(own);
}

// The sum of the chunk's values.
fn chunk_total(x: XChunk, seen: f32) -> f32 {
    return share_sum(x.own.x + x.own.y + x.own.z + x.own.w);
}

// What of that sum is added while walking the chunk: nothing here.
fn part_total(lo: vec4<f32>, hi: vec4<f32>) -> f32 {
    return 0.0;
}
