//! What a model predicts, held against what the reference predicted at the same positions.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mantissa::model::Session;
use serde::Serialize;

use crate::output;
use crate::windows::{Sum, Tokens, Window, log_sum_exp, negative_log_likelihood};

/// What all models are asked.
pub struct Passes<'a> {
    pub text: &'a Tokens,
    pub windows: &'a [Window],
    /// Tokens that are fed at a time.
    pub chunk: usize,
}

/// A model's predictions, summed up.
#[derive(Default, Serialize)]
pub struct Comparison {
    pub perplexity: f64,
    /// Mean negative log-likelihood per token, in nats.
    pub nll: f64,
    /// Mean of KL(reference ‖ this) per token, in nats; its standard error, the value that 99 % of
    /// tokens do not exceed, and the largest.
    pub kl: f64,
    pub kl_standard_error: f64,
    pub kl_99_percent: f64,
    pub kl_max: f64,
    /// Share of positions where both put the same token first.
    pub top_1_agreement: f64,
    /// Tokens through the model, with logits at every position.
    pub tokens_per_second: f64,
    /// Positions that were compared.
    #[serde(skip)]
    pub scored: usize,
}

/// The reference's logits of every scored position, in a file: they outgrow memory.
pub struct Reference {
    file: File,
    is_written: bool,
}

/// What it is called in messages.
const NAME: &str = "a temporary file for the reference's logits (TMPDIR names the folder)";

impl Reference {
    /// An empty one, gone when the program ends.
    pub fn create() -> Result<Self> {
        Ok(Self { file: tempfile::tempfile().context(NAME)?, is_written: false })
    }
}

/// Feeds all windows to the session. The first model that comes here becomes the reference. `None`
/// where `stop` says so.
pub async fn compare(
    name: &str,
    passes: &Passes<'_>,
    session: &mut Session,
    reference: &mut Reference,
    stop: &mut dyn FnMut() -> bool,
) -> Result<Option<Comparison>> {
    reference.file.rewind().context(NAME)?;
    let mut rows = match reference.is_written {
        false => Rows::Write(BufWriter::new(&reference.file)),
        true => Rows::Read(BufReader::new(&reference.file)),
    };
    let inputs: Vec<_> = passes.windows.iter().map(|w| passes.text.input(w)).collect();
    let bar = output::count_bar(inputs.iter().map(|i| i.len() as u64).sum(), name);
    let mut sums = Sums::default();
    let mut clock = Clock::default();
    for (window, input) in passes.windows.iter().zip(&inputs) {
        session.truncate(0);
        for chunk in input.chunks(passes.chunk) {
            // The callback cannot stop the run; the first failure is kept and told behind it.
            let mut outcome = Ok(());
            let (start, mut here) = (Instant::now(), Duration::ZERO);
            session
                .logits(chunk, &mut |position, row| {
                    let start = Instant::now();
                    if let (Some(next), Ok(())) = (passes.text.scored(window, position), &outcome) {
                        outcome = rows.next(row).map(|reference| sums.add(reference, row, next));
                    }
                    here += start.elapsed();
                })
                .await?;
            outcome.context(NAME)?;
            clock.add(chunk.len(), start.elapsed().saturating_sub(here));
            bar.inc(chunk.len() as u64);
            if stop() {
                return Ok(None);
            }
        }
    }
    bar.finish_and_clear();
    if let Rows::Write(file) = &mut rows {
        file.flush().context(NAME)?;
    }
    drop(rows);
    reference.is_written = true;
    let comparison = sums.finish(clock.rate());
    if !comparison.kl.is_finite() {
        bail!("{name}: the divergence is not finite");
    }
    Ok(Some(comparison))
}

/// The reference's rows, as they are made or as they were.
enum Rows<'a> {
    Write(BufWriter<&'a File>),
    Read(BufReader<&'a File>),
}

impl Rows<'_> {
    /// The reference's row at the position of `row`: `None` where that is `row` itself.
    fn next(&mut self, row: &[f32]) -> std::io::Result<Option<Vec<f32>>> {
        match self {
            Self::Write(file) => file.write_all(bytemuck::cast_slice(row)).map(|()| None),
            Self::Read(file) => {
                let mut reference = vec![0.0; row.len()];
                file.read_exact(bytemuck::cast_slice_mut(&mut reference))?;
                Ok(Some(reference))
            }
        }
    }
}

/// The model's own time. The first chunk compiles kernels, so it counts only where it is the last.
#[derive(Default)]
struct Clock {
    first: Option<(usize, Duration)>,
    rest: (usize, Duration),
}

