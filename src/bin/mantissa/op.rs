//! `mantissa op`: one kernel on .npy files, to hold it against numpy.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use mantissa::formats::{self, FormatRef};
use mantissa::ops::{self, softmax};

use crate::args::{GpuArgs, format};
use crate::engine::open_gpu;
use crate::npy::{self, AnyArray};

/// The kernels that can be called.
#[derive(Subcommand)]
pub enum Command {
    /// Softmax over the last axis
    Softmax(Softmax),
    /// x · Wᵀ, with W in a number format
    Matmul(Matmul),
    /// Blocks to float32
    Dequantize(Dequantize),
    /// float32 to blocks
    Quantize(Quantize),
}

#[derive(Args)]
#[command(allow_negative_numbers = true)]
pub struct Softmax {
    /// float32, any shape
    #[arg(long = "in", value_name = "X.npy")]
    input: PathBuf,
    /// float32, the same shape
    #[arg(long, value_name = "Y.npy")]
    out: PathBuf,
    /// How the exponentials are summed
    #[arg(long, value_enum, default_value_t = Algorithm::TwoPass)]
    algorithm: Algorithm,
    /// Multiply the values first
    #[arg(long, value_name = "S", default_value_t = 1.0)]
    scale: f32,
    /// Divide the values first
    #[arg(long, value_name = "T", default_value_t = 1.0)]
    temperature: f32,
    /// float32, rows of as many columns, added to the scaled rows, again from the first when they end
    #[arg(long, value_name = "M.npy")]
    mask: Option<PathBuf>,
    /// Row i sees its first POSITION + i + 1 values only
    #[arg(long, value_name = "POSITION")]
    causal: Option<usize>,
    /// The logarithm of the softmax
    #[arg(long)]
    log: bool,
    /// Add in an order that does not depend on the adapter
    #[arg(long)]
    deterministic: bool,
    /// float32, one log-sum-exp per row
    #[arg(long, value_name = "L.npy")]
    log_sum_exp: Option<PathBuf>,
    #[command(flatten)]
    gpu: GpuArgs,
}

/// The algorithms of softmax.
#[derive(ValueEnum, Clone, Copy)]
enum Algorithm {
    /// Two passes over (mantissa, exponent) pairs
    TwoPass,
    /// Maximum, sum, quotient
    ThreePass,
    /// A sum relative to a running maximum, then the quotient
    Online,
}

#[derive(Args)]
pub struct Matmul {
    /// The format of the weights
    #[arg(long, value_name = "NAME", value_parser = format)]
    format: FormatRef,
    /// uint8 [N, bytes of a row's blocks], or float32 [N, K], which is quantized first
    #[arg(long, value_name = "W.npy")]
    weights: PathBuf,
    /// float32 [M, K]
    #[arg(long = "in", value_name = "X.npy")]
    input: PathBuf,
    /// float32 [M, N]
    #[arg(long, value_name = "Y.npy")]
    out: PathBuf,
    #[command(flatten)]
    gpu: GpuArgs,
}

#[derive(Args)]
pub struct Dequantize {
    /// The format of the blocks
    #[arg(long, value_name = "NAME", value_parser = format)]
    format: FormatRef,
    /// uint8 [rows, bytes of a row's blocks]
    #[arg(long = "in", value_name = "BLOCKS.npy")]
    input: PathBuf,
    /// float32 [rows, K]
    #[arg(long, value_name = "Y.npy")]
    out: PathBuf,
    #[command(flatten)]
    gpu: GpuArgs,
}

#[derive(Args)]
pub struct Quantize {
    /// The format of the blocks
    #[arg(long, value_name = "NAME", value_parser = format)]
    format: FormatRef,
    /// float32 [rows, K]
    #[arg(long = "in", value_name = "X.npy")]
    input: PathBuf,
    /// uint8 [rows, bytes of a row's blocks]
    #[arg(long, value_name = "BLOCKS.npy")]
    out: PathBuf,
    #[command(flatten)]
    gpu: GpuArgs,
}

/// Runs the kernel.
pub async fn run(command: Command) -> Result<()> {
    match command {
        Command::Softmax(args) => run_softmax(args).await,
        Command::Matmul(args) => matmul(args).await,
        Command::Dequantize(args) => dequantize(args).await,
        Command::Quantize(args) => quantize(args).await,
    }
}

