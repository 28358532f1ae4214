// Where lanes of a subgroup need not be on the same chunk of x (lib/x_direct.wgsl, lib/x_memory.wgsl).

fn begin_x() {}

// SPLIT lanes are on chunks side by side.
fn first_chunk(lane: u32) -> u32 {
    return lane % SPLIT;
}
