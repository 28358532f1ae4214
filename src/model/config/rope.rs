//! Rotary position embedding: the angle by which a pair of elements turns per position.

use super::{Architecture, Keys, RopeKind};
use crate::error::{Error, Result};

/// Where a file holds frequency factors (Llama 3).
pub(super) const FACTORS: &str = "rope_freqs.weight";

/// How angles are stretched to a context longer than the one of training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// Positions are divided by the factor.
    Linear {
        /// How many times longer.
        factor: f64,
    },
}

/// Rotary position embedding.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeConfig {
    /// Which elements are pairs.
    pub kind: RopeKind,
    /// The base of the frequencies, such as 10,000.
    pub base: f64,
    /// Elements of a head that are rotated, an even number.
    pub dims: usize,
    /// Stretching.
    pub scaling: RopeScaling,
}

impl RopeConfig {
    pub(super) fn read(keys: &Keys<'_>, arch: &Architecture, head_size: usize) -> Result<Self> {
        let dims = keys.size_or("rope.dimension_count", head_size)?;
        let fits = if arch.partial_rope { dims <= head_size } else { dims == head_size };
        if !fits || !dims.is_multiple_of(2) {
            let problem = format!("is {dims}, which does not suit heads of {head_size}");
            return Err(keys.error("rope.dimension_count", problem));
        }
        let base = keys.positive("rope.freq_base", Some(10_000.0))?;
        Ok(Self { kind: arch.rope, base, dims, scaling: RopeScaling::read(keys)? })
    }

    /// The angle in radians per position of each of the [`dims`](Self::dims)/2 pairs:
    /// base^(−2i/dims) / scaling / factorsᵢ, in f64. `factors` are the values of
    /// `rope_freqs.weight`.
    ///
    /// # Errors
    /// [`Error::Config`] where there are not dims/2 factors, all finite and above 0.
    pub fn frequencies(&self, factors: Option<&[f32]>) -> Result<Vec<f64>> {
        let pairs = self.dims / 2;
        if let Some(factors) = factors {
            check_factors(factors, pairs)?;
        }
        let stretch = match self.scaling {
            RopeScaling::None => 1.0,
            RopeScaling::Linear { factor } => factor,
        };
        let factor = |i: usize| factors.and_then(|f| f.get(i)).map_or(1.0, |&f| f64::from(f));
        let angle = |i: usize| self.base.powf(-2.0 * i as f64 / self.dims as f64);
        Ok((0..pairs).map(|i| angle(i) / (stretch * factor(i))).collect())
    }
}

fn check_factors(factors: &[f32], pairs: usize) -> Result<()> {
    if factors.len() != pairs {
        let problem = format!("has {} factors, expected {pairs}", factors.len());
        return Err(Error::config(FACTORS, problem));
    }
    match factors.iter().position(|f| !f.is_finite() || *f <= 0.0) {
        Some(i) => Err(Error::config(FACTORS, format!("factor {i} is {}", factors[i]))),
        None => Ok(()),
    }
}

impl RopeScaling {
    /// As llama.cpp: a missing type means linear, a missing factor means none.
    fn read(keys: &Keys<'_>) -> Result<Self> {
        const TYPE: &str = "rope.scaling.type";
        let attention = keys.positive("rope.scaling.attn_factor", Some(1.0))?;
        if attention != 1.0 {
            let problem = format!("is {attention}; only 1 is supported");
            return Err(keys.error("rope.scaling.attn_factor", problem));
        }
        match keys.metadata.str(&keys.key(TYPE))? {
            None | Some("linear") => Self::linear(keys),
            Some("none") => Ok(Self::None),
            Some(other) => {
                let problem = format!("{other:?} is not supported; this build knows none, linear");
                Err(keys.error(TYPE, problem))
            }
        }
    }

    fn linear(keys: &Keys<'_>) -> Result<Self> {
        // The second is the name that early files used.
        for name in ["rope.scaling.factor", "rope.scale_linear"] {
            if keys.metadata.get(&keys.key(name)).is_some() {
                let factor = keys.positive(name, None)?;
                return Ok(if factor == 1.0 { Self::None } else { Self::Linear { factor } });
            }
        }
        Ok(Self::None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rope(scaling: RopeScaling) -> RopeConfig {
        RopeConfig { kind: RopeKind::Normal, base: 10_000.0, dims: 8, scaling }
    }

    /// 10000^(−2i/8) = 10^−i exactly, so the truth is known without our formula.
    fn assert_close(got: &[f64], expected: [f64; 4]) {
        assert_eq!(got.len(), 4);
        for (got, expected) in got.iter().zip(expected) {
            // powf is good to an ulp or two; one more for the division.
            assert!((got / expected - 1.0).abs() <= 4.0 * f64::EPSILON, "{got} {expected}");
        }
    }

    #[test]
    fn plain_frequencies_fall_by_the_base() {
        let frequencies = rope(RopeScaling::None).frequencies(None).unwrap();
        assert_close(&frequencies, [1.0, 0.1, 0.01, 0.001]);
    }

    #[test]
    fn linear_scaling_divides_every_frequency() {
        let frequencies = rope(RopeScaling::Linear { factor: 4.0 }).frequencies(None).unwrap();
        assert_close(&frequencies, [0.25, 0.025, 0.0025, 0.00025]);
    }

    #[test]
    fn factors_divide_their_own_frequency() {
        let factors = [1.0, 2.0, 8.0, 8.0];
        let frequencies = rope(RopeScaling::None).frequencies(Some(&factors)).unwrap();
        assert_close(&frequencies, [1.0, 0.05, 0.00125, 0.000125]);
    }

    #[test]
    fn unusable_factors_are_named() {
        let rope = rope(RopeScaling::None);
        for (factors, problem) in [
            (&[1.0, 1.0][..], "rope_freqs.weight: has 2 factors, expected 4"),
            (&[1.0, 0.0, 1.0, 1.0], "rope_freqs.weight: factor 1 is 0"),
            (&[1.0, 1.0, f32::NAN, 1.0], "rope_freqs.weight: factor 2 is NaN"),
        ] {
            let error = rope.frequencies(Some(factors)).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
