// Draws a token from candidates (top_k.wgsl's list) by top-p, min-p and temperature, in whole numbers
// only, so that every device draws the same. Random numbers come from the seed and the token's place in
// the context (Threefry, Salmon et al. 2011), so that nothing is carried from token to token.
//
// Lanes weigh candidates: exp(−d/T), d the distance from the best logit, as multiples of 2^−23. Lane 0
// adds the weights and draws. Half of d is taken, since d itself may overflow.

override LANES: u32 = 64u;
override WIDTH: u32 = 64u;

struct Params { to: u32 }

// The first `count` candidates count. share: top-p in multiples of 2^−32, or ALL. scale turns half of d
// into 2^−26ths of a halving of the weight, which is 0 from `limit` on; halves above `within` are too
// unlikely for min-p.
struct Choice {
    seed_low: u32, seed_high: u32, count: u32, share: u32, scale: f32, limit: f32, within: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<uniform> choice: Choice;
@group(0) @binding(3) var<storage, read> candidates: array<u32>;
@group(0) @binding(4) var<storage, read_write> y: array<u32>;

const ALL: u32 = 0xffffffffu;
const NOT_FINITE: u32 = 0xffffffffu;
// Scale and limit at temperature 1: 2 · log2(e) · 2^26, and 24 · 2^26 over that.
const SCALE: f32 = 193635248.0;
const LIMIT: f32 = 8.3177661895751953125;

var<workgroup> likely: array<u32, WIDTH>;
var<workgroup> drawn: array<u32, WIDTH>;

// The high word of a · b.
fn high_product(a: u32, b: u32) -> u32 {
    let low = (a & 0xffffu) * (b & 0xffffu);
    let middle = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
    let other = (a & 0xffffu) * (b >> 16u) + (middle & 0xffffu);
    return (a >> 16u) * (b >> 16u) + (middle >> 16u) + (other >> 16u);
}

// 2^−x in multiples of 2^−23. Its fraction by the series of exp(−f · ln 2) to f^8: the next term is below
// 2^−23.
fn weight(half: f32, scale: f32, limit: f32) -> u32 {
    if half >= limit {
        return 0u;
    }
    let x = u32(half * scale);
    let f = x << 6u;
    // ln(2)^k / k! in multiples of 2^−31.
    var sum = 32755u - high_product(f, 2838u);
    sum = 330788u - high_product(f, sum);
    sum = 2863360u - high_product(f, sum);
    sum = 20654775u - high_product(f, sum);
    sum = 119194166u - high_product(f, sum);
    sum = 515882496u - high_product(f, sum);
    sum = 1488522236u - high_product(f, sum);
    sum = 0x80000000u - high_product(f, sum);
    return sum >> (8u + min(x >> 26u, 23u));
}

fn rotate(x: u32, by: u32) -> u32 {
    return (x << by) | (x >> (32u - by));
}

// Four rounds of Threefry-2x32, and the injection of two words of the key.
fn rounds(x: vec2<u32>, by: vec4<u32>, key: vec2<u32>) -> vec2<u32> {
    var a = x.x;
    var b = x.y;
    for (var i = 0u; i < 4u; i++) {
        a += b;
        b = rotate(b, by[i]) ^ a;
    }
    return vec2<u32>(a, b) + key;
}

// The first word of Threefry-2x32-20 of (counter, 0).
fn random(counter: u32) -> u32 {
    let k0 = choice.seed_low;
    let k1 = choice.seed_high;
    let k2 = k0 ^ k1 ^ 0x1bd11bdau;
    let even = vec4<u32>(13u, 15u, 26u, 6u);
    let odd = vec4<u32>(17u, 29u, 16u, 24u);
    var x = vec2<u32>(counter + k0, k1);
    x = rounds(x, even, vec2<u32>(k1, k2 + 1u));
    x = rounds(x, odd, vec2<u32>(k2, k0 + 2u));
    x = rounds(x, even, vec2<u32>(k0, k1 + 3u));
    x = rounds(x, odd, vec2<u32>(k1, k2 + 4u));
    return rounds(x, even, vec2<u32>(k2, k0 + 5u)).x;
}

fn is_finite(bits: u32) -> bool {
    return (bits & 0x7f800000u) != 0x7f800000u;
}

// The first candidate whose weight, with those before it, exceeds a random share of all.
fn draw(count: u32) -> u32 {
    var all = 0u;
    for (var i = 0u; i < count; i++) {
        all += likely[i];
    }
    let share = high_product(all, choice.share);
    var kept = 0u;
    var sum = 0u;
    var total = 0u;
    while kept < count {
        sum += likely[kept];
        total += drawn[kept];
        kept++;
        if choice.share != ALL && sum >= share {
            break;
        }
    }
    let span = step.spans[0];
    let at = high_product(random(span.position - span.start + span.rows), total);
    var chosen = 0u;
    sum = drawn[0];
    while chosen + 1u < kept && sum <= at {
        chosen++;
        sum += drawn[chosen];
    }
    return candidates[WIDTH + chosen];
}

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
    let count = min(choice.count, WIDTH);
    let best = candidates[0];
    for (var i = lane; i < count; i += LANES) {
        let bits = candidates[i];
        likely[i] = 0u;
        drawn[i] = 0u;
        if is_finite(bits) && is_finite(best) {
            let half = 0.5 * bitcast<f32>(best) - 0.5 * bitcast<f32>(bits);
            likely[i] = weight(half, SCALE, LIMIT);
            if half <= choice.within {
                drawn[i] = weight(half, choice.scale, choice.limit);
            }
        }
    }
    workgroupBarrier();
    if lane == 0u {
        var id = NOT_FINITE;
        if is_finite(best) {
            id = draw(count);
        }
        y[params.to] = id;
    }
}
