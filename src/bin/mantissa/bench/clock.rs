//! Rounds in which the things that are compared take turns, and their medians.

use std::time::{Duration, Instant};

/// The middle one, or the mean of the middle two; 0 of none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let n = values.len();
    match (values.get(n.saturating_sub(1) / 2), values.get(n / 2)) {
        (Some(a), Some(b)) => (a + b) / 2.0,
        _ => 0.0,
    }
}

/// What is left of the time that the whole may take.
#[derive(Clone, Copy)]
pub struct Budget {
    end: Option<Instant>,
}

impl Budget {
    /// So many seconds from now; 0 for no end.
    pub fn of(seconds: u64) -> Self {
        let end = Instant::now().checked_add(Duration::from_secs(seconds));
        Self { end: end.filter(|_| seconds > 0) }
    }

    /// Whether something that takes so many seconds can still begin.
    pub fn holds(&self, seconds: f64) -> bool {
        let left = |end: Instant| end.saturating_duration_since(Instant::now()).as_secs_f64();
        self.end.is_none_or(|end| left(end) > seconds)
    }

    /// A share of what is left, for a part of the whole.
    pub fn share(&self, share: f64) -> Self {
        let now = Instant::now();
        let part = |end: Instant| now + end.saturating_duration_since(now).mul_f64(share);
        Self { end: self.end.map(part) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median([7.0]), 7.0);
        assert_eq!(median([]), 0.0);
    }

    #[test]
    fn no_budget_holds_everything_and_a_small_one_little() {
        assert!(Budget::of(0).holds(1e9) && Budget::of(0).share(0.1).holds(1e9));
        assert!(Budget::of(100).holds(50.0) && !Budget::of(100).holds(101.0));
        assert!(!Budget::of(100).share(0.1).holds(11.0));
    }
}
