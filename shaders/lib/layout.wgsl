// Addresses in a repacked tensor; the twin of src/formats/layout.rs, where the formula stands. The
// op's params begin with `chunks, plane1, plane2, scales, table`.

override ROW_TILE: u32 = 1u;
// Whether the format has a scale per row, which is left to the op.
override ROW_SCALED: bool = false;

fn slot_in_tiles(row: u32, c: u32, n: u32, tile: u32) -> u32 {
    let slots = (params.chunks + n - 1u) / n;
    return (row / tile * slots + c / n) * tile + row % tile;
}

// Neighbouring rows that a lane reads one after the other: 4 or 8 where ROW_TILE is a multiple of it and the
// first row too, else 1. Formats are given the first row, and nth says which of them is meant: in a tile
// rows lie side by side, so what is worked out for the first holds for all.
override NEIGHBOURS: u32 = 1u;

var<private> nth: u32;

fn slot(row: u32, c: u32, n: u32) -> u32 {
    return slot_in_tiles(row, c, n, ROW_TILE) + nth;
}

// First word of plane p.
fn plane(p: u32) -> u32 {
    return select(select(params.plane2, params.plane1, p == 1u), 0u, p == 0u);
}

// Neighbours' words of planes 1 and 2.
var<private> neighbours: array<vec4<u32>, 4>;

// The word of plane p (1 or 2) for chunk c of a row, n chunks having one. Those of neighbouring rows lie
// side by side and are read together, with the first: a load costs a software driver the same for a
// word as for four. At most once a block for each plane.
fn row_word(p: u32, row: u32, c: u32, n: u32) -> u32 {
    let at = plane(p) + slot(row, c, n);
    if NEIGHBOURS == 1u {
        return load_word(at);
    }
    let own = 2u * (p - 1u);
    if nth == 0u {
        neighbours[own] = load_vec4(at / 4u);
        if NEIGHBOURS > 4u {
            neighbours[own + 1u] = load_vec4(at / 4u + 1u);
        }
    }
    return neighbours[own + nth / 4u][nth % 4u];
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
