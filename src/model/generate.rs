//! Generating tokens: greedily on the device, or with the whole sampler chain on the host.
//!
//! Greedy decoding never waits for the host. A step leaves its best token where the next step reads
//! it, so steps are submitted ahead and their ids read behind; what was computed past a stop token
//! is discarded, and its place in the cache written over later.

use std::collections::VecDeque;

use web_time::Instant;

use super::decoder::Head;
use super::sampler::{Sampler, SamplerOptions};
use super::session::Session;
use crate::error::{Error, Result};
use crate::gpu::{Buffer, Mapping, Submission};
use crate::ops::argmax::NOT_FINITE;

/// What to generate.
#[derive(Debug, Clone)]
pub struct GenerateOptions {
    /// The most tokens.
    pub max_tokens: usize,
    /// How each is chosen.
    pub sampler: SamplerOptions,
    /// Tokens that end the answer; they are not part of it.
    pub stop: Vec<u32>,
    /// Steps that may be on the device at once where the host chooses nothing: 1 waits for each.
    pub in_flight: usize,
    /// How many of the likeliest tokens to report with each token: [`Generation::log_probs`].
    pub log_probs: Option<usize>,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        let sampler = SamplerOptions::greedy();
        Self { max_tokens: 256, sampler, stop: Vec::new(), in_flight: 2, log_probs: None }
    }
}

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
    fn new(row: &[f32], id: u32, most: usize) -> Self {
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

/// Why a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// A stop token came.
    Stop,
    /// `max_tokens` were generated.
    Length,
    /// The context is full.
    Context,
    /// An error ended it, and was returned.
    Failed,
}

/// What a generation cost.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stats {
    /// Tokens of the prompt that had to be processed.
    pub prompt_tokens: usize,
    /// Seconds until the first token was known.
    pub prefill_seconds: f64,
    /// Tokens after the first, a stop token included.
    pub decoded_tokens: usize,
    /// Seconds for those.
    pub decode_seconds: f64,
}

/// An answer in the making.
#[derive(Debug)]
pub struct Generation<'s> {
    session: &'s mut Session,
    options: GenerateOptions,
    /// How the prompt was taken, told by the first `prepare`.
    started: Option<Result<()>>,
    /// Whether the step that yields the first token is submitted, and whether it was received.
    prepared: bool,
    received: bool,
    sampler: Option<Sampler>,
    log_probs: Option<LogProbs>,
    running: VecDeque<Running>,
    /// Staging buffers that no step uses.
    free: Vec<Buffer>,
    made: usize,
    finish: Option<Finish>,
    stats: Stats,
    clock: Instant,
}

/// A step on the device, and its result, which is asked for at once: nothing is waited for until the
/// host needs it.
#[derive(Debug)]
struct Running {
    submission: Submission,
    staging: Buffer,
    result: Mapping,
}

impl Running {
    fn new(submission: Submission, staging: Buffer, words: usize) -> Self {
        let result = staging.map(words);
        Self { submission, staging, result }
    }

    /// Waits for the result; gives the staging buffer back.
    async fn read(self) -> Result<(Vec<u32>, Buffer)> {
        let index = self.submission.accepted().await?;
        Ok((self.result.read(index).await?, self.staging))
    }
}

impl<'s> Generation<'s> {
    pub(super) fn new(session: &'s mut Session, prompt: &[u32], options: GenerateOptions) -> Self {
        let started = Some(start(session, prompt));
        Self {
            session,
            options,
            started,
            prepared: false,
            received: false,
            sampler: None,
            log_probs: None,
            running: VecDeque::new(),
            free: Vec::new(),
            made: 0,
            finish: None,
            stats: Stats::default(),
            clock: Instant::now(),
        }
    }

    /// The next token, or `None` at the end.
    ///
    /// # Errors
    /// [`Error::ContextFull`] and [`Error::Token`] for the prompt, [`Error::InvalidOption`] for the
    /// sampler's options, [`Error::NotFinite`], and what the device says. The session stays usable:
    /// after [`Error::DeviceLost`], [`Session::rebuild`] it.
    pub async fn next(&mut self) -> Result<Option<u32>> {
        if self.finish.is_some() {
            return Ok(None);
        }
        while !self.prepare().await? {}
        let next = self.step().await;
        self.end_if_failed(next)
    }

    async fn step(&mut self) -> Result<Option<u32>> {
        if self.made >= self.options.max_tokens {
            return Ok(self.end(Finish::Length));
        }
        if self.received {
            self.advance().await?;
        }
        let Some(id) = self.receive().await? else {
            return Ok(self.end(Finish::Context));
        };
        self.count();
        self.session.tokens.push(id);
        if self.options.stop.contains(&id) {
            return Ok(self.end(Finish::Stop));
        }
        self.made += 1;
        Ok(Some(id))
    }

    /// Why it ended, once it has.
    pub fn finish(&self) -> Option<Finish> {
        self.finish
    }

    /// How likely the last token was, where [`GenerateOptions::log_probs`] asks for it.
    pub fn log_probs(&self) -> Option<&LogProbs> {
        self.log_probs.as_ref()
    }

