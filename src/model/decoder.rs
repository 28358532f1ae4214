//! The decoder graph: a step of it is one plan, recorded once for each number of rows.

mod graph;
mod linear;
mod scratch;

use std::collections::HashMap;
use std::sync::Arc;

use super::config::ModelConfig;
use super::kv_cache::KvCache;
use super::session::{Activations, SessionMemory};
use super::weights::Weights;
use crate::error::Result;
use crate::formats::FormatRef;
use crate::gpu::{Buffer, Gpu, Plan, PlanBuilder};
use crate::ops::attention::{self, Attention};
use crate::ops::sample::Choice;
use crate::ops::softmax::{self, Softmax};
use crate::ops::{self, Span, kv, quantize_q8, rope};
use scratch::Scratch;

/// Which rows of a step go through the output matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Head {
    /// None: a chunk of a prompt that is not its last.
    None,
    /// The last row; its best token is left where the next step reads its id.
    Last,
    /// The same, and the logarithms of its probabilities.
    LogProbs,
    /// The last row; a token drawn from so many of the best (`ops::sample`) takes the best one's place.
    /// With or without the logarithms of its probabilities.
    Drawn(usize, bool),
    /// All rows; the best token of each is left in `best`.
    Best,
    /// All rows.
    All,
}

impl Head {
    /// Rows of `rows` that go through the output matrix.
    fn rows(self, rows: usize) -> usize {
        match self {
            Self::None => 0,
            Self::Last | Self::LogProbs | Self::Drawn(..) => 1,
            Self::Best | Self::All => rows,
        }
    }

    /// Whether it computes a row of log-probabilities.
    pub fn log_probs(self) -> bool {
        matches!(self, Self::LogProbs | Self::Drawn(_, true))
    }
}

/// Rows of a step: of how many sequences, and how many of each.
pub type StepShape = (usize, usize);

/// Rows of a step, and the number of rows by which their kernels are chosen.
#[derive(Debug, Clone, Copy)]
struct StepRows {
    count: usize,
    kernels_for: usize,
}

/// What a decoder's cache has room for.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Sequences.
    pub sequences: usize,
    /// Positions of each.
    pub context: usize,
    /// The number format of keys and values.
    pub format: FormatRef,
}

impl Room {
    /// Positions of the cache from one sequence's first to the next one's.
    fn stride(&self) -> usize {
        // Rows of a cache are interleaved by as many at the most.
        let tiles = self.context.checked_next_multiple_of(kv::TILE);
        tiles.filter(|_| self.sequences > 1).unwrap_or(self.context)
    }
}

/// Plans that are kept at once; the rarest to be needed again are remainders of prompts.
const MAX_PLANS: usize = 8;

/// A model's graph with its activations, for steps of up to `chunk` rows.
#[derive(Debug)]
pub struct Decoder {
    gpu: Gpu,
    config: Arc<ModelConfig>,
    weights: Arc<Weights>,
    room: Room,
    cache: KvCache,
    chunk: usize,
    scratch: Scratch,
    /// Activations as bytes, where they are rounded.
    q8: Option<Buffer>,
    rope_table: Buffer,
    plans: HashMap<(StepShape, Head), Recorded>,
}

/// A plan, and what it uses that no other plan does.
#[derive(Debug)]
struct Recorded {
    plan: Arc<Plan>,
    _attention: Attention,
    _softmax: Option<Softmax>,
}

impl Decoder {
    /// A decoder with an empty cache, for steps of up to `chunk` rows.
    ///
    /// # Errors
    /// As [`KvCache::new`]; what the device says.
    pub async fn new(
        gpu: &Gpu,
        config: &Arc<ModelConfig>,
        weights: &Arc<Weights>,
        room: Room,
        chunk: usize,
    ) -> Result<Self> {
        let frequencies = config.rope_frequencies(weights.rope_factors.as_deref())?;
        // First, since it is larger than the table: a context that is too long is refused here.
        let positions = room.sequences.saturating_mul(room.stride());
        let cache = KvCache::new(gpu, config, positions, room.format).await?;
        let table = rope::table(&frequencies, room.context);
        Ok(Self {
            gpu: gpu.clone(),
            config: config.clone(),
            weights: weights.clone(),
            room,
            cache,
            chunk,
            scratch: Scratch::new(gpu, config, chunk).await?,
            q8: None,
            rope_table: Buffer::from_slice(gpu, "rope table", table.as_flattened()).await?,
            plans: HashMap::new(),
        })
    }

    /// The same with activations rounded, or not.
    ///
    /// # Errors
    /// What the device says.
    pub async fn with_activations(mut self, activations: Activations) -> Result<Self> {
        self.q8 = match activations {
            Activations::F32 => None,
            Activations::Q8 => {
                let c = &self.config;
                let widest = c.width.max(c.q_width()).max(c.ffn_width);
                let rows = self.scratch.ids.size() as usize / 4;
                let words = quantize_q8::words(rows, widest);
                Some(Buffer::new(&self.gpu, "activations as bytes", words).await?)
            }
        };
        Ok(self)
    }

    /// Positions that a sequence has.
    pub fn context(&self) -> usize {
        self.room.context
    }

    /// Tokens that it knows.
    pub fn vocabulary(&self) -> usize {
        self.config.vocabulary
    }

    /// What it takes of the device's memory.
    pub fn memory(&self) -> SessionMemory {
        let beside = self.q8.iter().chain([&self.rope_table]).map(Buffer::size).sum::<u64>();
        SessionMemory { kv_cache: self.cache.bytes(), scratch: self.scratch.bytes() + beside }
    }

