//! Generating tokens: chosen on the device, or where the whole row counts on the host.
//!
//! What the device chooses never waits for the host. A step leaves its token where the next step reads
//! it, so steps are submitted ahead and their ids read behind; what was computed past a stop token
//! is discarded, and its place in the cache written over later.
//!
//! With `lookup`, a step has the last token and a guess at those behind it; what of the guess is what
//! the device would have chosen is kept, and the rest written over.

use std::collections::VecDeque;

use web_time::Instant;

mod choosing;
mod lookup;
mod running;

pub use choosing::LogProbs;

pub(super) use choosing::Chooser;
pub(super) use running::{Running, StepResult};

use super::decoder::Head;
use super::sampler::SamplerOptions;
use super::session::Session;
use crate::error::{Error, Result};
use crate::gpu::{Buffer, Class, Gpu};
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
    /// Steps that may be on the device at once where the host chooses nothing: 1 waits for each; 0 is
    /// for as many as suit the device.
    pub in_flight: usize,
    /// How many of the likeliest tokens to report with each token: [`Generation::log_probs`].
    pub log_probs: Option<usize>,
    /// Tokens that are guessed at a time from what followed the last ones before; 0 guesses none. The
    /// answer is the same; text that repeats the context comes faster, other text a little slower,
    /// since one step is waited for after the other. Counts where the best token is taken and no
    /// log-probabilities are asked for.
    pub lookup: usize,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        let sampler = SamplerOptions::greedy();
        Self {
            max_tokens: 256,
            sampler,
            stop: Vec::new(),
            in_flight: 0,
            log_probs: None,
            lookup: 0,
        }
    }
}

impl GenerateOptions {
    /// Steps that may be on a device at once. Where it is the processor itself, what the host does
    /// ahead only holds up its kernels.
    pub fn steps_ahead(&self, gpu: &Gpu) -> usize {
        match (self.in_flight, gpu.caps().class) {
            (0, Class::Software) => 1,
            (0, Class::Gpu) => 2,
            (asked, _) => asked,
        }
    }

    /// What a step computes for an answer by these. Errors: the sampler's options.
    pub(super) fn head(&self) -> Result<Head> {
        Ok(Chooser::new(&self.sampler)?.head(self.log_probs.is_some()))
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
    /// Tokens that [`GenerateOptions::lookup`] guessed.
    pub guessed_tokens: usize,
    /// Those of them that came.
    pub confirmed_tokens: usize,
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
    chooser: Chooser,
    log_probs: Option<LogProbs>,
    running: VecDeque<Running>,
    /// Ids that were received and not yet handed out.
    confirmed: VecDeque<u32>,
    /// Staging buffers that no step uses.
    free: Vec<Buffer>,
    made: usize,
    finish: Option<Finish>,
    stats: Stats,
    clock: Instant,
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
            chooser: Chooser::Best,
            log_probs: None,
            running: VecDeque::new(),
            confirmed: VecDeque::new(),
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
        let Some(id) = self.id().await? else {
            return Ok(self.end(Finish::Context));
        };
        if id == NOT_FINITE {
            return Err(Error::NotFinite { position: self.session.tokens.len() - 1 });
        }
        self.count();
        self.session.tokens.push(id);
        if self.options.stop.contains(&id) {
            return Ok(self.end(Finish::Stop));
        }
        self.made += 1;
        Ok(Some(id))
    }