    /// What it cost so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    fn end(&mut self, finish: Finish) -> Option<u32> {
        self.finish = Some(finish);
        None
    }

    fn end_if_failed<T>(&mut self, result: Result<T>) -> Result<T> {
        if result.is_err() {
            self.finish = Some(Finish::Failed);
        }
        result
    }

    fn count(&mut self) {
        let seconds = self.clock.elapsed().as_secs_f64();
        if self.stats.prefill_seconds == 0.0 {
            self.stats.prefill_seconds = seconds;
        } else {
            self.stats.decoded_tokens += 1;
            self.stats.decode_seconds = seconds - self.stats.prefill_seconds;
        }
    }

    /// Feeds the next chunk of the prompt and waits for it; `true` once there is none left. What
    /// [`next`](Self::next) does by itself, for callers that want to report or stop in between: the
    /// session keeps what was fed.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn prepare(&mut self) -> Result<bool> {
        if self.prepared || self.finish.is_some() {
            return Ok(true);
        }
        let fed = self.feed_prompt().await;
        self.end_if_failed(fed)
    }

    async fn feed_prompt(&mut self) -> Result<bool> {
        if let Some(started) = self.started.take() {
            started?;
            self.choose_sampler()?;
            self.stats.prompt_tokens = self.session.tokens.len() - self.session.fed;
        }
        let staging = self.staging().await?;
        let copy = self.copy_result(&staging);
        let submission = self.session.feed(self.head(), copy).await?;
        self.prepared = self.session.fed == self.session.tokens.len();
        if self.prepared {
            self.running.push_back(Running::new(submission, staging, self.result_words()));
        } else {
            submission.finish().await?;
            self.free.push(staging);
        }
        Ok(self.prepared)
    }

    /// The host's sampler, unless the device's argmax is all that is asked for.
    fn choose_sampler(&mut self) -> Result<()> {
        let options = &self.options.sampler;
        options.validate()?;
        if options.temperature != 0.0 || options.repeat_penalty != 1.0 {
            self.sampler = Some(Sampler::new(options.clone())?);
        }
        Ok(())
    }

    /// Submits as many steps as may run at once, up to the end of the context.
    async fn advance(&mut self) -> Result<()> {
        let ahead = if self.sampler.is_some() { 1 } else { self.options.in_flight.max(1) };
        let wanted = self.options.max_tokens - self.made;
        while self.running.len() < ahead.min(wanted) {
            // The position of the token that the last submitted step yields.
            let position = self.session.tokens.len() - 1 + self.running.len();
            if position >= self.session.context() {
                break;
            }
            let staging = self.staging().await?;
            let copy = self.copy_result(&staging);
            let submission = if self.sampler.is_some() {
                self.session.feed(self.head(), copy).await?
            } else {
                self.session.feed_own(position, self.head(), copy).await?
            };
            self.session.fed = position + 1;
            self.running.push_back(Running::new(submission, staging, self.result_words()));
        }
        Ok(())
    }

    /// The token of the oldest running step, if one is running.
    async fn receive(&mut self) -> Result<Option<u32>> {
        let position = self.session.tokens.len() - 1;
        let Some(step) = self.running.pop_front() else { return Ok(None) };
        let (words, staging) = step.read().await?;
        self.free.push(staging);
        let id = self.choose(words)?;
        if id == NOT_FINITE {
            return Err(Error::NotFinite { position });
        }
        self.received = true;
        Ok(Some(id))
    }

    /// Chooses from a step's result: the id that the device chose, and before it, where it was asked
    /// for, a row of log-probabilities and its log-sum-exp.
    fn choose(&mut self, mut words: Vec<u32>) -> Result<u32> {
        let id = words.pop().unwrap_or(NOT_FINITE);
        if !self.reads_row() {
            return Ok(id);
        }
        let log_sum = f32::from_bits(words.pop().unwrap_or_default());
        let mut row: Vec<f32> = words.into_iter().map(f32::from_bits).collect();
        let said = self.options.log_probs.map(|most| (most, row.clone()));
        let id = match &mut self.sampler {
            None => id,
            Some(sampler) => sampler.sample_log_probs(&mut row, log_sum, &self.session.tokens)?,
        };
        self.log_probs = said.map(|(most, row)| LogProbs::new(&row, id, most));
        Ok(id)
    }

    /// Whether the host needs to see all probabilities.
    fn reads_row(&self) -> bool {
        self.sampler.is_some() || self.options.log_probs.is_some()
    }

    fn head(&self) -> Head {
        if self.reads_row() { Head::LogProbs } else { Head::Last }
    }

    fn result_words(&self) -> usize {
        if self.reads_row() { self.session.model().config().vocabulary + 2 } else { 1 }
    }

    async fn staging(&mut self) -> Result<Buffer> {
        match self.free.pop() {
            Some(buffer) => Ok(buffer),
            None => self.session.staging(self.result_words()).await,
        }
    }

    /// Commands that copy a step's result to where the host can read it.
    fn copy_result(&self, to: &Buffer) -> impl FnOnce(&mut wgpu::CommandEncoder) + use<> {
        let decoder = &self.session.decoder;
        let vocabulary = self.session.model().config().vocabulary;
        let [row, log_sum] = decoder.log_probs();
        let mut pieces = vec![(decoder.ids().clone(), 1)];
        if self.reads_row() {
            let all = [(row.clone(), vocabulary as u64), (log_sum.clone(), 1)];
            pieces.splice(0..0, all);
        }
        let to = to.clone();
        move |encoder| {
            let mut at = 0;
            for (from, words) in pieces {
                encoder.copy_buffer_to_buffer(from.raw(), 0, to.raw(), at, words * 4);
                at += words * 4;
            }
        }
    }
}

/// Appends the prompt; at least one token must be left to feed.
fn start(session: &mut Session, prompt: &[u32]) -> Result<()> {
    session.append(prompt)?;
    if session.tokens.is_empty() {
        let (expected, got) = ("a prompt of at least one token".into(), "none".into());
        return Err(Error::Shape { op: "generate", expected, got });
    }
    session.fed = session.fed.min(session.tokens.len() - 1);
    Ok(())
}
