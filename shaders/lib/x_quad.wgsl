// The chunk of x that all lanes need, where subgroups have but four lanes: each of a quad reads one of the four
// vec4s that two rows have of a group of eight, and passes it round; eight lanes do better
// (lib/x_subgroup.wgsl). A lane sees all values, and counts for itself (lib/x_alone.wgsl).

struct XChunk { squares: f32 }

const SHARERS = 4u;

fn load_chunk(m: u32, c: u32) -> XChunk {
    return XChunk(0.0);
}

// Group g of chunk c: both vec4s of row a, both of row b.
fn x_of_two(a: Lane, b: Lane, c: u32, g: u32) -> array<X, 4> {
    let own = load_x(select(a.m, b.m, share_lane > 1u), c * 8u + 2u * g + share_lane % 2u);
    var two: array<X, 4>;
    two[0].v = quadBroadcast(own.v, 0u);
    two[1].v = quadBroadcast(own.v, 1u);
    two[2].v = quadBroadcast(own.v, 2u);
    two[3].v = quadBroadcast(own.v, 3u);
    if NORM {
        two[0].squares = quadBroadcast(own.squares, 0u);
        two[1].squares = quadBroadcast(own.squares, 1u);
        two[2].squares = quadBroadcast(own.squares, 2u);
        two[3].squares = quadBroadcast(own.squares, 3u);
    }
    return two;
}
