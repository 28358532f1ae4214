// Addresses in a repacked tensor; the twin of src/formats/layout.rs, where the formula stands. The
// op's params begin with `chunks, plane1, plane2`.

override ROW_TILE: u32 = 1u;

fn slot(row: u32, c: u32, n: u32) -> u32 {
    let slots = (params.chunks + n - 1u) / n;
    return (row / ROW_TILE * slots + c / n) * ROW_TILE + row % ROW_TILE;
}

// First word of plane p.
fn plane(p: u32) -> u32 {
    return select(select(params.plane2, params.plane1, p == 1u), 0u, p == 0u);
}
