//! What errors are made of; `tests/gpu/` derives the same bounds at length.

/// The unit roundoff of f32.
pub(super) const U: f64 = 1.0 / (1u64 << 24) as f64;

/// WGSL's division, 2.5 ulp, relative.
pub(super) const DIVISION: f64 = 5.0 * U;

/// Higham's γ(n) = n·u / (1 − n·u).
pub(super) fn gamma(n: usize) -> f64 {
    let nu = n as f64 * U;
    nu / (1.0 - nu)
}
