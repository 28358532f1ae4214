//! Choosing the next token from a row of logits.
//!
//! The device does it (`ops::sample`), unless all of the row counts: no top-k, or a penalty. Then it is
//! done here.
//!
//! The chain is llama.cpp's default order: repetition penalty, top-k, top-p, min-p, temperature,
//! and a draw from what is left. Each filter keeps the candidates in the order of their ids and
//! only finds a threshold (quickselect), so a token costs O(vocabulary) and nothing is sorted.

use std::cmp::Ordering;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::error::{Error, Result};
use crate::ops::sample::Choice;
use crate::ops::top_k::MAX_K;

/// How tokens are chosen. The default values are llama.cpp's.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplerOptions {
    /// Divides the logits before the draw; 0 always takes the best token (the lowest id of equals).
    pub temperature: f32,
    /// Keeps this many of the best tokens; 0 keeps all.
    pub top_k: usize,
    /// Keeps the best tokens until their probabilities sum to this, in (0, 1]; 1 keeps all.
    pub top_p: f32,
    /// Drops tokens less probable than this share of the best one's probability, in [0, 1].
    pub min_p: f32,
    /// Divides positive logits of recent tokens and multiplies negative ones; 1 changes nothing.
    pub repeat_penalty: f32,
    /// How many of the last tokens are recent; 0 penalises none.
    pub repeat_last_n: usize,
    /// The same seed, logits and tokens give the same choices on every machine. The number that a token
    /// is drawn by depends on the seed and its place in the context alone, so it is not another where
    /// an answer is cut.
    pub seed: u64,
}

impl Default for SamplerOptions {
    fn default() -> Self {
        Self {
            temperature: 0.8,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            repeat_penalty: 1.0,
            repeat_last_n: 64,
            seed: 0,
        }
    }
}

impl SamplerOptions {
    /// Always the best token; nothing random.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }

    /// Whether the best token is all that they ask for.
    pub(super) fn takes_best(&self) -> bool {
        self.temperature == 0.0 && self.repeat_penalty == 1.0
    }

    /// How the device draws by them, where its candidates are enough: a top-k that it can find, and
    /// nothing that changes the order.
    pub(super) fn choice(&self) -> Option<Choice> {
        let Self { temperature, top_k, top_p, min_p, seed, .. } = *self;
        let drawn = temperature > 0.0 && self.repeat_penalty == 1.0;
        let enough = (1..=MAX_K).contains(&top_k);
        (drawn && enough).then(|| Choice::new(seed, top_k, top_p, min_p, temperature))
    }

    /// Checks every value. Errors: [`Error::InvalidOption`] names the first that is out of range.
    pub fn validate(&self) -> Result<()> {
        let Self { temperature, top_p, min_p, repeat_penalty, .. } = *self;
        check("temperature", temperature, temperature >= 0.0, "a finite number, 0 or more")?;
        check("top_p", top_p, top_p > 0.0 && top_p <= 1.0, "above 0 and at most 1")?;
        check("min_p", min_p, (0.0..=1.0).contains(&min_p), "between 0 and 1")?;
        check("repeat_penalty", repeat_penalty, repeat_penalty > 0.0, "a finite number above 0")
    }
}

fn check(name: &'static str, value: f32, in_range: bool, allowed: &'static str) -> Result<()> {
    if in_range && value.is_finite() {
        return Ok(());
    }
    Err(Error::InvalidOption { name, value: value.to_string(), allowed })
}

/// A token that may still be chosen.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    id: u32,
    logit: f32,
}

impl Candidate {
    /// Best first: the greater logit, of equals the lower id. Logits here are never NaN.
    fn rank(&self, other: &Self) -> Ordering {
        other.logit.total_cmp(&self.logit).then(self.id.cmp(&other.id))
    }
}

/// Chooses tokens; holds the random state and the memory that it reuses from token to token.
#[derive(Debug, Clone)]
pub struct Sampler {
    options: SamplerOptions,
    rng: ChaCha8Rng,
    candidates: Vec<Candidate>,
    scratch: Vec<Candidate>,
}

impl Sampler {
    /// A sampler at the start of its random stream. Errors: an option out of range.
    pub fn new(options: SamplerOptions) -> Result<Self> {
        options.validate()?;
        let rng = ChaCha8Rng::seed_from_u64(options.seed);
        Ok(Self { options, rng, candidates: Vec::new(), scratch: Vec::new() })
    }

    /// The options that it was made with.
    pub fn options(&self) -> &SamplerOptions {
        &self.options
    }

    /// Goes to the random number for the token at this place in the context, counted from 0: what
    /// comes next is drawn by it, whatever was drawn before.
    pub fn seek(&mut self, place: usize) {
        // A draw takes 64 bits, two words of the stream.
        self.rng.set_word_pos(2 * place as u128);
    }

    /// Chooses a token from `logits` (`[vocabulary]`, changed by the penalty), where `recent` are all
    /// tokens so far, the last one last.
    ///
    /// Errors: [`Error::NotFinite`] (its position is that of the last token of `recent`) for a NaN,
    /// a +inf or a row of nothing but -inf; [`Error::Token`] for a recent id out of the vocabulary.
    pub fn sample(&mut self, logits: &mut [f32], recent: &[u32]) -> Result<u32> {
        self.sample_log_probs(logits, 0.0, recent)
    }

