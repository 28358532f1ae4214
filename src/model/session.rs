//! A conversation with a model: the tokens so far, and their keys and values on the device.

use crate::error::{Error, Result};
use crate::formats::{F32, FormatRef};
use crate::gpu::{Buffer, Gpu, Submission};
use crate::ops;

use super::decoder::{Decoder, Head, Room};
use super::generate::{GenerateOptions, Generation};
use super::{Model, Progress, Stage};

/// How long a conversation may be, and how its prompts are fed.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// Tokens that the session can hold; `None`: as many as the model was trained for, up to 2048.
    pub context: Option<usize>,
    /// Tokens of a prompt that are processed at once.
    pub chunk: usize,
    /// The number format of the KV cache: any that
    /// [`can_hold`](crate::ops::kv::can_hold) allows, such as f32, f16 or q8_0.
    pub kv_cache: FormatRef,
    /// What activations are rounded to before they are multiplied with weights.
    pub activations: Activations,
}

/// What activations are rounded to before they are multiplied with weights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Activations {
    /// Nothing.
    #[default]
    F32,
    /// Signed bytes with a scale per 32 ([`quantize_q8`](crate::ops::quantize_q8)), for weights whose
    /// format [`can_multiply`](crate::ops::matmul_q8::can_multiply) with them; others stay exact.
    /// Faster, and less accurate.
    Q8,
}

impl Default for SessionOptions {
    fn default() -> Self {
        let activations = Activations::F32;
        Self { context: None, chunk: 128, kv_cache: F32, activations }
    }
}

/// Bytes of the device that a session takes beside the model's weights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionMemory {
    /// Keys and values.
    pub kv_cache: u64,
    /// Activations, logits and tables.
    pub scratch: u64,
}

const DEFAULT_CONTEXT: usize = 2048;

/// Tokens, and what the device remembers of them.
#[derive(Debug)]
pub struct Session {
    model: Model,
    pub(super) decoder: Decoder,
    options: SessionOptions,
    /// All tokens so far.
    pub(super) tokens: Vec<u32>,
    /// How many of them have their keys and values in the cache.
    pub(super) fed: usize,
}

impl Session {
    pub(super) async fn new(model: &Model, options: &SessionOptions) -> Result<Self> {
        let (context, chunk) = check_room(model, options)?;
        let options = SessionOptions { context: Some(context), chunk, ..options.clone() };
        let (config, weights) = (&model.0.config, &model.0.weights);
        let room = Room { sequences: 1, context, format: options.kv_cache };
        let decoder = Decoder::new(model.gpu(), config, weights, room, chunk)
            .await?
            .with_activations(options.activations)
            .await?;
        Ok(Self { model: model.clone(), decoder, options, tokens: Vec::new(), fed: 0 })
    }

    /// The model that it talks to.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// All tokens so far, prompts and answers.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Tokens that the session can hold.
    pub fn context(&self) -> usize {
        self.decoder.context()
    }

    /// Tokens of a prompt that are processed at once.
    pub fn chunk(&self) -> usize {
        self.options.chunk
    }

    /// What it takes of the device's memory.
    pub fn memory(&self) -> SessionMemory {
        self.decoder.memory()
    }

    /// The number format of its keys and values.
    pub fn kv_cache(&self) -> FormatRef {
        self.options.kv_cache
    }

    /// Forgets all tokens from the `len`th on; what came before stays in the cache.
    pub fn truncate(&mut self, len: usize) {
        self.tokens.truncate(len);
        self.fed = self.fed.min(self.tokens.len());
    }

