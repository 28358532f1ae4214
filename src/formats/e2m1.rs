//! E2M1 as GGUF's MXFP4 and NVFP4 have it: values doubled into integers, the scale halved, and ties
//! broken towards zero. `shaders/lib/e2m1.wgsl` is the twin.

/// Twice the value of each code (ggml-common.h, `kvalues_mxfp4`). Code 8 is +0 here.
pub(super) const DOUBLED: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// Middles between neighbours of the positive ones.
const MIDDLES: [f32; 7] = [0.5, 1.5, 2.5, 3.5, 5.0, 7.0, 10.0];

/// The first code whose d·`DOUBLED` is nearest to x, distances rounded to f32
/// (ggml-quants.c, `best_index_mxfp4`); d is a few bits and not negative.
pub(super) fn nearest(x: f32, d: f32) -> u8 {
    let (size, near) = (x.abs(), 16.0 * d);
    // Up to there the smallest distance is exact (Sterbenz), and so are the middles.
    let code = if size <= near && near < f32::INFINITY {
        MIDDLES.iter().map(|middle| u8::from(size > middle * d)).sum()
    } else {
        nearest_to_far(size, d)
    };
    if x < 0.0 && code > 0 { code | 8 } else { code }
}

/// The same by the rule's letter: so far out, distances may be equal once rounded, or infinite.
fn nearest_to_far(size: f32, d: f32) -> u8 {
    let (mut code, mut least) = (0, size);
    for (k, value) in (0..).zip(&DOUBLED[..8]) {
        let distance = (f32::from(*value) * d - size).abs();
        if distance < least {
            (code, least) = (k, distance);
        }
    }
    code
}
