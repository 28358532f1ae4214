//! `mantissa inspect`: what a model file holds.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use mantissa::model::checkpoint::{Checkpoint, Container, TensorInfo};
use mantissa::model::gguf::Value;
use serde::Serialize;

use crate::output::{self, table};

/// The flags of `inspect`.
#[derive(clap::Args)]
pub struct Args {
    /// A GGUF or safetensors file, or the folder of a Hugging Face model
    #[arg(value_name = "FILE|FOLDER")]
    file: PathBuf,

    /// Print one JSON object, with every value whole
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    file: String,
    bytes: u64,
    container: &'static str,
    #[serde(flatten)]
    details: Details<'a>,
    /// Over all tensors.
    bits_per_weight: f64,
    metadata: BTreeMap<&'a str, &'a Value>,
    tensors: Vec<Tensor<'a>>,
}

/// What only one kind of container has.
#[derive(Default, Serialize)]
struct Details<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alignment: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_offset: Option<u64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    shards: &'a [String],
}

#[derive(Serialize)]
struct Tensor<'a> {
    name: &'a str,
    /// The contiguous axis first, as in the file.
    shape: &'a [u64],
    r#type: String,
    /// The type's number in GGUF, where the file is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    type_id: Option<u32>,
    offset: u64,
    bytes: u64,
}

/// Prints the file's metadata and tensors.
pub async fn run(args: Args) -> Result<()> {
    let files = mantissa::platform::open_model(&args.file)?;
    let name = files.name().to_owned();
    let checkpoint = Checkpoint::open(files).await?;
    if args.json {
        return output::json(&report(&checkpoint, name));
    }
    let (values, tensors) = (checkpoint.metadata.len(), checkpoint.tensors.len());
    let size = megabytes(checkpoint.source().len());
    let container = describe(&checkpoint.container);
    output::line(format_args!(
        "{name}: {container}, {size}, {values} values, {tensors} tensors, {:.3} bits per weight\n",
        bits_per_weight(&checkpoint.tensors)
    ))?;
    output::line(metadata_table(&checkpoint))?;
    output::line("")?;
    output::line(tensor_table(&checkpoint.tensors))?;
    Ok(())
}

fn describe(container: &Container) -> String {
    match container {
        Container::Gguf { version, alignment, .. } => {
            format!("GGUF {version}, alignment {alignment}")
        }
        Container::HuggingFace { shards } => {
            format!("{}, {} file(s) of tensors", container.name(), shards.len())
        }
        other => other.name().to_owned(),
    }
}

fn report(checkpoint: &Checkpoint, file: String) -> Report<'_> {
    let details = match &checkpoint.container {
        Container::Gguf { version, alignment, data_offset } => Details {
            version: Some(*version),
            alignment: Some(*alignment),
            data_offset: Some(*data_offset),
            ..Details::default()
        },
        Container::Mantissa { data_offset } => {
            Details { data_offset: Some(*data_offset), ..Details::default() }
        }
        Container::HuggingFace { shards } => Details { shards, ..Details::default() },
        _ => Details::default(),
    };
    Report {
        file,
        bytes: checkpoint.source().len(),
        container: checkpoint.container.name(),
        details,
        bits_per_weight: bits_per_weight(&checkpoint.tensors),
        metadata: checkpoint.metadata.iter().collect(),
        tensors: checkpoint.tensors.iter().map(tensor).collect(),
    }
}

/// 0 for a file without tensors.
fn bits_per_weight(tensors: &[TensorInfo]) -> f64 {
    let bits: f64 = tensors.iter().map(|t| 8.0 * t.bytes as f64).sum();
    let weights: f64 = tensors.iter().map(|t| t.elements() as f64).sum();
    if weights > 0.0 { bits / weights } else { 0.0 }
}

fn tensor(t: &TensorInfo) -> Tensor<'_> {
    Tensor {
        name: &t.name,
        shape: &t.shape,
        r#type: t.type_name().into_owned(),
        type_id: t.type_id,
        offset: t.offset,
        bytes: t.bytes,
    }
}

fn metadata_table(checkpoint: &Checkpoint) -> String {
    let mut table = table(&["key", "type", "value"], &[]);
    for (key, value) in checkpoint.metadata.iter() {
        table.add_row([key.to_owned(), value.type_name(), value.to_string()]);
    }
    table.trim_fmt()
}

fn tensor_table(tensors: &[TensorInfo]) -> String {
    let mut table = table(&["tensor", "shape", "type", "bytes", "offset"], &[3, 4]);
    for t in tensors {
        let shape = t.shape.iter().map(u64::to_string).collect::<Vec<_>>().join(" × ");
        let kind = t.type_name().into_owned();
        table.add_row([t.name.clone(), shape, kind, t.bytes.to_string(), t.offset.to_string()]);
    }
    table.trim_fmt()
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
