//! Flags that several subcommands share.

use std::fs::File;
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use mantissa::formats::{self, FormatRef};
use mantissa::gpu::{GpuOptions, Without};
use mantissa::model::sampler::SamplerOptions;
use mantissa::model::{Activations, GenerateOptions};
use mantissa::ops::kv::can_hold;

/// Which GPU, and how much of it.
#[derive(Args, Clone)]
#[command(next_help_heading = "GPU")]
pub struct GpuArgs {
    /// Use the adapter whose name or driver contains NAME, in any case (see `mantissa devices`)
    #[arg(long, value_name = "NAME")]
    pub adapter: Option<String>,

    /// Leave capabilities of the adapter unused, to try what replaces them
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub without: Vec<Capability>,
}

/// A capability that can be left unused.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// 16-bit floats in shaders
    F16,
    /// Subgroup operations in shaders
    Subgroups,
    /// Limits above WebGPU's defaults, such as bindings over 128 MiB
    Limits,
}

impl GpuArgs {
    /// As the library wants it.
    pub fn options(&self) -> GpuOptions {
        let without = |c| self.without.contains(&c);
        GpuOptions {
            adapter: self.adapter.clone(),
            without: Without {
                f16: without(Capability::F16),
                subgroups: without(Capability::Subgroups),
                limits: without(Capability::Limits),
            },
            ..GpuOptions::default()
        }
    }
}

/// Which model, and how it is run.
#[derive(Args, Clone)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// A GGUF or safetensors file, or the folder of a Hugging Face model [default:
    /// SmolLM2-135M-Instruct, fetched once and kept in the cache folder]
    #[arg(long, value_name = "FILE|FOLDER")]
    pub model: Option<PathBuf>,

    /// Tokens that the KV cache can hold [default: what the model was trained for, up to
    /// 2048]
    #[arg(long, value_name = "N")]
    pub context: Option<NonZeroUsize>,

    /// Tokens of a prompt that are processed at a time; a larger chunk is faster and takes more
    /// memory
    #[arg(long, value_name = "N", default_value = "128")]
    pub chunk: NonZeroUsize,

    /// Number format of the KV cache: f32, f16, q8_0 or any other that a device encodes row by row
    #[arg(long, value_name = "FORMAT", default_value = "f32", value_parser = cache_format)]
    pub kv_cache: FormatRef,

    /// What activations are rounded to before they are multiplied with weights: q8 is less accurate,
    /// and half as fast on software drivers (what it does on a GPU is for `mantissa bench` to tell)
    #[arg(long, value_enum, default_value_t = ActivationsArg::F32)]
    pub activations: ActivationsArg,

    /// Do not use what `mantissa tune` measured on this adapter
    #[arg(long)]
    pub no_tune: bool,
}

/// What activations are rounded to.
#[derive(ValueEnum, serde::Serialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum ActivationsArg {
    /// Nothing
    F32,
    /// Signed bytes with a scale per 32, for Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, MXFP4, Q4_K and Q6_K
    Q8,
}

impl From<ActivationsArg> for Activations {
    fn from(arg: ActivationsArg) -> Self {
        match arg {
            ActivationsArg::F32 => Self::F32,
            ActivationsArg::Q8 => Self::Q8,
        }
    }
}

/// How a token is chosen.
#[derive(Args, Clone)]
#[command(next_help_heading = "Sampling")]
pub struct SamplingArgs {
    /// 0 always takes the likeliest token; higher is more random
    #[arg(long, value_name = "T", default_value_t = 0.0, value_parser = non_negative, allow_negative_numbers = true)]
    pub temperature: f32,

    /// Choose among the K likeliest tokens; 0 among all
    #[arg(long, value_name = "K", default_value_t = 40)]
    pub top_k: usize,

    /// Choose among the likeliest tokens that together have this probability
    #[arg(long, value_name = "P", default_value_t = 0.95, value_parser = share, allow_negative_numbers = true)]
    pub top_p: f32,

