//! `mantissa inspect`: what a model file holds.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use mantissa::model::gguf::{Gguf, TensorInfo, Value, type_name};
use serde::Serialize;

use crate::output::{self, table};

/// The flags of `inspect`.
#[derive(clap::Args)]
pub struct Args {
    /// A GGUF file
    #[arg(value_name = "FILE")]
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
    version: u32,
    alignment: u32,
    data_offset: u64,
    metadata: BTreeMap<&'a str, &'a Value>,
    tensors: Vec<Tensor<'a>>,
}

#[derive(Serialize)]
struct Tensor<'a> {
    name: &'a str,
    /// The contiguous axis first, as in the file.
    shape: &'a [u64],
    r#type: String,
    type_id: u32,
    offset: u64,
    bytes: u64,
}

/// Prints the file's metadata and tensors.
pub async fn run(args: Args) -> Result<()> {
    let source = mantissa::platform::open(&args.file)?;
    let gguf = Gguf::read(&*source).await?;
    if args.json {
        return output::json(&report(&gguf, source.name(), source.len()));
    }
    let Gguf { version, alignment, .. } = &gguf;
    let (values, tensors) = (gguf.metadata.len(), gguf.tensors.len());
    let size = megabytes(source.len());
    output::line(format_args!(
        "{}: GGUF {version}, {size}, alignment {alignment}, {values} values, {tensors} tensors\n",
        source.name(),
    ))?;
    output::line(metadata_table(&gguf))?;
    output::line("")?;
    output::line(tensor_table(&gguf.tensors))?;
    Ok(())
}

fn report<'a>(gguf: &'a Gguf, name: &str, bytes: u64) -> Report<'a> {
    let tensor = |t: &'a TensorInfo| Tensor {
        name: &t.name,
        shape: &t.shape,
        r#type: type_name(t.type_id).into_owned(),
        type_id: t.type_id,
        offset: t.offset,
        bytes: t.bytes,
    };
    Report {
        file: name.to_owned(),
        bytes,
        version: gguf.version,
        alignment: gguf.alignment,
        data_offset: gguf.data_offset,
        metadata: gguf.metadata.iter().collect(),
        tensors: gguf.tensors.iter().map(tensor).collect(),
    }
}

fn metadata_table(gguf: &Gguf) -> String {
    let mut table = table(&["key", "type", "value"], &[]);
    for (key, value) in gguf.metadata.iter() {
        table.add_row([key.to_owned(), value.type_name(), value.to_string()]);
    }
    table.trim_fmt()
}

fn tensor_table(tensors: &[TensorInfo]) -> String {
    let mut table = table(&["tensor", "shape", "type", "bytes", "offset"], &[3, 4]);
    for t in tensors {
        let shape = t.shape.iter().map(u64::to_string).collect::<Vec<_>>().join(" × ");
        let kind = type_name(t.type_id).into_owned();
        table.add_row([t.name.clone(), shape, kind, t.bytes.to_string(), t.offset.to_string()]);
    }
    table.trim_fmt()
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
