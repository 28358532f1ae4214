// The chunks of x that a workgroup needs, fetched by all its lanes together into workgroup memory: a
// GPU's lanes then read neighbouring vec4s of x once, and pass them round without going by way of a
// cache. For many rows of x; the other forms are lib/x_direct, x_quad and x_subgroup. Lanes count for
// themselves (lib/x_alone.wgsl).

struct XChunk { first: u32, squares: f32 }

// vec4s: a chunk's eight for each of TILE_M rows and of the SPLIT chunks that lanes are on at once.
// Their squares are kept where RMSNorm needs them.
override FETCHED: u32 = 8u;
override SQUARES: u32 = 1u;

// Vec4 i of row r in chunk s at (8·r + i)·SPLIT + s, so that lanes on different chunks read side by side.
var<workgroup> fetched: array<vec4<f32>, FETCHED>;
var<workgroup> squared: array<f32, SQUARES>;

// All lanes come here together, before they go through chunks at .. at + SPLIT.
fn fetch_x(m: u32, at: u32, lane: u32) {
    workgroupBarrier();
    let last = params.m - 1u;
    for (var i = lane; i < FETCHED; i += LANES) {
        let s = i / 8u % SPLIT;
        let r = i / (8u * SPLIT);
        if at + s < params.chunks {
            let x = load_x(min(m + r, last), (at + s) * 8u + i % 8u);
            let to = (8u * r + i % 8u) * SPLIT + s;
            fetched[to] = x.v;
            if NORM {
                squared[to] = x.squares;
            }
        }
    }
    workgroupBarrier();
}

fn load_chunk(m: u32, c: u32) -> XChunk {
    return XChunk(m % TILE_M * 8u * SPLIT + c % SPLIT, 0.0);
}

fn x_vec4(x: XChunk, m: u32, c: u32, i: u32) -> X {
    let at = x.first + i * SPLIT;
    if NORM {
        return X(fetched[at], squared[at]);
    }
    return X(fetched[at], 0.0);
}
