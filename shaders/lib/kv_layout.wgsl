// Addresses in the caches of keys and values: what lib/layout.wgsl is to a single matrix. The op's
// params have `chunks`, `plane1` and `plane2` with each prefix.

// Rows interleaved with each other: keys for lanes that each walk a row, values for lanes that share
// one.
override K_TILE: u32 = 1u;
override V_TILE: u32 = 1u;

// `slots` in a row, `tile` rows interleaved.
fn tiled_slot(row: u32, slot: u32, slots: u32, tile: u32) -> u32 {
    return (row / tile * slots + slot) * tile + row % tile;
}

fn k_slot(row: u32, c: u32, n: u32) -> u32 {
    return tiled_slot(row, c / n, (params.k_chunks + n - 1u) / n, K_TILE);
}

fn v_slot(row: u32, c: u32, n: u32) -> u32 {
    return tiled_slot(row, c / n, (params.v_chunks + n - 1u) / n, V_TILE);
}

fn k_plane(p: u32) -> u32 {
    return select(select(params.k_plane2, params.k_plane1, p == 1u), 0u, p == 0u);
}

fn v_plane(p: u32) -> u32 {
    return select(select(params.v_plane2, params.v_plane1, p == 1u), 0u, p == 0u);
}

fn k_row_word(p: u32, row: u32, c: u32, n: u32) -> u32 {
    return k_load_word(k_plane(p) + k_slot(row, c, n));
}

fn v_row_word(p: u32, row: u32, c: u32, n: u32) -> u32 {
    return v_load_word(v_plane(p) + v_slot(row, c, n));
}

// No format that a device encodes has a table.
fn k_table() -> u32 {
    return 0u;
}

fn v_table() -> u32 {
    return 0u;
}