    /// The next id, unless the context is full.
    async fn id(&mut self) -> Result<Option<u32>> {
        if self.confirmed.is_empty() {
            if self.received {
                self.advance().await?;
            }
            self.receive().await?;
        }
        Ok(self.confirmed.pop_front())
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
            self.chooser = Chooser::new(&self.options.sampler)?;
            self.chooser.tell(&self.session.decoder);
            self.stats.prompt_tokens = self.session.tokens.len() - self.session.fed;
        }
        let head = self.head();
        let (staging, result) = self.result(head, 1).await?;
        let words = result.words();
        let submission = self.session.feed(head, result.copy_to(&staging)).await?;
        self.prepared = self.session.fed == self.session.tokens.len();
        if self.prepared {
            self.running.push_back(Running::new(submission, staging, words));
        } else {
            submission.finish().await?;
            self.free.push(staging);
        }
        Ok(self.prepared)
    }

    /// Submits as many steps as may run at once, up to the end of the context.
    async fn advance(&mut self) -> Result<()> {
        let wanted = self.options.max_tokens - self.made;
        if self.looks_up() {
            return self.guess(wanted).await;
        }
        let most = self.options.steps_ahead(self.session.model().gpu());
        let ahead = if self.chooser.is_host() { 1 } else { most };
        let head = self.head();
        while self.running.len() < ahead.min(wanted) {
            // The position of the token that the last submitted step yields.
            let position = self.session.tokens.len() - 1 + self.running.len();
            if position >= self.session.context() {
                break;
            }
            let (staging, result) = self.result(head, 1).await?;
            let (words, copy) = (result.words(), result.copy_to(&staging));
            let submission = if self.chooser.is_host() {
                self.session.feed(head, copy).await?
            } else {
                self.session.feed_own(position, head, copy).await?
            };
            self.session.fed = position + 1;
            self.running.push_back(Running::new(submission, staging, words));
        }
        Ok(())
    }

    /// Whether steps are waited for one by one, for the sake of guesses.
    fn looks_up(&self) -> bool {
        self.options.lookup > 0 && self.head() == Head::Last
    }

    /// Submits a step of the last token and a guess at the `wanted` ones behind it, if there is place
    /// for it in the context.
    async fn guess(&mut self, wanted: usize) -> Result<()> {
        let tokens = self.session.tokens.len();
        let context = self.session.context();
        if tokens > context {
            return Ok(());
        }
        // A step yields a token more than it has guesses.
        let most = self.options.lookup.min(wanted - 1).min(context - tokens);
        let most = most.min(self.session.chunk_rows(Head::Best) - 1);
        let guess = lookup::propose(&self.session.tokens, most);
        let head = if guess.is_empty() { Head::Last } else { Head::Best };
        let (staging, result) = self.result(head, 1 + guess.len()).await?;
        let (words, copy) = (result.words(), result.copy_to(&staging));
        let submission = self.session.feed_draft(&guess, head, copy).await?;
        self.session.fed = tokens;
        self.stats.guessed_tokens += guess.len();
        let mut step = Running::new(submission, staging, words);
        step.guess = guess;
        self.running.push_back(step);
        Ok(())
    }

    /// Takes the ids of the oldest running step, if one is running.
    async fn receive(&mut self) -> Result<()> {
        let Some(mut step) = self.running.pop_front() else { return Ok(()) };
        let guess = std::mem::take(&mut step.guess);
        let (words, staging) = step.read().await?;
        self.free.push(staging);
        self.received = true;
        if guess.is_empty() {
            let id = self.choose(words)?;
            self.confirmed.push_back(id);
            return Ok(());
        }
        let right = guess.iter().zip(&words).take_while(|(guess, id)| guess == id).count();
        self.confirmed.extend(words.into_iter().take(right + 1));
        // Of the guesses that came, the cache holds keys and values already.
        self.session.fed += right;
        self.stats.confirmed_tokens += right;
        Ok(())
    }

    /// Chooses from a step's result: the id that the device chose, and before it, where it was asked
    /// for, a row of log-probabilities and its log-sum-exp.
    fn choose(&mut self, mut words: Vec<u32>) -> Result<u32> {
        let id = words.pop().unwrap_or(NOT_FINITE);
        if words.is_empty() {
            return Ok(id);
        }
        let log_sum = f32::from_bits(words.pop().unwrap_or_default());
        let mut row: Vec<f32> = words.into_iter().map(f32::from_bits).collect();
        let said = self.options.log_probs.map(|most| (most, row.clone()));
        let id = match &mut self.chooser {
            Chooser::Best | Chooser::Drawn(_) => id,
            Chooser::Host(sampler) => {
                sampler.seek(self.session.tokens.len());
                sampler.sample_log_probs(&mut row, log_sum, &self.session.tokens)?
            }
        };
        self.log_probs = said.map(|(most, row)| LogProbs::new(&row, id, most));
        Ok(id)
    }

    fn head(&self) -> Head {
        self.chooser.head(self.options.log_probs.is_some())
    }

    /// What the host reads of a step, and where to.
    async fn result(&mut self, head: Head, rows: usize) -> Result<(Buffer, StepResult)> {
        let result = StepResult::new(&self.session.decoder, head, rows);
        let staging = match self.free.pop() {
            Some(buffer) if buffer.size() >= 4 * result.words() as u64 => buffer,
            _ => {
                // No step has more rows than a chunk, however many tokens may be guessed.
                let rows = 1 + self.options.lookup.min(self.session.chunk());
                self.session.staging(result.words().max(rows)).await?
            }
        };
        Ok((staging, result))
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
