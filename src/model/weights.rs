//! A decoder's weights on the device.

use super::checkpoint::{Checkpoint, TensorInfo};
use super::config::{DecoderTensors, LayerTensors, Linear as LinearTensors, ModelConfig};
use super::join::Join;
use super::source::ByteSource;
use super::{LoadOptions, Progress, Stage};
use crate::error::{Error, Result};
use crate::formats::{self, FormatRef};
use crate::gpu::{Buffer, Gpu};
use crate::ops::{self, Matrix};
use crate::platform;
use crate::quantize::{Planned, converted};
use std::borrow::Cow;

/// A matrix and its bias.
#[derive(Debug)]
pub struct Linear {
    /// Rows of weights, one per output.
    pub weight: Matrix,
    /// One value per output, where the model has it.
    pub bias: Option<Buffer>,
}

/// One decoder layer.
#[derive(Debug)]
pub struct Layer {
    /// RMSNorm before attention.
    pub attn_norm: Buffer,
    /// Queries, keys and values, neighbours in one matrix where their formats allow it: one to three
    /// matrices, whose rows follow each other.
    pub qkv: Vec<Linear>,
    /// Attention's output.
    pub attn_output: Linear,
    /// RMSNorm before the feed-forward network.
    pub ffn_norm: Buffer,
    /// Gate and up: one matrix in which their rows alternate, or one for each where their formats
    /// differ.
    pub gate_up: Vec<Linear>,
    /// Down.
    pub down: Linear,
}

/// All weights.
#[derive(Debug)]
pub struct Weights {
    /// A row per token.
    pub embedding: Matrix,
    /// The layers, from the first.
    pub layers: Vec<Layer>,
    /// The last RMSNorm.
    pub norm: Buffer,
    /// The output matrix, where it is not the embedding.
    pub head: Option<Matrix>,
    /// Divisors of the rotary frequencies.
    pub rope_factors: Option<Vec<f32>>,
}

impl Weights {
    /// Streams every tensor from the source to the device, one at a time (or those that are joined),
    /// so that the host holds no more than that twice. With a recipe, matrices are put into its formats on the way.
    ///
    /// # Errors
    /// [`Error::UnsupportedType`] and
    /// [`Error::OutOfMemory`] before anything is uploaded;
    /// [`Error::WeightNotFinite`] for a NaN or an infinity, or a scale that is one; what the source and
    /// the device say; [`Error::Cancelled`].
    pub async fn load(
        gpu: &Gpu,
        checkpoint: &Checkpoint,
        config: &ModelConfig,
        options: LoadOptions<'_>,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Self> {
        checkpoint.check_supported()?;
        let tensors = config.tensors(checkpoint)?;
        let total = tensors.iter().map(|t| t.bytes).sum();
        let bytes = |t| match options.recipe {
            Some(recipe) => Planned::new(t, recipe).map(|planned| planned.bytes),
            None => Ok(t.bytes),
        };
        let needed = tensors.iter().map(bytes).sum::<Result<u64>>()?;
        platform::check_memory(gpu, "the model's weights", needed)?;
        let source = &**checkpoint.source();
        let mut loader = Loader { gpu, source, options, done: 0, total, progress };
        loader.decoder(&tensors, config).await
    }

    /// Bytes of the device that they take.
    pub fn bytes(&self) -> u64 {
        let linear = |l: &Linear| l.weight.bytes() + l.bias.as_ref().map_or(0, Buffer::size);
        let layer = |l: &Layer| {
            let linears = l.qkv.iter().chain(&l.gate_up).chain([&l.attn_output, &l.down]);
            linears.map(linear).sum::<u64>() + l.attn_norm.size() + l.ffn_norm.size()
        };
        let layers: u64 = self.layers.iter().map(layer).sum();
        let head = self.head.as_ref().map_or(0, Matrix::bytes);
        self.embedding.bytes() + layers + self.norm.size() + head
    }

    /// The output matrix.
    pub fn head(&self) -> &Matrix {
        self.head.as_ref().unwrap_or(&self.embedding)
    }
}

struct Loader<'a> {
    gpu: &'a Gpu,
    source: &'a dyn ByteSource,
    options: LoadOptions<'a>,
    done: u64,
    total: u64,
    progress: &'a mut (dyn FnMut(Progress) + Send),
}

impl<'a> Loader<'a> {
    async fn decoder(&mut self, t: &DecoderTensors<'_>, config: &ModelConfig) -> Result<Weights> {
        let head = if config.tied_head { None } else { Some(self.matrix(t.output).await?) };
        let embedding = self.matrix(t.token_embd).await?;
        let mut layers = Vec::with_capacity(t.layers.len());
        for layer in &t.layers {
            layers.push(self.layer(layer).await?);
        }
        let norm = self.norm(t.output_norm).await?;
        let rope_factors = match t.rope_freqs {
            Some(factors) => Some(self.values(factors).await?),
            None => None,
        };
        Ok(Weights { embedding, layers, norm, head, rope_factors })
    }

    async fn layer(&mut self, t: &LayerTensors<'_>) -> Result<Layer> {
        let one = |mut linears: Vec<Linear>| linears.remove(0);
        Ok(Layer {
            attn_norm: self.norm(t.attn_norm).await?,
            qkv: self.joined(&[&t.attn_q, &t.attn_k, &t.attn_v], Join::Below).await?,
            attn_output: one(self.joined(&[&t.attn_output], Join::Below).await?),
            ffn_norm: self.norm(t.ffn_norm).await?,
            gate_up: self.joined(&[&t.ffn_gate, &t.ffn_up], Join::Alternating).await?,
            down: one(self.joined(&[&t.ffn_down], Join::Below).await?),
        })
    }