    /// Keeps what `tokens` begins with, forgets the rest, and returns what is new in `tokens`.
    pub fn keep_prefix<'t>(&mut self, tokens: &'t [u32]) -> &'t [u32] {
        let same = self.tokens.iter().zip(tokens).take_while(|(a, b)| a == b).count();
        self.truncate(same);
        &tokens[same..]
    }

    /// Compiles what answers by these options need, before the first token is waited for.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for the sampler's options; what the device says.
    pub async fn warm_up(
        &mut self,
        options: &GenerateOptions,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<()> {
        let head = options.head()?;
        let mut hear = |done, total| progress(Progress { stage: Stage::Compile, done, total });
        self.decoder.plan((1, 1), head, &mut hear).await?;
        let rows = self.options.chunk;
        self.decoder.plan((1, rows), Head::None, &mut hear).await?;
        Ok(())
    }

    /// After [`warm_up`](Self::warm_up) by other options, compiles what choosing tokens by these needs
    /// besides. The future borrows nothing: the session may answer meanwhile.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for the sampler's options; the future's are what the device says.
    pub fn warm_up_choice(
        &self,
        options: &GenerateOptions,
    ) -> Result<impl Future<Output = Result<()>> + use<>> {
        Ok(self.decoder.compile_choice(options.head()?))
    }

    /// Appends tokens and computes their keys and values.
    ///
    /// # Errors
    /// [`Error::Token`] and [`Error::ContextFull`] before anything is changed; what the device says.
    pub async fn prefill(&mut self, tokens: &[u32]) -> Result<()> {
        self.append(tokens)?;
        while self.fed < self.tokens.len() {
            self.feed_chunk(Head::None).await?.finish().await?;
        }
        Ok(())
    }

    /// Appends tokens and hands `sink` the logits after each: its position in the context, and a
    /// value per token of the vocabulary.
    ///
    /// # Errors
    /// As [`prefill`](Self::prefill), and [`Error::NotFinite`].
    pub async fn logits(
        &mut self,
        tokens: &[u32],
        sink: &mut (dyn FnMut(usize, &[f32]) + Send),
    ) -> Result<()> {
        self.append(tokens)?;
        let vocabulary = self.model.config().vocabulary;
        let stride = ops::stride(vocabulary);
        while self.fed < self.tokens.len() {
            let first = self.fed;
            let _ = self.feed_chunk(Head::All).await?.accepted().await?;
            let rows = self.fed - first;
            let all: Vec<f32> = self.decoder.logits().read(0, rows * stride).await?;
            for (row, position) in all.chunks_exact(stride).zip(first..) {
                let row = &row[..vocabulary];
                if row.iter().any(|v| !v.is_finite()) {
                    return Err(Error::NotFinite { position });
                }
                sink(position, row);
            }
        }
        Ok(())
    }

    /// Appends a prompt (which may be empty where there are tokens) and starts an answer.
    pub fn generate(&mut self, prompt: &[u32], options: GenerateOptions) -> Generation<'_> {
        Generation::new(self, prompt, options)
    }

    /// The same conversation on a new device, after the old one was lost: loads the model anew from
    /// its source; the tokens are fed again by whatever comes next. What was measured on the old device
    /// ([`tune`](crate::tune)) is used on the new one, if that is of the same kind.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub async fn rebuild(
        &mut self,
        gpu: &Gpu,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<()> {
        let old = &self.model.0;
        if let (Some(tuning), None) = (old.gpu.tuning(), gpu.tuning()) {
            gpu.set_tuning((*tuning).clone());
        }
        let model = Model::load_as(gpu, old.files.clone(), old.recipe.as_ref(), progress).await?;
        let tokens = std::mem::take(&mut self.tokens);
        *self = Self { tokens, ..Self::new(&model, &self.options).await? };
        Ok(())
    }

    /// Adds tokens that are yet to be fed.
    pub(super) fn append(&mut self, tokens: &[u32]) -> Result<()> {
        check_tokens(&self.model, tokens)?;
        let (wanted, context) = (self.tokens.len() + tokens.len(), self.context());
        if wanted > context {
            return Err(Error::ContextFull { tokens: wanted, context });
        }
        // What an answer computed ahead and never received is no part of the conversation.
        self.fed = self.fed.min(self.tokens.len());
        self.tokens.extend_from_slice(tokens);
        Ok(())
    }

    /// Submits the next chunk of unfed tokens; `head` counts for the last chunk, and for all of
    /// them if it is [`Head::All`].
    pub(super) async fn feed_chunk(&mut self, head: Head) -> Result<Submission> {
        self.feed(head, |_| {}).await
    }

    /// The same, with commands of the caller's behind the step.
    pub(super) async fn feed(
        &mut self,
        head: Head,
        after: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> Result<Submission> {
        let rows = self.chunk_rows(head).min(self.tokens.len() - self.fed);
        let last = self.fed + rows == self.tokens.len();
        let head = if last || head == Head::All { head } else { Head::None };
        let plan = self.decoder.plan((1, rows), head, &mut |_, _| {}).await?;
        self.decoder.ids().write(0, &self.tokens[self.fed..self.fed + rows]);
        self.decoder.place(&[self.decoder.span(0, self.fed, rows)]);
        let submission = self.model.gpu().submit("decoder step", |encoder| {
            plan.encode(encoder);
            if last {
                after(encoder);
            }
        })?;
        self.fed += rows;
        Ok(submission)
    }

    /// Submits a step that feeds the token which the last step left on the device.
    pub(super) async fn feed_own(
        &mut self,
        position: usize,
        head: Head,
        after: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> Result<Submission> {
        let plan = self.decoder.plan((1, 1), head, &mut |_, _| {}).await?;
        self.decoder.place(&[self.decoder.span(0, position, 1)]);
        self.model.gpu().submit("decoder step", |encoder| {
            plan.encode(encoder);
            after(encoder);
        })
    }

    /// Submits a step that feeds the last token, and behind it tokens that may come next.
    pub(super) async fn feed_draft(
        &mut self,
        draft: &[u32],
        head: Head,
        after: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> Result<Submission> {
        let first = self.tokens.len() - 1;
        let rows = [&self.tokens[first..], draft].concat();
        let plan = self.decoder.plan((1, rows.len()), head, &mut |_, _| {}).await?;
        self.decoder.ids().write(0, &rows);
        self.decoder.place(&[self.decoder.span(0, first, rows.len())]);
        self.model.gpu().submit("decoder step", |encoder| {
            plan.encode(encoder);
            after(encoder);
        })
    }

    /// Rows that a step may have: the logits of all of them must fit one binding.
    pub(super) fn chunk_rows(&self, head: Head) -> usize {
        if !matches!(head, Head::All | Head::Best) {
            return self.options.chunk;
        }
        let limits = self.model.gpu().limits();
        let most = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
        let row = 4 * ops::stride(self.model.config().vocabulary) as u64;
        self.options.chunk.min((most / row).max(1) as usize)
    }

    /// A buffer for what the host reads of each step.
    pub(super) async fn staging(&self, words: usize) -> Result<Buffer> {
        Buffer::staging(self.model.gpu(), "step result", words).await
    }
}

/// Positions of a context, and tokens of a prompt that are processed at once.
pub(super) fn check_room(model: &Model, options: &SessionOptions) -> Result<(usize, usize)> {
    let context = options.context.unwrap_or(DEFAULT_CONTEXT.min(model.config().context));
    if context == 0 || options.chunk == 0 {
        let got = format!("context {context}, chunk {}", options.chunk);
        return Err(Error::Shape { op: "session", expected: "at least 1 token".into(), got });
    }
    Ok((context, options.chunk.min(context)))
}

/// Refuses what is no token of the model's.
pub(super) fn check_tokens(model: &Model, tokens: &[u32]) -> Result<()> {
    let vocabulary = model.config().vocabulary;
    match tokens.iter().find(|&&id| id as usize >= vocabulary) {
        Some(&id) => Err(Error::Token { id, vocabulary }),
        None => Ok(()),
    }
}
