// Where SHARERS lanes of a subgroup pass x round (lib/x_subgroup.wgsl, lib/x_quad.wgsl). Subgroups are whole
// groups of as many, all there, and all on the same row and chunk: SPLIT is 1.

var<private> share_lane: u32;

fn begin_x() {
    share_lane = subgroupExclusiveAdd(1u) % SHARERS;
}

fn first_chunk(lane: u32) -> u32 {
    return 0u;
}

fn fetch_x(m: u32, at: u32, lane: u32) {}
