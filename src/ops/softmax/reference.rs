//! Softmax in f64.

/// A row's answers in f64.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// scale·x + mask; −inf where nothing is seen, ±2^126 beyond.
    pub z: Vec<f64>,
    /// Softmax; zeros of an empty row, NaN of one with a NaN or +inf.
    pub y: Vec<f64>,
    /// ln Σ exp(z).
    pub log_sum_exp: f64,
}

/// One row, with the answers for −inf, +inf and NaN that the module promises.
pub fn reference(x: &[f32], scale: f32) -> Vec<f64> {
    reference_of(x, &[], scale, x.len()).y
}

/// One row plus a mask (empty if there is none), of which the first `visible` values are seen.
pub fn reference_of(x: &[f32], mask: &[f32], scale: f32, visible: usize) -> Answer {
    let n = x.len();
    let seen = |i: usize| (x[i], mask.get(i).copied().unwrap_or(0.0));
    let spoils = |v: f32| v.is_nan() || v == f32::INFINITY;
    let z = |i: usize| match seen(i) {
        _ if i >= visible => f64::NEG_INFINITY,
        (x, m) if x == f32::NEG_INFINITY || m == f32::NEG_INFINITY => f64::NEG_INFINITY,
        (x, m) => {
            let most = 2f64.powi(126);
            let scaled = (f64::from(x) * f64::from(scale)).clamp(-most, most);
            (scaled + f64::from(m).clamp(-most, most)).clamp(-most, most)
        }
    };
    if (0..visible.min(n)).any(|i| spoils(seen(i).0) || spoils(seen(i).1)) {
        return Answer { z: vec![f64::NAN; n], y: vec![f64::NAN; n], log_sum_exp: f64::NAN };
    }
    let z: Vec<f64> = (0..n).map(z).collect();
    let most = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if most == f64::NEG_INFINITY {
        return Answer { z, y: vec![0.0; n], log_sum_exp: most };
    }
    let sum: f64 = z.iter().map(|z| (z - most).exp()).sum();
    let y = z.iter().map(|z| (z - most).exp() / sum).collect();
    Answer { y, z, log_sum_exp: most + sum.ln() }
}
