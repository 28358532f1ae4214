//! Prompt lookup (Saxena 2023; Yang et al., LLMA, arXiv 2304.04487): what followed the last tokens where
//! they stood before is likely to follow again.

/// The longest run of last tokens that is looked for.
const LONGEST: usize = 4;

/// The shortest that proposes anything: what followed a single token says little.
const SHORTEST: usize = 2;

/// Up to `most` tokens that may come next: those behind the longest earlier run that equals the last
/// tokens, the latest of equals. Where they reach the end they go on with themselves, as in a list
/// that repeats.
pub(super) fn propose(tokens: &[u32], most: usize) -> Vec<u32> {
    let Some(end) = earlier(tokens) else { return Vec::new() };
    let period = tokens.len() - end;
    let mut all = tokens[end..].to_vec();
    while all.len() < most {
        all.push(all[all.len() - period]);
    }
    all.truncate(most);
    all
}

/// Where the earlier run ends.
fn earlier(tokens: &[u32]) -> Option<usize> {
    let mut best = (SHORTEST - 1, None);
    for end in (1..tokens.len()).rev() {
        let backwards = tokens[..end].iter().rev().zip(tokens.iter().rev());
        let same = backwards.take(LONGEST).take_while(|(a, b)| a == b).count();
        if same > best.0 {
            best = (same, Some(end));
        }
        if same == LONGEST {
            break;
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::propose;

    #[test]
    fn the_longest_and_latest_run_goes_on() {
        assert_eq!(propose(&[1, 2, 3, 4, 5, 9, 1, 2], 3), [3, 4, 5]);
        // Two tokens agree later, three earlier.
        assert_eq!(propose(&[7, 1, 2, 30, 31, 8, 1, 2, 40, 41, 7, 1, 2], 2), [30, 31]);
        assert_eq!(propose(&[1, 2, 30, 1, 2, 40, 1, 2], 1), [40]);
    }

    #[test]
    fn what_repeats_goes_on() {
        assert_eq!(propose(&[5, 1, 2, 3, 1, 2, 3], 7), [1, 2, 3, 1, 2, 3, 1]);
        assert_eq!(propose(&[4, 4, 4], 4), [4; 4]);
    }

    #[test]
    fn nothing_is_made_up() {
        for tokens in [&[][..], &[1], &[1, 1], &[1, 2, 3, 1], &[1, 2, 3, 4]] {
            assert_eq!(propose(tokens, 5), [0; 0], "{tokens:?}");
        }
        assert_eq!(propose(&[4, 4, 4], 0), [0; 0]);
    }
}
