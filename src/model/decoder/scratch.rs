//! The buffers that a step works in, and what is chosen from its logits.

use super::Head;
use crate::error::Result;
use crate::gpu::{Buffer, Gpu, PlanBuilder};
use crate::model::config::ModelConfig;
use crate::ops::sample::Choice;
use crate::ops::softmax::{Softmax, Tensors};
use crate::ops::top_k::MAX_K;
use crate::ops::{self, argmax, sample, top_k};

/// Activations: rows of floats, `ops::stride` of their width apart. Clones are the same buffers.
#[derive(Debug, Clone)]
pub(super) struct Scratch {
    pub step: Buffer,
    pub ids: Buffer,
    pub residual: Buffer,
    pub normed: Buffer,
    pub qkv: Buffer,
    pub attended: Buffer,
    pub gate_up: Buffer,
    pub activated: Buffer,
    pub logits: Buffer,
    pub logit_rows: usize,
    pub log_probs: Buffer,
    pub log_sum: Buffer,
    pub choice: Buffer,
    pub best: Buffer,
    pub lists: Buffer,
    pub candidates: Buffer,
}

impl Scratch {
    pub async fn new(gpu: &Gpu, config: &ModelConfig, chunk: usize) -> Result<Self> {
        let rows = async |label: &str, width: usize| {
            Buffer::new(gpu, label, chunk * ops::stride(width)).await
        };
        Ok(Self {
            step: Buffer::uniform(gpu, "step", ops::STEP_WORDS).await?,
            ids: Buffer::new(gpu, "ids", chunk).await?,
            residual: rows("residual", config.width).await?,
            normed: rows("normed", config.width).await?,
            qkv: rows("qkv", config.q_width() + 2 * config.kv_width()).await?,
            attended: rows("attended", config.q_width()).await?,
            gate_up: rows("gate, up", 2 * config.ffn_width).await?,
            activated: rows("activated", config.ffn_width).await?,
            logits: Buffer::new(gpu, "logits", ops::stride(config.vocabulary)).await?,
            logit_rows: 1,
            log_probs: Buffer::new(gpu, "log-probabilities", config.vocabulary).await?,
            log_sum: Buffer::new(gpu, "log-sum-exp", 1).await?,
            choice: Buffer::uniform(gpu, "choice", Choice::WORDS).await?,
            best: Buffer::new(gpu, "best tokens", chunk).await?,
            lists: Buffer::new(
                gpu,
                "top-k of chunks",
                top_k::scratch_words(config.vocabulary, MAX_K),
            )
            .await?,
            candidates: Buffer::new(gpu, "candidates", top_k::list_words(MAX_K)).await?,
        })
    }

    /// What it takes of the device's memory.
    pub fn bytes(&self) -> u64 {
        let activations = [&self.residual, &self.normed, &self.qkv, &self.attended];
        let of_ffn = [&self.gate_up, &self.activated];
        let ends = [&self.step, &self.ids, &self.logits, &self.log_probs, &self.log_sum];
        let choosing = [&self.choice, &self.best, &self.lists, &self.candidates];
        let all = activations.into_iter().chain(of_ffn).chain(ends).chain(choosing);
        all.map(Buffer::size).sum()
    }

    /// What is chosen by the logits of so many rows.
    pub fn record_choice(
        &self,
        plan: &mut PlanBuilder,
        (rows, vocabulary): (usize, usize),
        head: Head,
    ) -> Result<()> {
        match head {
            Head::None | Head::All => Ok(()),
            Head::Last | Head::LogProbs => {
                argmax::record(plan, &self.logits, (1, vocabulary), &self.ids, 0)
            }
            Head::Best => argmax::record(plan, &self.logits, (rows, vocabulary), &self.best, 0),
            Head::Drawn(width, _) => {
                let shape = (vocabulary, width);
                top_k::record(plan, &self.logits, shape, &self.lists, &self.candidates)?;
                let uniforms = (&self.step, &self.choice);
                sample::record(plan, uniforms, (&self.candidates, width), &self.ids, 0)
            }
        }
    }

    pub fn record_log_softmax(&self, plan: &mut PlanBuilder, log_softmax: &Softmax) -> Result<()> {
        let log_sum_exp = Some(&self.log_sum);
        let tensors = Tensors { x: &self.logits, mask: None, y: &self.log_probs, log_sum_exp };
        log_softmax.record(plan, &tensors)
    }
}
