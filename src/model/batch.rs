//! Several conversations with a model, decoded together: a step feeds a token of each, so that the
//! weights are read once for all.

use super::decoder::{Decoder, Head, Room};
use super::generate::{Chooser, Finish, GenerateOptions, Running, StepResult};
use super::session::{SessionMemory, SessionOptions, check_room, check_tokens};
use super::{Model, Progress, Stage};
use crate::error::{Error, Result};
use crate::gpu::Buffer;
use crate::ops::argmax::NOT_FINITE;
use crate::ops::{self, MAX_SEQUENCES, Span};

/// Conversations that are answered together. They may be started, and end, at any time; what one of
/// them says depends on no other, but for roundings (a step of several rows adds up its sums in
/// another order than one of a single row, so that of two tokens that are nearly as likely the other
/// may come).
///
/// ```no_run
/// # async fn answer(model: &mantissa::model::Model, prompts: &[Vec<u32>]) -> mantissa::Result<()> {
/// use mantissa::model::{GenerateOptions, SessionOptions};
///
/// let mut batch = model.batch(&SessionOptions::default(), prompts.len()).await?;
/// for (sequence, prompt) in prompts.iter().enumerate() {
///     batch.start(sequence, prompt, GenerateOptions::default()).await?;
/// }
/// while batch.is_running() {
///     for (sequence, token) in batch.step().await? {
///         println!("{sequence}: {token}");
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Batch {
    model: Model,
    decoder: Decoder,
    chunk: usize,
    sequences: Vec<Sequence>,
    /// Where the host reads a step's tokens; not there while a step, perhaps one that nobody waits for
    /// any more, uses it.
    staging: Option<Buffer>,
}

/// One conversation.
#[derive(Debug, Default)]
struct Sequence {
    tokens: Vec<u32>,
    /// How many of them have their keys and values in the cache.
    fed: usize,
    answer: Option<Answer>,
}

/// What is said in it.
#[derive(Debug)]
struct Answer {
    options: GenerateOptions,
    chooser: Chooser,
    made: usize,
    finish: Option<Finish>,
}

impl Sequence {
    fn running(&self) -> Option<&Answer> {
        self.answer.as_ref().filter(|answer| answer.finish.is_none())
    }
}

impl Batch {
    pub(super) async fn new(
        model: &Model,
        options: &SessionOptions,
        sequences: usize,
    ) -> Result<Self> {
        if !(1..=MAX_SEQUENCES).contains(&sequences) {
            let expected = format!("1 to {MAX_SEQUENCES} sequences");
            return Err(Error::Shape { op: "batch", expected, got: sequences.to_string() });
        }
        let (context, chunk) = check_room(model, options)?;
        let room = Room { sequences, context, format: options.kv_cache };
        let (config, weights) = (&model.0.config, &model.0.weights);
        let decoder = Decoder::new(model.gpu(), config, weights, room, chunk.max(sequences))
            .await?
            .with_activations(options.activations)
            .await?;
        let new = |_| Sequence::default();
        let sequences = (0..sequences).map(new).collect();
        Ok(Self { model: model.clone(), decoder, chunk, sequences, staging: None })
    }

    /// Conversations that it has room for.
    pub fn sequences(&self) -> usize {
        self.sequences.len()
    }

    /// Tokens that each of them can hold.
    pub fn context(&self) -> usize {
        self.decoder.context()
    }

    /// Tokens that the model knows.
    pub fn vocabulary(&self) -> usize {
        self.decoder.vocabulary()
    }

    /// What it takes of the device's memory, beside the model's weights.
    pub fn memory(&self) -> SessionMemory {
        self.decoder.memory()
    }

    /// All tokens of a conversation, prompt and answer; none where there is no such conversation.
    pub fn tokens(&self, sequence: usize) -> &[u32] {
        self.sequences.get(sequence).map_or(&[], |sequence| &sequence.tokens)
    }

    /// Why an answer ended, once it has.
    pub fn finish(&self, sequence: usize) -> Option<Finish> {
        self.sequences.get(sequence)?.answer.as_ref()?.finish
    }

