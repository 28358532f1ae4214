// What the lanes of an attention tell each other about a tile, where the workgroup is one subgroup: no
// barrier, which costs a software driver a state saved and restored. The other form is
// lib/tile_memory.wgsl.

fn begin_tiles(lane: u32) {}

fn tell_top(m: u32, e: f32) {}

// Query m's largest exponent, which was `before` and of which this lane knows e.
fn top_of(m: u32, before: f32, e: f32) -> f32 {
    return max(before, subgroupMax(e));
}

fn tell_weights(m: u32, lane: u32, own: vec4<f32>) {}

// What lane j has of query m, where this one has `own`.
fn weights_of(m: u32, j: u32, own: vec4<f32>) -> vec4<f32> {
    return subgroupShuffle(own, j);
}

fn meet() {}

// Adds up what the teams have, in a fixed order; the lanes of the first get the sums.
fn join_teams(query: Own, lane: u32) -> Own {
    var own = query;
    for (var team = 1u; team < LANES / SLICES; team++) {
        let other = min(lane + team * SLICES, LANES - 1u);
        own.lo += subgroupShuffle(query.lo, other);
        own.hi += subgroupShuffle(query.hi, other);
        own.total += subgroupShuffle(query.total, other);
    }
    return own;
}