impl Clock {
    fn add(&mut self, tokens: usize, time: Duration) {
        match self.first {
            None => self.first = Some((tokens, time)),
            Some(_) => self.rest = (self.rest.0 + tokens, self.rest.1 + time),
        }
    }

    fn rate(&self) -> f64 {
        let (tokens, time) = match self.first {
            Some(first) if self.rest.0 == 0 => first,
            _ => self.rest,
        };
        if time.is_zero() { 0.0 } else { tokens as f64 / time.as_secs_f64() }
    }
}

#[derive(Default)]
struct Sums {
    nll: Sum,
    kl: Sum,
    divergences: Vec<f64>,
    agreed: usize,
}

impl Sums {
    fn add(&mut self, reference: Option<Vec<f32>>, row: &[f32], next: u32) {
        self.nll.add(negative_log_likelihood(row, next));
        let (kl, agrees) = match reference {
            Some(reference) => (divergence(&reference, row), largest(&reference) == largest(row)),
            None => (0.0, true),
        };
        self.kl.add(kl);
        self.divergences.push(kl);
        self.agreed += usize::from(agrees);
    }

    fn finish(mut self, tokens_per_second: f64) -> Comparison {
        self.divergences.sort_by(f64::total_cmp);
        let n = self.divergences.len();
        // The smallest value that at least 99 % do not exceed.
        let at = (99 * n).div_ceil(100).saturating_sub(1);
        Comparison {
            perplexity: self.nll.mean().exp(),
            nll: self.nll.mean(),
            kl: self.kl.mean(),
            kl_standard_error: self.kl.standard_error(),
            kl_99_percent: self.divergences.get(at).copied().unwrap_or(0.0),
            kl_max: self.divergences.last().copied().unwrap_or(0.0),
            top_1_agreement: self.agreed as f64 / n.max(1) as f64,
            tokens_per_second,
            scored: n,
        }
    }
}

/// KL(p ‖ q) = Σ pᵢ (ln pᵢ − ln qᵢ) of the softmax of two rows, in f64. Rounding may leave a
/// difference of some 1e-16 below 0 where the rows are the same; it is never less than 0.
fn divergence(p: &[f32], q: &[f32]) -> f64 {
    let (p_sum, q_sum) = (log_sum_exp(p), log_sum_exp(q));
    let terms = p.iter().zip(q).map(|(&p, &q)| {
        let ln_p = f64::from(p) - p_sum;
        ln_p.exp() * (ln_p - (f64::from(q) - q_sum))
    });
    terms.sum::<f64>().max(0.0)
}

/// The place of the largest, the first where there are several.
fn largest(row: &[f32]) -> usize {
    let mut best = 0;
    for (i, x) in row.iter().enumerate() {
        if row.get(best).is_some_and(|most| x > most) {
            best = i;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_divergence_of_known_rows() {
        // p = [1/2, 1/4, 1/4], q = [1/4, 1/4, 1/2]: ½·ln 2 + 0 − ¼·ln 2 = ¼·ln 2
        let p = [2.0_f32, 1.0, 1.0].map(f32::ln);
        let q = [1.0_f32, 1.0, 2.0].map(|x| x.ln() + 100.0);
        // Logits near 100 have an ulp of 2^-17, so each is off by 2^-18 at most, and so is ln q.
        assert!((divergence(&p, &q) - 0.25 * 2.0_f64.ln()).abs() < 2.0 * 2f64.powi(-18));
        assert_eq!(divergence(&p, &p), 0.0);
    }

    #[test]
    fn the_largest_is_the_first_of_equals() {
        assert_eq!(largest(&[1.0, 3.0, 3.0, 2.0]), 1);
        assert_eq!(largest(&[f32::NEG_INFINITY, -1.0]), 1);
    }

    #[test]
    fn one_in_a_hundred_may_exceed_the_quantile() {
        let mut sums = Sums::default();
        for i in (1..=200).rev() {
            sums.kl.add(f64::from(i));
            sums.divergences.push(f64::from(i));
        }
        let c = sums.finish(1.0);
        assert_eq!((c.kl_99_percent, c.kl_max, c.kl), (198.0, 200.0, 100.5));
    }

    #[test]
    fn compiling_is_not_timed() {
        let mut clock = Clock::default();
        clock.add(10, Duration::from_secs(100));
        assert_eq!(clock.rate(), 0.1);
        clock.add(10, Duration::from_secs(2));
        assert_eq!(clock.rate(), 5.0);
    }
}
