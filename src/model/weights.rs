//! A decoder's weights on the device.

use super::checkpoint::{Checkpoint, TensorInfo};
use super::config::{DecoderTensors, LayerTensors, Linear as LinearTensors, ModelConfig};
use super::source::ByteSource;
use super::{LoadOptions, Progress, Stage};
use crate::error::{Error, Result};
use crate::formats;
use crate::gpu::{Buffer, Gpu};
use crate::ops::Matrix;
use crate::platform;
use crate::quantize::{Planned, converted};

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
    /// Queries, keys, values.
    pub qkv: [Linear; 3],
    /// Attention's output.
    pub attn_output: Linear,
    /// RMSNorm before the feed-forward network.
    pub ffn_norm: Buffer,
    /// Gate and up.
    pub gate_up: [Linear; 2],
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
    /// Streams every tensor from the source to the device, one at a time, so that the host holds
    /// no more than one of them twice. With a recipe, matrices are put into its formats on the way.
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

impl Loader<'_> {
    async fn decoder(&mut self, t: &DecoderTensors<'_>, config: &ModelConfig) -> Result<Weights> {
        let head = if config.tied_head { None } else { Some(self.matrix(t.output).await?) };
        let embedding = self.matrix(t.token_embd).await?;
        let mut layers = Vec::with_capacity(t.layers.len());
        for layer in &t.layers {
            layers.push(self.layer(layer).await?);
        }
        let norm = self.vector(t.output_norm).await?;
        let rope_factors = match t.rope_freqs {
            Some(factors) => Some(self.values(factors).await?),
            None => None,
        };
        Ok(Weights { embedding, layers, norm, head, rope_factors })
    }

    async fn layer(&mut self, t: &LayerTensors<'_>) -> Result<Layer> {
        Ok(Layer {
            attn_norm: self.vector(t.attn_norm).await?,
            qkv: [
                self.linear(&t.attn_q).await?,
                self.linear(&t.attn_k).await?,
                self.linear(&t.attn_v).await?,
            ],
            attn_output: self.linear(&t.attn_output).await?,
            ffn_norm: self.vector(t.ffn_norm).await?,
            gate_up: [self.linear(&t.ffn_gate).await?, self.linear(&t.ffn_up).await?],
            down: self.linear(&t.ffn_down).await?,
        })
    }

    async fn linear(&mut self, t: &LinearTensors<'_>) -> Result<Linear> {
        let weight = self.matrix(t.weight).await?;
        let bias = match t.bias {
            Some(bias) => Some(self.vector(bias).await?),
            None => None,
        };
        Ok(Linear { weight, bias })
    }

    async fn matrix(&mut self, t: &TensorInfo) -> Result<Matrix> {
        self.check_wanted()?;
        let size = |i: usize| t.shape.get(i).map_or(1, |&n| n as usize);
        let shape = (size(1), size(0));
        let (format, bytes) = match self.options.recipe {
            Some(recipe) => {
                let planned = Planned::new(t, recipe)?;
                (planned.format(), converted(self.source, &planned).await?.into())
            }
            None => {
                let bytes = self.source.read(t.offset, t.bytes as usize).await?;
                check_finite(t, &bytes)?;
                (t.format()?, bytes)
            }
        };
        let matrix = Matrix::upload(self.gpu, &t.name, format, shape, &bytes).await?;
        drop(bytes);
        self.uploaded(t).await?;
        Ok(matrix)
    }

    /// A norm or a bias, as f32 whatever it is stored in.
    async fn vector(&mut self, t: &TensorInfo) -> Result<Buffer> {
        let values = self.values(t).await?;
        Buffer::from_slice(self.gpu, &t.name, &values).await
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

/// A NaN among the weights, or a scale that makes one, would only show as a NaN in the logits.
fn check_finite(t: &TensorInfo, bytes: &[u8]) -> Result<()> {
    let found = formats::first_not_finite(t.format()?, t.row_len() as usize, bytes)?;
    found.map_or(Ok(()), |found| Err(not_finite(t, found)))
}

fn not_finite(t: &TensorInfo, (row, column, value): (usize, usize, f32)) -> Error {
    Error::WeightNotFinite { tensor: t.name.clone(), row, column, value }
}