    /// Whether any answer goes on.
    pub fn is_running(&self) -> bool {
        self.sequences.iter().any(|sequence| sequence.running().is_some())
    }

    /// Compiles what `sequences` answers together need, before the first token is waited for.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for the sampler's options; what the device says.
    pub async fn warm_up(
        &mut self,
        options: &GenerateOptions,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<()> {
        let head = head([&Chooser::new(&options.sampler)?].into_iter());
        let mut hear = |done, total| progress(Progress { stage: Stage::Compile, done, total });
        self.decoder.plan((self.sequences.len(), 1), head, &mut hear).await?;
        self.decoder.plan((1, self.chunk), Head::None, &mut hear).await?;
        Ok(())
    }

    /// Starts an answer: the conversation's tokens are `prompt` from now on, and all of it but the
    /// last token is processed at once, as far as it is not what the conversation began with before.
    /// An answer that was still running ends.
    ///
    /// Of the options, `in_flight` and `lookup` change nothing here.
    ///
    /// # Errors
    /// [`Error::Shape`] for a conversation that there is no room for, or an empty prompt;
    /// [`Error::Token`] and [`Error::ContextFull`] for the prompt; [`Error::InvalidOption`] for the
    /// sampler's options, or where log-probabilities are asked for. The conversation is then as it was.
    /// What the device says.
    pub async fn start(
        &mut self,
        sequence: usize,
        prompt: &[u32],
        options: GenerateOptions,
    ) -> Result<()> {
        self.check(sequence, prompt, &options)?;
        let chooser = Chooser::new(&options.sampler)?;
        let own = &mut self.sequences[sequence];
        let same = own.tokens.iter().zip(prompt).take_while(|(a, b)| a == b).count();
        own.fed = own.fed.min(same).min(prompt.len() - 1);
        own.tokens = prompt.to_vec();
        own.answer = None;
        while self.sequences[sequence].fed < prompt.len() - 1 {
            self.feed_chunk(sequence, prompt.len() - 1).await?;
        }
        let answer = Answer { options, chooser, made: 0, finish: None };
        self.sequences[sequence].answer = Some(answer);
        Ok(())
    }

    fn check(&self, sequence: usize, prompt: &[u32], options: &GenerateOptions) -> Result<()> {
        let shape = |expected: String, got: String| Error::Shape { op: "batch", expected, got };
        if sequence >= self.sequences.len() {
            let expected = format!("a sequence below {}", self.sequences.len());
            return Err(shape(expected, sequence.to_string()));
        }
        if prompt.is_empty() {
            return Err(shape("a prompt of at least one token".into(), "none".into()));
        }
        if options.log_probs.is_some() {
            let (value, allowed) = ("some".into(), "none where sequences are decoded together");
            return Err(Error::InvalidOption { name: "log_probs", value, allowed });
        }
        check_tokens(&self.model, prompt)?;
        let (tokens, context) = (prompt.len(), self.context());
        if tokens > context { Err(Error::ContextFull { tokens, context }) } else { Ok(()) }
    }

    /// Processes the next tokens of a conversation up to `end`, and waits for it.
    async fn feed_chunk(&mut self, sequence: usize, end: usize) -> Result<()> {
        let own = &self.sequences[sequence];
        let (fed, rows) = (own.fed, self.chunk.min(end - own.fed));
        let plan = self.decoder.plan((1, rows), Head::None, &mut |_, _| {}).await?;
        self.decoder.ids().write(0, &own.tokens[fed..fed + rows]);
        self.decoder.place(&[self.decoder.span(sequence, fed, rows)]);
        plan.submit()?.finish().await?;
        self.sequences[sequence].fed += rows;
        Ok(())
    }

    /// One more token for each answer that goes on: the conversation's number and the token. Those
    /// that end with this step are not among them; [`finish`](Self::finish) says why they did. Nothing
    /// once all have ended.
    ///
    /// # Errors
    /// [`Error::NotFinite`] for the first answer whose logits are not numbers: it has failed, and what
    /// the others got is among their [`tokens`](Self::tokens). What the device says.
    pub async fn step(&mut self) -> Result<Vec<(usize, u32)>> {
        self.end_those_at_a_limit();
        let active: Vec<usize> = self.active().collect();
        if active.is_empty() {
            return Ok(Vec::new());
        }
        let chosen = self.choose(&active).await?;
        let mut told = Vec::new();
        let mut failed = Ok(());
        for (sequence, id) in active.into_iter().zip(chosen) {
            let own = &mut self.sequences[sequence];
            own.fed = own.tokens.len();
            let Some(answer) = &mut own.answer else { continue };
            if id == NOT_FINITE {
                answer.finish = Some(Finish::Failed);
                failed = failed.and(Err(Error::NotFinite { position: own.tokens.len() - 1 }));
                continue;
            }
            own.tokens.push(id);
            if answer.options.stop.contains(&id) {
                answer.finish = Some(Finish::Stop);
                continue;
            }
            answer.made += 1;
            told.push((sequence, id));
        }
        failed.map(|()| told)
    }

    fn active(&self) -> impl Iterator<Item = usize> {
        let numbered = self.sequences.iter().enumerate();
        numbered.filter(|(_, sequence)| sequence.running().is_some()).map(|(i, _)| i)
    }

    fn end_those_at_a_limit(&mut self) {
        let context = self.context();
        for Sequence { tokens, answer, .. } in &mut self.sequences {
            let Some(answer) = answer.as_mut().filter(|answer| answer.finish.is_none()) else {
                continue;
            };
            if answer.made >= answer.options.max_tokens {
                answer.finish = Some(Finish::Length);
            } else if tokens.len() > context {
                answer.finish = Some(Finish::Context);
            }
        }
    }

    /// Feeds the last token of each of these, and gives the next.
    async fn choose(&mut self, active: &[usize]) -> Result<Vec<u32>> {
        let answers = active.iter().filter_map(|&i| self.sequences[i].answer.as_ref());
        let head = head(answers.map(|answer| &answer.chooser));
        let shape = (active.len(), 1);
        let plan = self.decoder.plan(shape, head, &mut |_, _| {}).await?;
        let last = |&i: &usize| self.sequences[i].tokens.last().copied().unwrap_or_default();
        let ids: Vec<u32> = active.iter().map(last).collect();
        let span = |&i: &usize| self.decoder.span(i, self.sequences[i].tokens.len() - 1, 1);
        let spans: Vec<Span> = active.iter().map(span).collect();
        self.decoder.ids().write(0, &ids);
        self.decoder.place(&spans);
        if head == Head::Best {
            let gpu = self.model.gpu();
            let staging = match self.staging.take() {
                Some(staging) => staging,
                None => Buffer::staging(gpu, "tokens", self.sequences.len()).await?,
            };
            let copy = StepResult::new(&self.decoder, head, active.len()).copy_to(&staging);
            let submission = gpu.submit("batch step", |encoder| {
                plan.encode(encoder);
                copy(encoder);
            })?;
            let step = Running::new(submission, staging, active.len());
            let (ids, staging) = step.read().await?;
            self.staging = Some(staging);
            return Ok(ids);
        }
        plan.submit()?.accepted().await?;
        let vocabulary = self.decoder.vocabulary();
        let stride = ops::stride(vocabulary);
        let mut rows: Vec<f32> = self.decoder.logits().read(0, active.len() * stride).await?;
        let choose = |(&i, row): (&usize, &mut [f32])| {
            let Sequence { tokens, answer, .. } = &mut self.sequences[i];
            match answer {
                Some(answer) => answer.chooser.choose(&mut row[..vocabulary], tokens),
                None => Ok(NOT_FINITE),
            }
        };
        active.iter().zip(rows.chunks_exact_mut(stride)).map(choose).collect()
    }
}

/// The device takes the best tokens where that is all that anyone asks for.
fn head<'a>(mut choosers: impl Iterator<Item = &'a Chooser>) -> Head {
    match choosers.all(|chooser| matches!(chooser, Chooser::Best)) {
        true => Head::Best,
        false => Head::All,
    }
}
