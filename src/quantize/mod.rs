//! How weights become a format: a [`Recipe`] says which, a [`Plan`] what that means for each tensor
//! of a model, and a [`Conversion`] streams the tensors from a file through the encoder to a
//! [`Sink`]. Every weight is rounded for itself, as its format's reference quantizer does.
//!
//! ```no_run
//! # async fn tour() -> mantissa::Result<()> {
//! use mantissa::formats;
//! use mantissa::model::Checkpoint;
//! use mantissa::quantize::{Conversion, FileKind, Plan, Recipe};
//!
//! let model = Checkpoint::open(mantissa::platform::open_model("model.gguf")?).await?;
//! let recipe = Recipe::new(formats::by_name("q8_0")?).with("attn_v=f16".parse()?);
//! let plan = Plan::new(&model.tensors, &recipe)?;
//! let file = std::fs::File::create("out.gguf").expect("a writable folder");
//! let sink = FileKind::Gguf.sink("out.gguf", &model.metadata, &plan, file)?;
//! let mut conversion = Conversion::new(&model, &plan, sink);
//! while let Some(_progress) = conversion.step().await? {}
//! let report = conversion.finish()?;
//! println!("{} bits per weight", report.total().bits_per_weight());
//! # Ok(())
//! # }
//! ```
//!
//! # Memory
//! A conversion holds some rows at a time, never a tensor: at most [`SLAB`] weights or one row, and
//! what they are encoded to. Of a mapped file, pages are given back once their rows are done.

mod convert;
mod plan;
mod recipe;
mod report;
mod rows;
mod sink;

pub use convert::{Conversion, Step};
pub use plan::{Fallback, Plan, Planned};
pub use recipe::{Because, Choice, Recipe, Rule};
pub use report::{Report, Summary, TensorReport};
pub use rows::SLAB;
pub use sink::{FileKind, Sink};

pub(crate) use convert::converted;
