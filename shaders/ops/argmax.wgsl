// The index of a row's largest value, the lowest of equals; 0xffffffff if any value is NaN or
// infinite (told by bits, since WGSL may assume neither exists). A workgroup for each row.

override LANES: u32 = 256u;

struct Params { cols: u32, stride: u32, to: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;

var<workgroup> keys: array<u32, LANES>;
var<workgroup> places: array<u32, LANES>;

// A key that orders like the float whose bits it is made from, −0 as +0; 0xffffffff for NaN and
// infinity.
fn order(bits: u32) -> u32 {
    let negative = bits > 0x80000000u;
    let key = select(bits | 0x80000000u, ~bits, negative);
    return select(key, 0xffffffffu, (bits & 0x7f800000u) == 0x7f800000u);
}

fn keep(lane: u32, key: u32, place: u32) {
    if key > keys[lane] || (key == keys[lane] && place < places[lane]) {
        keys[lane] = key;
        places[lane] = place;
    }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = group.x * params.stride;
    keys[lane] = 0u;
    places[lane] = 0xffffffffu;
    for (var i = lane; i < params.cols; i += LANES) {
        keep(lane, order(x[row + i]), i);
    }
    workgroupBarrier();
    for (var n = LANES / 2u; n > 0u; n /= 2u) {
        if lane < n {
            keep(lane, keys[lane + n], places[lane + n]);
        }
        workgroupBarrier();
    }
    if lane == 0u {
        y[params.to + group.x] = select(places[0], 0xffffffffu, keys[0] == 0xffffffffu);
    }
}
