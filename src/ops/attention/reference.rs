//! Attention in f64.

use super::Options;

/// What a query meets.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Keys of its head: `head_dim` values for each position of the cache.
    pub keys: &'a [f64],
    /// Values of its head, likewise.
    pub values: &'a [f64],
    /// Its row of the mask, where there is one.
    pub mask: Option<&'a [f32]>,
    /// Where it stands.
    pub place: usize,
    /// Positions that there are, if it is not limited to those up to its own.
    pub end: usize,
    /// Its head.
    pub head: usize,
}

impl Seen<'_> {
    /// The logits of every position up to `end`; −inf where it does not see.
    pub fn logits(&self, q: &[f32], options: &Options) -> Vec<f64> {
        let end = if options.causal { self.end.min(self.place + 1) } else { self.end };
        let start = options.window.map_or(0, |window| (self.place + 1).saturating_sub(window));
        let slope = options.slopes.as_ref().map_or(1.0, |s| f64::from(s[self.head]));
        let row = |j: usize| &self.keys[j * q.len()..(j + 1) * q.len()];
        let logit = |j: usize| {
            let product: f64 = row(j).iter().zip(q).map(|(k, q)| k * f64::from(*q)).sum();
            let mut z = product * f64::from(options.scale);
            if let Some(cap) = options.soft_cap.map(f64::from) {
                z = cap * (z / cap).tanh();
            }
            match self.mask {
                Some(mask) if mask[j] == f32::NEG_INFINITY => f64::NEG_INFINITY,
                Some(mask) => z + slope * f64::from(mask[j]),
                None if options.slopes.is_some() => z + slope * (j as f64 - self.place as f64),
                None => z,
            }
        };
        let seen = |j: usize| (start..end).contains(&j);
        (0..self.end).map(|j| if seen(j) { logit(j) } else { f64::NEG_INFINITY }).collect()
    }
}

/// One query of one head.
pub fn reference(q: &[f32], seen: &Seen<'_>, options: &Options) -> Vec<f64> {
    let logits = seen.logits(q, options);
    let sink = options.sinks.as_ref().map(|sinks| f64::from(sinks[seen.head]));
    let most = logits.iter().copied().chain(sink).fold(f64::NEG_INFINITY, f64::max);
    let mut y = vec![0.0; q.len()];
    if most == f64::NEG_INFINITY {
        return y;
    }
    let total: f64 = logits.iter().copied().chain(sink).map(|z| (z - most).exp()).sum();
    for (j, z) in logits.iter().enumerate() {
        let weight = (z - most).exp() / total;
        let values = &seen.values[j * q.len()..(j + 1) * q.len()];
        y.iter_mut().zip(values).for_each(|(y, v)| *y += weight * v);
    }
    y
}