async fn run_softmax(args: Softmax) -> Result<()> {
    if args.log_sum_exp.as_ref() == Some(&args.out) {
        bail!("--log-sum-exp and --out are one file, {}; name two", shown(&args.out));
    }
    let x = npy::read_f32(&args.input)?;
    let (_, columns) = x.rows_and_columns().with_context(|| shown(&args.input))?;
    let mask = args.mask.as_deref().map(|path| mask(path, columns)).transpose()?;
    let algorithm = match args.algorithm {
        Algorithm::TwoPass => softmax::Algorithm::TwoPass,
        Algorithm::ThreePass => softmax::Algorithm::ThreePass,
        Algorithm::Online => softmax::Algorithm::Online,
    };
    let options = softmax::Options {
        algorithm,
        scale: args.scale,
        temperature: args.temperature,
        causal: args.causal,
        log: args.log,
        deterministic: args.deterministic,
        ..Default::default()
    };
    let gpu = open_gpu(&args.gpu).await?;
    let (y, sums) = softmax::softmax_with(&gpu, &x.data, columns, mask.as_deref(), options).await?;
    if let Some(path) = &args.log_sum_exp {
        npy::write(path, &x.shape[..x.shape.len() - 1], &sums)?;
    }
    npy::write(&args.out, &x.shape, &y)
}

/// The values of a mask for rows of so many columns.
fn mask(path: &Path, columns: usize) -> Result<Vec<f32>> {
    let mask = npy::read_f32(path)?;
    let (_, found) = mask.rows_and_columns().with_context(|| shown(path))?;
    if found != columns {
        bail!("{}: rows of {found} do not fit rows of {columns}", shown(path));
    }
    Ok(mask.data)
}

async fn dequantize(args: Dequantize) -> Result<()> {
    let blocks = npy::read_u8(&args.input)?;
    let (rows, bytes) = blocks.matrix().with_context(|| shown(&args.input))?;
    let k = columns(args.format, bytes, &args.input)?;
    let gpu = open_gpu(&args.gpu).await?;
    let y = ops::dequantize::dequantize(&gpu, args.format, &blocks.data, (rows, k)).await?;
    npy::write(&args.out, &[rows, k], &y)
}

async fn quantize(args: Quantize) -> Result<()> {
    let x = npy::read_f32(&args.input)?;
    let (rows, k) = x.matrix().with_context(|| shown(&args.input))?;
    let bytes = row_bytes(args.format, k, &args.input)?;
    let gpu = open_gpu(&args.gpu).await?;
    let blocks = ops::quantize::quantize(&gpu, args.format, &x.data, k).await?;
    npy::write(&args.out, &[rows, bytes], &blocks)
}

async fn matmul(args: Matmul) -> Result<()> {
    let weights = npy::read(&args.weights)?;
    let x = npy::read_f32(&args.input)?;
    let (m, k) = x.matrix().with_context(|| shown(&args.input))?;
    let (n, weights_k) = match &weights {
        AnyArray::F32(w) => w.matrix().with_context(|| shown(&args.weights))?,
        AnyArray::U8(w) => {
            let (n, bytes) = w.matrix().with_context(|| shown(&args.weights))?;
            (n, columns(args.format, bytes, &args.weights)?)
        }
    };
    if weights_k != k {
        bail!(
            "{}: rows of {weights_k} weights do not fit {}: rows of {k}",
            shown(&args.weights),
            shown(&args.input)
        );
    }
    row_bytes(args.format, k, &args.weights)?;
    let gpu = open_gpu(&args.gpu).await?;
    let blocks = match weights {
        AnyArray::U8(w) => w.data,
        AnyArray::F32(w) => ops::quantize::quantize(&gpu, args.format, &w.data, k).await?,
    };
    let y = ops::matmul::matmul(&gpu, args.format, &blocks, (n, k), &x.data).await?;
    npy::write(&args.out, &[m, n], &y)
}

/// Weights in a row of blocks.
fn columns(format: FormatRef, bytes: usize, file: &Path) -> Result<usize> {
    let (block, scale) = (format.block_bytes(), format.row_scale().bytes());
    let blocks = bytes.checked_sub(scale).filter(|bytes| bytes.is_multiple_of(block));
    let Some(blocks) = blocks.map(|bytes| bytes / block) else {
        let behind = if scale > 0 { format!(" behind a scale of {scale}") } else { String::new() };
        let name = format.name();
        bail!("{}: {bytes} bytes are no whole {name} blocks of {block}{behind}", shown(file));
    };
    blocks.checked_mul(format.block_len()).context("too many weights")
}

/// Bytes of a row of `k` weights.
fn row_bytes(format: FormatRef, k: usize, file: &Path) -> Result<usize> {
    formats::row_bytes(format, k).with_context(|| {
        let (name, len) = (format.name(), format.block_len());
        format!("{}: {k} weights are no whole {name} blocks of {len}", shown(file))
    })
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