    /// The same from log-probabilities (log-softmax on the device: `ops::softmax`), which are logits
    /// less one number: `log_sum`, the row's log-sum-exp. Only the penalty needs to know it.
    ///
    /// Errors: as [`sample`](Self::sample).
    pub fn sample_log_probs(
        &mut self,
        logits: &mut [f32],
        log_sum: f32,
        recent: &[u32],
    ) -> Result<u32> {
        let position = recent.len().saturating_sub(1);
        if logits.iter().any(|l| l.is_nan() || *l == f32::INFINITY) {
            return Err(Error::NotFinite { position });
        }
        self.penalise(logits, log_sum, recent)?;
        if self.options.temperature == 0.0 {
            return argmax(logits).ok_or(Error::NotFinite { position });
        }
        self.candidates.clear();
        let possible = logits.iter().zip(0u32..).filter(|(l, _)| **l > f32::NEG_INFINITY);
        self.candidates.extend(possible.map(|(&logit, id)| Candidate { id, logit }));
        self.keep_top_k();
        self.keep_top_p();
        self.keep_min_p();
        self.draw().ok_or(Error::NotFinite { position })
    }

    /// Keskar et al. 2019 (arXiv 1909.05858, eq. 3, with the sign rule of its successors): each
    /// distinct recent token once.
    fn penalise(&mut self, logits: &mut [f32], log_sum: f32, recent: &[u32]) -> Result<()> {
        let penalty = self.options.repeat_penalty;
        let window = &recent[recent.len().saturating_sub(self.options.repeat_last_n)..];
        if penalty == 1.0 {
            return Ok(());
        }
        let vocabulary = logits.len();
        for (i, &id) in window.iter().enumerate() {
            let value = logits.get_mut(id as usize).ok_or(Error::Token { id, vocabulary })?;
            if window[..i].contains(&id) || *value == f32::NEG_INFINITY {
                continue;
            }
            let logit = *value + log_sum;
            let changed = if logit <= 0.0 { logit * penalty } else { logit / penalty };
            // An extreme penalty may overflow; the ends of f32 keep the order.
            *value = changed.clamp(f32::MIN, f32::MAX) - log_sum;
        }
        Ok(())
    }

    fn keep_top_k(&mut self) {
        let k = self.options.top_k;
        if k == 0 || k >= self.candidates.len() {
            return;
        }
        self.scratch.clone_from(&self.candidates);
        let (_, &mut last, _) = self.scratch.select_nth_unstable_by(k - 1, Candidate::rank);
        self.candidates.retain(|c| c.rank(&last).is_le());
    }

    /// The smallest set of best tokens whose probability reaches top_p. Quickselect by mass: each
    /// step halves the range in which the last kept token lies.
    fn keep_top_p(&mut self) {
        let Some(best) = best(&self.candidates) else { return };
        if self.options.top_p >= 1.0 {
            return;
        }
        let mass = |c: &Candidate| f64::from(c.logit - best).exp();
        let mut missing =
            f64::from(self.options.top_p) * self.candidates.iter().map(mass).sum::<f64>();
        self.scratch.clone_from(&self.candidates);
        let mut range = &mut self.scratch[..];
        while range.len() > 1 {
            let half = range.len() / 2;
            range.select_nth_unstable_by(half, Candidate::rank);
            let (better, worse) = range.split_at_mut(half);
            let sum = better.iter().map(mass).sum::<f64>();
            range = if sum >= missing {
                better
            } else {
                missing -= sum;
                worse
            };
        }
        if let Some(&last) = range.first() {
            self.candidates.retain(|c| c.rank(&last).is_le());
        }
    }

    /// p ≥ min_p · p_best is logit ≥ logit_best + ln(min_p).
    fn keep_min_p(&mut self) {
        let Some(best) = best(&self.candidates) else { return };
        if self.options.min_p > 0.0 {
            let least = best + self.options.min_p.ln();
            self.candidates.retain(|c| c.logit >= least);
        }
    }

    /// Inverts the cumulative distribution of softmax(logit / temperature) at a uniform number.
    fn draw(&mut self) -> Option<u32> {
        let best = best(&self.candidates)?;
        let temperature = f64::from(self.options.temperature);
        let mass = |c: &Candidate| ((f64::from(c.logit) - f64::from(best)) / temperature).exp();
        let sum: f64 = self.candidates.iter().map(mass).sum();
        // 53 random bits: a uniform multiple of 2^-53 in [0, 1).
        let uniform = (self.rng.next_u64() >> 11) as f64 * (-53f64).exp2();
        let mut rest = uniform * sum;
        let mut chosen = None;
        for candidate in &self.candidates {
            let mass = mass(candidate);
            if mass > 0.0 {
                chosen = Some(candidate.id);
                if rest < mass {
                    break;
                }
                rest -= mass;
            }
        }
        chosen
    }
}

fn best(candidates: &[Candidate]) -> Option<f32> {
    candidates.iter().map(|c| c.logit).reduce(f32::max)
}

/// The first greatest logit above -inf.
fn argmax(logits: &[f32]) -> Option<u32> {
    let mut best = (f32::NEG_INFINITY, None);
    for (&logit, id) in logits.iter().zip(0u32..) {
        if logit > best.0 {
            best = (logit, Some(id));
        }
    }
    best.1
}