    /// Matrices of the same input, as few as their formats and biases allow.
    async fn joined(&mut self, all: &[&LinearTensors<'_>], join: Join) -> Result<Vec<Linear>> {
        let mut linears = Vec::new();
        let mut rest = all;
        while let Some(first) = rest.first() {
            let kind = self.kind(first)?;
            let mut count = 1;
            while count < rest.len() && self.kind(rest[count])? == kind {
                count += 1;
            }
            if join == Join::Alternating && count < all.len() {
                count = 1;
            }
            linears.push(self.linear(&rest[..count], join).await?);
            rest = &rest[count..];
        }
        Ok(linears)
    }

    /// What matrices must have in common to be one.
    fn kind(&self, t: &LinearTensors<'_>) -> Result<(&'static str, bool, Option<u64>)> {
        let cols = t.weight.shape.first().copied();
        Ok((self.format(t.weight)?.name(), t.bias.is_some(), cols))
    }

    async fn linear(&mut self, parts: &[&LinearTensors<'_>], join: Join) -> Result<Linear> {
        let (mut blocks, mut biases) = (Vec::new(), Vec::new());
        let mut rows = 0;
        let first = parts[0].weight;
        for t in parts {
            blocks.push(self.blocks(t.weight).await?);
            rows += rows_of(t.weight);
            if let Some(bias) = t.bias {
                biases.push(self.values(bias).await?.into());
            }
        }
        let bytes = join.rows(blocks, rows_of(first));
        let weight = self.upload(first, rows, &bytes).await?;
        drop(bytes);
        for t in parts {
            self.uploaded(t.weight).await?;
        }
        let bias = if biases.is_empty() {
            None
        } else {
            let biases: Cow<'_, [f32]> = join.rows(biases, rows_of(first));
            Some(Buffer::from_slice(self.gpu, &first.name, &biases).await?)
        };
        Ok(Linear { weight, bias })
    }

    async fn matrix(&mut self, t: &TensorInfo) -> Result<Matrix> {
        let bytes = self.blocks(t).await?;
        let matrix = self.upload(t, rows_of(t), &bytes).await?;
        drop(bytes);
        self.uploaded(t).await?;
        Ok(matrix)
    }

    /// `bytes` are rows like those of `t`, in the format that it is to have.
    async fn upload(&self, t: &TensorInfo, rows: usize, bytes: &[u8]) -> Result<Matrix> {
        let cols = t.shape.first().map_or(1, |&n| n as usize);
        Matrix::upload(self.gpu, &t.name, self.format(t)?, (rows, cols), bytes).await
    }

    /// The format that a matrix is to have.
    fn format(&self, t: &TensorInfo) -> Result<FormatRef> {
        match self.options.recipe {
            Some(recipe) => Ok(Planned::new(t, recipe)?.format()),
            None => t.format(),
        }
    }

    /// A matrix's rows in that format.
    async fn blocks(&mut self, t: &TensorInfo) -> Result<Cow<'a, [u8]>> {
        self.check_wanted()?;
        if let Some(recipe) = self.options.recipe {
            return Ok(converted(self.source, &Planned::new(t, recipe)?).await?.into());
        }
        let bytes = self.source.read(t.offset, t.bytes as usize).await?;
        check_finite(t, &bytes)?;
        Ok(bytes)
    }

    /// A norm, as f32 whatever it is stored in, in whole vec4s.
    async fn norm(&mut self, t: &TensorInfo) -> Result<Buffer> {
        let values = self.values(t).await?;
        let padded = ops::with_padding(&values, values.len());
        Buffer::from_slice(self.gpu, &t.name, &padded).await
    }

    async fn values(&mut self, t: &TensorInfo) -> Result<Vec<f32>> {
        self.check_wanted()?;
        let format = t.format()?;
        let bytes = self.source.read(t.offset, t.bytes as usize).await?;
        let mut values = vec![0.0; t.elements() as usize];
        formats::decode_row(format, &bytes, &mut values)?;
        if let Some(column) = values.iter().position(|x| !x.is_finite()) {
            return Err(not_finite(t, (0, column, values[column])));
        }
        self.uploaded(t).await?;
        Ok(values)
    }

    /// Gives up if it was asked to; before a tensor is read, so that nothing waits for a download.
    fn check_wanted(&self) -> Result<()> {
        let name = || format!("loading {}", self.source.name());
        self.options.cancel.map_or(Ok(()), |cancel| cancel.check(&name()))
    }

    /// wgpu keeps a copy of what was written until a submit has run.
    async fn uploaded(&mut self, t: &TensorInfo) -> Result<()> {
        self.gpu.submit(&t.name, |_| {})?.finish().await?;
        self.source.release(t.offset, t.bytes as usize);
        self.done += t.bytes;
        (self.progress)(Progress { stage: Stage::Upload, done: self.done, total: self.total });
        Ok(())
    }
}

/// Rows of a matrix.
fn rows_of(t: &TensorInfo) -> usize {
    t.shape.get(1).map_or(1, |&n| n as usize)
}

/// A NaN among the weights, or a scale that makes one, would only show as a NaN in the logits.
fn check_finite(t: &TensorInfo, bytes: &[u8]) -> Result<()> {
    let found = formats::first_not_finite(t.format()?, t.row_len() as usize, bytes)?;
    found.map_or(Ok(()), |found| Err(not_finite(t, found)))
}

fn not_finite(t: &TensorInfo, (row, column, value): (usize, usize, f32)) -> Error {
    Error::WeightNotFinite { tensor: t.name.clone(), row, column, value }
}
