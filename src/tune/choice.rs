//! When a layout is taken instead of the default.

/// Rounds that must have been: a busy machine lets a slower layout win three in a row.
pub(super) const ROUNDS: usize = 5;

/// What a layout's median must be below, as a share of the default's: noise is less than that.
const CLEARLY: f64 = 0.9;

/// The layout that is clearly faster than the default, and the medians of it and of the default:
/// of the seconds in rounds where all took turns, those of the default in `default`. It has to win by
/// more than a tenth in its median, and to win most rounds, four of five: a noisy machine then keeps
/// the default. Layouts that left before the last round are shorter and do not count.
pub fn clearly_faster(default: &[f64], others: &[Vec<f64>]) -> (Option<usize>, f64, f64) {
    let base = median(default);
    let full = others.iter().enumerate().filter(|(_, times)| times.len() == default.len());
    let best = full
        .map(|(i, times)| (i, times, median(times)))
        .min_by(|(_, _, a), (_, _, b)| a.total_cmp(b));
    match best {
        Some((i, times, seconds)) if default.len() >= ROUNDS && seconds < CLEARLY * base => {
            let wins = times.iter().zip(default).filter(|(own, other)| own < other).count();
            let choice = (5 * wins >= 4 * default.len()).then_some(i);
            (choice, if choice.is_some() { seconds } else { base }, base)
        }
        _ => (None, base, base),
    }
}

/// The middle one, or the mean of the middle two; infinity of none.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    match (sorted.get(n.saturating_sub(1) / 2), sorted.get(n / 2)) {
        (Some(a), Some(b)) => (a + b) / 2.0,
        _ => f64::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(default: &[f64], others: &[&[f64]]) -> Option<usize> {
        let others: Vec<Vec<f64>> = others.iter().map(|times| times.to_vec()).collect();
        clearly_faster(default, &others).0
    }

    #[test]
    fn the_best_of_those_that_are_clearly_faster() {
        let default = [1.0, 1.1, 0.9, 1.0, 1.0];
        assert_eq!(chosen(&default, &[&[0.8; 5], &[0.6; 5], &[1.2; 5]]), Some(1));
        let all = [vec![0.6; 5]];
        assert_eq!(clearly_faster(&default, &all), (Some(0), 0.6, 1.0));
    }

    #[test]
    fn noise_does_not_switch() {
        let default = [1.0, 1.0, 1.0, 1.0, 1.0];
        // Faster, but not by a tenth.
        assert_eq!(chosen(&default, &[&[0.92; 5]]), None);
        // One lucky round, one round in which the default was held up.
        assert_eq!(chosen(&default, &[&[0.2, 1.0, 1.0, 1.0, 1.0]]), None);
        assert_eq!(chosen(&[1.0, 9.0, 1.0, 1.0, 1.0], &[&[0.99; 5]]), None);
        // A median below, but rounds that go both ways.
        assert_eq!(chosen(&[1.0, 0.5, 1.5, 0.5, 1.0], &[&[0.8, 0.8, 0.8, 0.8, 0.8]]), None);
    }

    #[test]
    fn too_few_rounds_or_none_say_nothing() {
        assert_eq!(chosen(&[1.0, 1.0], &[&[0.1, 0.1]]), None);
        assert_eq!(chosen(&[], &[&[]]), None);
        assert_eq!(chosen(&[1.0; 3], &[]), None);
        // Left after the first round.
        assert_eq!(chosen(&[1.0; 3], &[&[0.1]]), None);
        assert_eq!(chosen(&[1.0; 3], &[&[f64::NAN; 3]]), None);
    }
}
