//! A kernel that is timed, and its answer's check.

use anyhow::{Result, bail};

use super::report::Kernel;
use super::timed::Timed;

/// A kernel that is ready to be timed.
pub struct Case {
    kernel: Kernel,
    bytes: f64,
    flops: f64,
    pub timed: Timed,
}

impl Case {
    /// A kernel with `m` rows of x.
    pub fn new(op: &str, format: &str, shape: String, m: usize, timed: Timed) -> Self {
        let kernel = Kernel {
            op: op.into(),
            format: format.into(),
            shape,
            m,
            seconds: 0.0,
            gigabytes_per_second: 0.0,
            gigaflops: 0.0,
            share: 0.0,
            bound: String::new(),
        };
        Self { kernel, bytes: 0.0, flops: 0.0, timed }
    }

    /// Bytes that a run moves at least, and its operations on floats.
    pub fn moving(self, bytes: usize, flops: usize) -> Self {
        Self { bytes: bytes as f64, flops: flops as f64, ..self }
    }

    /// What was measured, beside what those ceilings allow (bytes and operations a second).
    pub fn finish(mut self, read: f64, multiply_add: f64) -> Kernel {
        let seconds = self.timed.take_median().max(1e-12);
        let (bytes, flops) = (self.bytes / seconds, self.flops / seconds);
        let (by_read, by_flops) = (bytes / read, flops / multiply_add);
        Kernel {
            seconds,
            gigabytes_per_second: bytes / 1e9,
            gigaflops: flops / 1e9,
            share: by_read.max(by_flops),
            bound: if by_read >= by_flops { "read" } else { "multiply_add" }.into(),
            ..self.kernel
        }
    }
}

/// Whether values are what they should be, each within its bound.
pub fn near(what: &str, got: &[f32], want: impl Iterator<Item = (f64, f64)>) -> Result<()> {
    for ((exact, allowed), value) in want.zip(got) {
        let error = (f64::from(*value) - exact).abs();
        if error.is_nan() || error > allowed {
            bail!("{what} gives {value:e}, not {exact:e} ± {allowed:e}");
        }
    }
    Ok(())
}

/// Some values in [−2, 2), the same each time (a multiplicative hash of the index).
pub fn values(n: usize, seed: u64) -> Vec<f32> {
    let hash = |i: usize| (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23) ^ seed;
    let value = |i| (hash(i).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f32 / (1 << 22) as f32;
    (0..n).map(|i| value(i) - 2.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_beside_its_bound_is_refused() {
        assert!(near("it", &[1.0], [(1.0, 0.0)].into_iter()).is_ok());
        for wrong in [1.1, f32::NAN] {
            assert!(near("it", &[wrong], [(1.0, 0.01)].into_iter()).is_err());
        }
    }
}
