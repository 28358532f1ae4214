// Rounding 32 weights to a grid of steps, as GGUF's reference quantizers do it: every f32
// operation in their order. The twin of src/formats/round.rs; weights, d and the rest are bits.

struct Grid { d: u32, inverse: u32, least: u32 }

// 1/d; 0 for a block of zeros.
fn inverse_of(d: u32) -> u32 {
    if is_nan(d) {
        return d;
    }
    if magnitude(d) == 0u || magnitude(d) == INFINITY {
        return 0u;
    }
    return (d & SIGN) | f32_div(0x3f800000u, d);
}

// x / n with the sign of x. A NaN becomes quiet.
fn over(x: u32, n: u32) -> u32 {
    if is_finite(x) {
        return (x & SIGN) | f32_div(x, bitcast<u32>(f32(n)));
    }
    return x | select(0u, 0x400000u, is_nan(x));
}

// The first weight with the largest magnitude, or the first NaN.
fn farthest(x: array<u32, 32>) -> u32 {
    var far = x[0];
    for (var j = 1u; j < 32u; j++) {
        if min(magnitude(x[j]), INFINITY + 1u) > min(magnitude(far), INFINITY + 1u) {
            far = x[j];
        }
    }
    return far;
}

// An integer that orders as x does; zeros are equal, and NaN is `nan`.
fn f32_order(x: u32, nan: i32) -> i32 {
    let size = i32(magnitude(x));
    return select(select(size, -size, x >= SIGN), nan, is_nan(x));
}

// The whole part of the f32 nearest to an s that is given in units of 2^−25.
fn whole_part(s: u32) -> u32 {
    let half_ulp = 1u << (max(firstLeadingBit(s), 24u) - 24u);
    return (s + half_ulp) >> 25u;
}

// x ≈ d·(q − half), q in 0..2·half.
fn symmetric(x: array<u32, 32>, half: u32) -> Grid {
    let far = farthest(x);
    let d = over(far, half) ^ select(SIGN, 0u, is_nan(far));
    return Grid(d, inverse_of(d), 0u);
}

// The whole part of x·inverse + (half + ½). Units of 2^−25 hold the product exactly from ¼ on, and
// below that it makes no difference.
fn symmetric_code(grid: Grid, x: u32, half: u32) -> u32 {
    if !is_finite(x) || !is_finite(grid.inverse) {
        return 0u;
    }
    let offset = (half << 25u) + (1u << 24u);
    let p = f32_fixed(f32_mul(x, grid.inverse), 25);
    let s = select(offset + p, offset - p, (x ^ grid.inverse) >= SIGN);
    return min(whole_part(s), 2u * half - 1u);
}

// x ≈ d·q + least, q in 0..=top.
fn affine(x: array<u32, 32>, top: u32) -> Grid {
    var most = x[0];
    var least = x[0];
    for (var j = 1u; j < 32u; j++) {
        if f32_order(x[j], 0x7fffffff) > f32_order(most, 0x7fffffff) {
            most = x[j];
        }
        if f32_order(x[j], -0x7fffffff) < f32_order(least, -0x7fffffff) {
            least = x[j];
        }
    }
    let d = over(span(most, least), top);
    return Grid(d, inverse_of(d), least);
}

// most − least: infinite if one of them is, and NaN if both are the same infinity.
fn span(most: u32, least: u32) -> u32 {
    if is_finite(most) && is_finite(least) {
        return f32_sub(most, least);
    }
    if is_nan(most) {
        return most;
    }
    return select(INFINITY, 0xffc00000u, most == least);
}

// The whole part of (x − least)·inverse + ½.
fn affine_code(grid: Grid, x: u32, top: u32) -> u32 {
    if !is_finite(x) || !is_finite(grid.least) || !is_finite(grid.inverse) {
        return 0u;
    }
    // Overflows only where d does, and then the inverse is 0.
    let above = min(f32_sub(x, grid.least), INFINITY - 1u);
    return min(whole_part(f32_fixed(f32_mul(above, grid.inverse), 25) + (1u << 24u)), top);
}

// x ≈ d·q, q in −127..=127.
fn signed_bytes_grid(x: array<u32, 32>) -> Grid {
    let d = over(magnitude(farthest(x)), 127u);
    return Grid(d, inverse_of(d), 0u);
}

// x·inverse, halves away from zero, as a byte of two's complement.
fn signed_byte_code(grid: Grid, x: u32) -> u32 {
    if !is_finite(x) || !is_finite(grid.inverse) {
        return 0u;
    }
    let q = (f32_fixed(f32_mul(x, grid.inverse), 24) + (1u << 23u)) >> 24u;
    return select(q, 0u - q, x >= SIGN) & 255u;
}
