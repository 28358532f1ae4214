//! Who chooses a token, and what the host learns of it.

use crate::error::{Error, Result};
use crate::model::decoder::{Decoder, Head};
use crate::model::sampler::{Sampler, SamplerOptions};
use crate::ops::argmax::{self, NOT_FINITE};
use crate::ops::sample::{self, Choice};
use crate::ops::top_k;

/// How likely the model found a token, before temperature, filters and penalties: natural logarithms
/// of probabilities.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LogProbs {
    /// Of the token that was chosen.
    pub chosen: f32,
    /// The likeliest tokens, best first, the lower id of equals.
    pub top: Vec<(u32, f32)>,
}

impl LogProbs {
    pub(super) fn new(row: &[f32], id: u32, most: usize) -> Self {
        let rank = |&(a, x): &(u32, f32), &(b, y): &(u32, f32)| y.total_cmp(&x).then(a.cmp(&b));
        let mut all: Vec<_> = (0..).zip(row.iter().copied()).collect();
        if most < all.len() {
            all.select_nth_unstable_by(most, rank);
            all.truncate(most);
        }
        all.sort_unstable_by(rank);
        Self { chosen: row.get(id as usize).copied().unwrap_or(f32::NEG_INFINITY), top: all }
    }
}

/// Who chooses.
#[derive(Debug)]
pub(in crate::model) enum Chooser {
    /// The device takes the best token.
    Best,
    /// The device draws from the best tokens.
    Drawn(Choice),
    /// The host looks at all tokens, one step after the other.
    Host(Box<Sampler>),
}

/// Lists of candidates are as long as the shortest of these that will do, so that few plans are made.
const WIDTHS: [usize; 2] = [64, top_k::MAX_K];

impl Chooser {
    /// The device, unless it takes more than its candidates. Errors: options out of range.
    pub(in crate::model) fn new(options: &SamplerOptions) -> Result<Self> {
        options.validate()?;
        Ok(match options.choice() {
            _ if options.takes_best() => Self::Best,
            Some(choice) => Self::Drawn(choice),
            None => Self::Host(Box::new(Sampler::new(options.clone())?)),
        })
    }

    /// Tells the device.
    pub(super) fn tell(&self, decoder: &Decoder) {
        if let Self::Drawn(choice) = self {
            decoder.choose_by(choice);
        }
    }

    /// What it would choose, here, by a row of logits behind these tokens: [`NOT_FINITE`] where they
    /// are no numbers.
    pub(in crate::model) fn choose(&mut self, logits: &mut [f32], tokens: &[u32]) -> Result<u32> {
        match self {
            Self::Best => Ok(argmax::reference(logits)),
            Self::Drawn(choice) => {
                let (bits, places) = top_k::reference(logits, width(choice));
                Ok(sample::reference(choice, (&bits, &places), tokens.len() as u32))
            }
            Self::Host(sampler) => {
                sampler.seek(tokens.len());
                match sampler.sample(logits, tokens) {
                    Err(Error::NotFinite { .. }) => Ok(NOT_FINITE),
                    chosen => chosen,
                }
            }
        }
    }

    pub(super) fn is_host(&self) -> bool {
        matches!(self, Self::Host(_))
    }

    /// What a step computes for it, and for log-probabilities where they are asked for.
    pub(super) fn head(&self, log_probs: bool) -> Head {
        match self {
            Self::Best if !log_probs => Head::Last,
            Self::Best | Self::Host(_) => Head::LogProbs,
            Self::Drawn(choice) => Head::Drawn(width(choice), log_probs),
        }
    }
}

/// Candidates of a list that will do.
fn width(choice: &Choice) -> usize {
    let fits = |width: &usize| *width >= choice.count as usize;
    WIDTHS.into_iter().find(fits).unwrap_or(WIDTHS[1])
}
