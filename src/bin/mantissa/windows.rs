//! A text in windows, each of which scores some of its tokens.
//!
//! A window of `context` tokens slides over the text in steps of `stride`. Each window scores only
//! what no window before it has scored, so every token but the first is scored once, and all but
//! those of the first window see at least `context − stride` tokens before them. Where the
//! model's texts begin with a special token, every window begins with it.

use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, bail};
use mantissa::model::Tokenizer;

/// Tokens of a window where the user does not say, as in llama.cpp.
pub const CONTEXT: usize = 512;

/// A file's text.
pub struct Text {
    name: String,
    text: String,
}

impl Text {
    /// Reads a file in UTF-8.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let text = std::fs::read(path).with_context(|| name.clone())?;
        let text = String::from_utf8(text).with_context(|| name.clone())?;
        Ok(Self { name, text })
    }

    /// Its first tokens, no more than `most`.
    pub fn tokens(self, tokenizer: &Tokenizer, most: usize) -> Result<Tokens> {
        let mut tokens = tokenizer.encode(&self.text, false, false)?;
        tokens.truncate(most);
        let start_token =
            tokenizer.encode("", true, false)?.into_iter().find(|&t| tokenizer.bos() == Some(t));
        Ok(Tokens { name: self.name, tokens, start_token })
    }
}

/// A text as a model sees it.
pub struct Tokens {
    name: String,
    tokens: Vec<u32>,
    start_token: Option<u32>,
}

impl Tokens {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// The windows, and the stride that was taken (by default half of the context).
    pub fn windows(&self, context: usize, stride: Option<u32>) -> Result<(Vec<Window>, usize)> {
        let room = context.saturating_sub(usize::from(self.start_token.is_some()));
        let stride = stride.map_or(room / 2, |n| n as usize);
        if stride == 0 || stride > room {
            bail!("a context of {context} tokens has no room for a stride of {stride}");
        }
        let windows = windows(self.tokens.len(), room, stride);
        if windows.is_empty() {
            bail!("{}: {} tokens are too few to predict one", self.name, self.tokens.len());
        }
        Ok((windows, stride))
    }

    /// What the model is fed.
    pub fn input(&self, window: &Window) -> Vec<u32> {
        let text = self.tokens.get(window.all.clone()).unwrap_or_default();
        self.start_token.into_iter().chain(text.iter().copied()).collect()
    }

    /// The token that the logits at `position` of the window's input are to predict, where it is
    /// this window that scores it.
    pub fn scored(&self, window: &Window, position: usize) -> Option<u32> {
        let before = usize::from(self.start_token.is_some());
        // Row i predicts token i + 1 of the input.
        let next = window.all.start + (position + 1).checked_sub(before)?;
        window.scored.contains(&next).then(|| self.tokens.get(next).copied())?
    }
}

/// A stretch of the text, and the tokens in it that are scored; both as positions in the text.
#[derive(Debug, PartialEq)]
pub struct Window {
    all: Range<usize>,
    scored: Range<usize>,
}

fn windows(tokens: usize, room: usize, stride: usize) -> Vec<Window> {
    let mut windows = Vec::new();
    let (mut start, mut scored) = (0, 1);
    while scored < tokens {
        let end = (start + room).min(tokens);
        windows.push(Window { all: start..end, scored: scored..end });
        scored = end;
        start += stride;
    }
    windows
}

/// ln Σ exp(xᵢ), in f64: ln Σ exp(xᵢ − max) + max.
pub fn log_sum_exp(row: &[f32]) -> f64 {
    let max = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    row.iter().map(|&x| (f64::from(x) - max).exp()).sum::<f64>().ln() + max
}

/// −ln softmax(row)[token].
pub fn negative_log_likelihood(row: &[f32], token: u32) -> f64 {
    log_sum_exp(row) - row.get(token as usize).map_or(f64::NAN, |&x| f64::from(x))
}

/// Sums for a mean and its standard error.
#[derive(Default)]
pub struct Sum {
    pub count: usize,
    sum: f64,
    squares: f64,
}

impl Sum {
    /// One more.
    pub fn add(&mut self, x: f64) {
        self.count += 1;
        self.sum += x;
        self.squares += x * x;
    }

    /// Σ x / n.
    pub fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }

    /// √((E x² − (E x)²) / (n − 1))
    pub fn standard_error(&self) -> f64 {
        let n = self.count as f64;
        let variance = (self.squares / n - self.mean().powi(2)).max(0.0);
        if self.count > 1 { (variance / (n - 1.0)).sqrt() } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_but_the_first_is_scored_once() {
        for (tokens, room, stride) in [(1000, 512, 256), (2, 512, 256), (513, 512, 512), (40, 7, 3)]
        {
            let windows = windows(tokens, room, stride);
            let scored: Vec<usize> = windows.iter().flat_map(|w| w.scored.clone()).collect();
            assert_eq!(scored, (1..tokens).collect::<Vec<_>>(), "{tokens} {room} {stride}");
            for w in &windows {
                assert!(w.all.len() <= room, "{w:?}");
            }
        }
        assert!(windows(1, 512, 256).is_empty() && windows(0, 512, 256).is_empty());
    }

    #[test]
    fn the_likelihood_of_a_known_row() {
        // softmax([ln 1, ln 2, ln 5]) = [1/8, 2/8, 5/8]
        let row = [0.0, 2.0_f32.ln(), 5.0_f32.ln()];
        for (token, p) in [(0, 0.125_f64), (1, 0.25), (2, 0.625)] {
            // Rounding the logarithms to f32 moves the result by at most 2^-24 · ln 5 each.
            assert!((negative_log_likelihood(&row, token) + p.ln()).abs() < 3e-7);
        }
        let shifted = row.map(|x| x + 512.0);
        assert!((negative_log_likelihood(&shifted, 1) + 0.25_f64.ln()).abs() < 1e-4);
    }

    #[test]
    fn mean_and_standard_error() {
        let mut sum = Sum::default();
        [1.0, 2.0, 3.0, 4.0].into_iter().for_each(|x| sum.add(x));
        assert_eq!(sum.mean(), 2.5);
        // Population variance 1.25, over n − 1 = 3.
        assert!((sum.standard_error() - (1.25_f64 / 3.0).sqrt()).abs() < 1e-15);
    }
}
