// Addresses in a repacked tensor; the twin of src/formats/layout.rs, where the formula stands. The
// op's params begin with `chunks, plane1, plane2, scales, table`.

override ROW_TILE: u32 = 1u;
// Whether the format has a scale per row, which is left to the op.
override ROW_SCALED: bool = false;

fn slot_in_tiles(row: u32, c: u32, n: u32, tile: u32) -> u32 {
    let slots = (params.chunks + n - 1u) / n;
    return (row / tile * slots + c / n) * tile + row % tile;
}

fn slot(row: u32, c: u32, n: u32) -> u32 {
    return slot_in_tiles(row, c, n, ROW_TILE);
}

// First word of plane p.
fn plane(p: u32) -> u32 {
    return select(select(params.plane2, params.plane1, p == 1u), 0u, p == 0u);
}

// First word of the format's constant table.
fn table() -> u32 {
    return params.table;
}

fn row_scale(row: u32) -> f32 {
    if !ROW_SCALED {
        return 1.0;
    }
    return bitcast<f32>(load_word(params.scales + row));
}
