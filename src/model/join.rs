//! Matrices of the same input as one, so that a layer is fewer launches.

use std::borrow::Cow;

/// How rows of several matrices become those of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Join {
    /// One matrix below the other.
    Below,
    /// The first row of each, then the second of each.
    Alternating,
}

impl Join {
    /// The rows of all `parts`, each as many equal rows as `rows` says.
    pub(super) fn rows<T: Copy>(self, mut parts: Vec<Cow<'_, [T]>>, rows: usize) -> Cow<'_, [T]> {
        if parts.len() == 1 {
            return parts.remove(0);
        }
        match self {
            Self::Below => parts.concat().into(),
            Self::Alternating => {
                let mut joined = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
                for row in 0..rows {
                    for part in &parts {
                        let len = part.len() / rows;
                        joined.extend_from_slice(&part[row * len..(row + 1) * len]);
                    }
                }
                joined.into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_follow_or_alternate() {
        let parts = || vec![Cow::from(&[1, 2, 3, 4][..]), Cow::from(&[5, 6, 7, 8][..])];
        assert_eq!(*Join::Below.rows(parts(), 2), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(*Join::Alternating.rows(parts(), 2), [1, 2, 5, 6, 3, 4, 7, 8]);
        assert_eq!(*Join::Alternating.rows(parts()[..1].to_vec(), 2), [1, 2, 3, 4]);
    }
}