    /// Leave out tokens less likely than P times the likeliest
    #[arg(long, value_name = "P", default_value_t = 0.05, value_parser = probability, allow_negative_numbers = true)]
    pub min_p: f32,

    /// Make recent tokens less likely; 1 does nothing
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = positive, allow_negative_numbers = true)]
    pub repeat_penalty: f32,

    /// How many recent tokens the penalty looks at
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub repeat_last_n: usize,

    /// The same seed draws the same tokens
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

impl SamplingArgs {
    /// As the library wants it.
    pub fn options(&self) -> SamplerOptions {
        SamplerOptions {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            repeat_penalty: self.repeat_penalty,
            repeat_last_n: self.repeat_last_n,
            seed: self.seed,
        }
    }
}

/// How tokens are computed, which changes nothing about what they are.
#[derive(Args, Clone)]
#[command(next_help_heading = "Decoding")]
pub struct DecodingArgs {
    /// Tokens that may be on the device at once, each fed to the next without the host; 1 waits for
    /// each. With a repetition penalty, or without a limit on --top-k, the host chooses one by one
    /// [default: 2 on a GPU, 1 on a software driver]
    #[arg(long, value_name = "N")]
    pub in_flight: Option<NonZeroUsize>,

    /// Guess up to N tokens from what followed the last ones before, and compute them in one step;
    /// the text stays the same, and comes faster where it repeats the prompt or itself. Only at
    /// temperature 0 [default: none]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub lookup: usize,
}

impl DecodingArgs {
    /// As the library wants it.
    pub fn apply(&self, options: GenerateOptions) -> GenerateOptions {
        let in_flight = self.in_flight.map_or(options.in_flight, NonZeroUsize::get);
        GenerateOptions { in_flight, lookup: self.lookup, ..options }
    }
}

/// A number format by its name.
pub fn format(name: &str) -> Result<FormatRef, String> {
    formats::by_name(name).map_err(|e| e.to_string())
}

/// A number format that a KV cache can be in.
fn cache_format(name: &str) -> Result<FormatRef, String> {
    let format = format(name)?;
    if can_hold(format) {
        return Ok(format);
    }
    let fit: Vec<_> = formats::FORMATS.iter().filter(|f| can_hold(**f)).map(|f| f.name()).collect();
    Err(format!("a device cannot append to it; these work: {}, and the families", fit.join(", ")))
}

/// A place for a chart. It is written after minutes of measuring, and a model's name is soon typed
/// where the chart's should stand: a file that is no chart is not written over.
pub fn chart_path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if !path.is_file() {
        return Ok(path);
    }
    let mut start = Vec::new();
    let file = File::open(&path).map_err(|error| error.to_string())?;
    file.take(4).read_to_end(&mut start).map_err(|error| error.to_string())?;
    match &start[..] {
        b"" | b"<svg" | b"<?xm" => Ok(path),
        _ => Err("the file is there and is no SVG; name another, or delete it".into()),
    }
}

fn non_negative(text: &str) -> Result<f32, String> {
    number(text, |x| x >= 0.0, "0 or more")
}

fn positive(text: &str) -> Result<f32, String> {
    number(text, |x| x > 0.0, "more than 0")
}

fn probability(text: &str) -> Result<f32, String> {
    number(text, |x| (0.0..=1.0).contains(&x), "from 0 to 1")
}

fn share(text: &str) -> Result<f32, String> {
    number(text, |x| x > 0.0 && x <= 1.0, "above 0 and at most 1")
}

fn number(text: &str, good: impl Fn(f32) -> bool, wanted: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(x) if x.is_finite() && good(x) => Ok(x),
        _ => Err(format!("must be a number, {wanted}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_outside_their_range_are_refused() {
        for bad in ["nan", "inf", "-0.1", "x", ""] {
            assert!(non_negative(bad).is_err(), "{bad}");
            assert!(probability(bad).is_err(), "{bad}");
        }
        assert!(probability("1.01").is_err() && positive("0").is_err() && share("0").is_err());
        assert_eq!((non_negative("0"), probability("1")), (Ok(0.0), Ok(1.0)));
    }
}