    /// Token ids that the next step reads; [`Head::Last`] leaves the best next token in the first.
    pub fn ids(&self) -> &Buffer {
        &self.scratch.ids
    }

    /// Logits: a row after [`Head::Last`], all rows after [`Head::All`], `stride(vocabulary)` apart.
    pub fn logits(&self) -> &Buffer {
        &self.scratch.logits
    }

    /// After [`Head::LogProbs`], a row of log-probabilities, and its log-sum-exp.
    pub fn log_probs(&self) -> [&Buffer; 2] {
        [&self.scratch.log_probs, &self.scratch.log_sum]
    }

    /// The best token of each row, after [`Head::Best`].
    pub fn best(&self) -> &Buffer {
        &self.scratch.best
    }

    /// Says how [`Head::Drawn`] draws, from the next submit on.
    pub fn choose_by(&self, choice: &Choice) {
        self.scratch.choice.write(0, &[*choice]);
    }

    /// Puts a step's place in the cache where its plan reads it: a span for each sequence. To be called
    /// before each submit.
    pub fn place(&self, spans: &[Span]) {
        self.scratch.step.write(0, spans);
    }

    /// Rows of a sequence from one of its positions on.
    pub fn span(&self, sequence: usize, position: usize, rows: usize) -> Span {
        let start = sequence * self.room.stride();
        let Span { position, rows, end, .. } = Span::alone(position, rows, self.room.context);
        let start = start as u32;
        Span { position: start + position, rows, start, end: start + end }
    }

    /// The plan of a step of this shape, recorded on first use. `progress` hears of its pipelines.
    ///
    /// # Errors
    /// What the device says, [`Error::Limit`](crate::Error::Limit) where it is too small for this
    /// model.
    pub async fn plan(
        &mut self,
        shape: StepShape,
        head: Head,
        progress: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<Arc<Plan>> {
        if let Some(recorded) = self.plans.get(&(shape, head)) {
            return Ok(recorded.plan.clone());
        }
        let rows = shape.0 * shape.1;
        if self.scratch.logit_rows < head.rows(rows) {
            let words = rows * ops::stride(self.config.vocabulary);
            self.scratch.logits = Buffer::new(&self.gpu, "logits", words).await?;
            self.scratch.logit_rows = rows;
            self.plans.clear();
        }
        let attention = self.attention(shape, head).await?;
        let softmax = match head.log_probs() {
            true => Some(log_softmax(&self.gpu, self.config.vocabulary).await?),
            false => None,
        };
        let recorded = self.record(shape, head, &attention, softmax.as_ref())?;
        let plan = Arc::new(recorded.build(progress).await?);
        if self.plans.len() >= MAX_PLANS {
            self.plans.retain(|((_, rows), _), _| *rows == 1);
        }
        if self.plans.len() >= MAX_PLANS {
            self.plans.clear();
        }
        let recorded = Recorded { plan: plan.clone(), _attention: attention, _softmax: softmax };
        self.plans.insert((shape, head), recorded);
        Ok(plan)
    }

    /// Compiles the kernels that choose a token by `head`, and none of the layers'. The future borrows
    /// nothing: steps may run meanwhile.
    pub fn compile_choice(&self, head: Head) -> impl Future<Output = Result<()>> + use<> {
        let (gpu, scratch, vocabulary) =
            (self.gpu.clone(), self.scratch.clone(), self.config.vocabulary);
        async move {
            let mut plan = PlanBuilder::new(&gpu, "choice");
            scratch.record_choice(&mut plan, (1, vocabulary), head)?;
            if head.log_probs() {
                let log_softmax = log_softmax(&gpu, vocabulary).await?;
                scratch.record_log_softmax(&mut plan, &log_softmax)?;
            }
            plan.compile().await
        }
    }

    /// The rows of a step. Any part of a prompt takes the kernels of whole chunks, which are compiled
    /// while loading: for a few rows others are quicker, by far less than a driver needs to compile them.
    fn rows(&self, (sequences, rows): StepShape, head: Head) -> StepRows {
        let of_prompt = sequences == 1 && rows > 1 && !matches!(head, Head::Best | Head::All);
        let count = sequences * rows;
        StepRows { count, kernels_for: if of_prompt { self.chunk } else { count } }
    }

    /// What all layers share of attention by such a step.
    async fn attention(&self, (sequences, rows): StepShape, head: Head) -> Result<Attention> {
        let c = &self.config;
        let shape = attention::Shape {
            heads: c.heads,
            sequences,
            rows,
            q_stride: ops::stride(c.q_width() + 2 * c.kv_width()),
            y_stride: ops::stride(c.q_width()),
        };
        let rows_each = self.rows((sequences, rows), head).kernels_for / sequences.max(1);
        let queries = (sequences, rows_each * (c.heads / c.kv_heads));
        let options = attention::Options {
            tile: Some(attention::Tile::on(&self.gpu, queries, self.cache.shape)?),
            window: c.sliding_window,
            soft_cap: c.attention_soft_cap,
            ..attention::Options::causal(c.attention_scale)
        };
        Attention::new(&self.gpu, shape, self.cache.shape, options).await
    }
}

/// The logarithm of softmax over the vocabulary.
async fn log_softmax(gpu: &Gpu, vocabulary: usize) -> Result<Softmax> {
    let options = softmax::Options { log: true, ..Default::default() };
    Softmax::new(gpu, (1, vocabulary), options).await
}
