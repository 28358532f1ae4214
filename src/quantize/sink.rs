//! Where converted tensors go.

use std::io::Write;
use std::path::Path;

use super::{Plan, Planned};
use crate::error::{Error, Result};
use crate::model::gguf::{self, Metadata, Value};
use crate::model::safetensors;

/// A file that takes the tensors' data, in the plan's order.
pub trait Sink {
    /// Takes the next bytes of the tensor whose turn it is.
    ///
    /// # Errors
    /// [`Error::Io`] where writing fails.
    fn data(&mut self, bytes: &[u8]) -> Result<()>;

    /// Ends the file.
    ///
    /// # Errors
    /// As [`data`](Self::data), and [`Error::Malformed`] where data are missing.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// The kinds of file that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// As llama.cpp reads it; only formats with a GGUF type.
    Gguf,
    /// Mantissa's own safetensors, which hold any format.
    Safetensors,
}

impl FileKind {
    /// The kind that a file of this name is to be, by its extension.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] where it has none of those.
    pub fn of(path: &Path) -> Result<Self> {
        let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        match extension.as_deref() {
            Some("gguf") => Ok(Self::Gguf),
            Some("safetensors") => Ok(Self::Safetensors),
            _ => Err(Error::InvalidOption {
                name: "the output file",
                value: path.display().to_string(),
                allowed: "called *.gguf or *.safetensors",
            }),
        }
    }

    /// Makes sure that every format of the plan has a place in such a file.
    ///
    /// # Errors
    /// [`Error::NoPlace`] with the first tensor that has none.
    pub fn check(self, plan: &Plan) -> Result<()> {
        match self {
            Self::Gguf => plan.tensors.iter().try_for_each(|t| gguf_type(t).map(drop)),
            Self::Safetensors => Ok(()),
        }
    }

    /// Brings the plan into the order that suits such a file: safetensors know no padding, so that
    /// values of 4 bytes come first and what need not be aligned last.
    pub fn arrange(self, plan: &mut Plan) {
        let alignment = |t: &Planned| match t.format().block_len() {
            1 => t.format().block_bytes(),
            _ => 1,
        };
        if self == Self::Safetensors {
            plan.tensors.sort_by_key(|t| std::cmp::Reverse(alignment(t)));
        }
    }

    /// Writes the header of such a file, called `name` in messages.
    ///
    /// # Errors
    /// As [`check`](Self::check); [`Error::Io`] where writing fails.
    pub fn sink<'w, W: Write + 'w>(
        self,
        name: &str,
        metadata: &Metadata,
        plan: &Plan,
        out: W,
    ) -> Result<Box<dyn Sink + 'w>> {
        let metadata = quantized(metadata, plan);
        match self {
            Self::Gguf => {
                let mut writer = gguf::Writer::new(name);
                for (key, value) in metadata.iter() {
                    writer.set(key, value.clone())?;
                }
                for t in &plan.tensors {
                    writer.tensor(&t.tensor.name, &t.tensor.shape, gguf_type(t)?)?;
                }
                Ok(Box::new(writer.begin(out)?))
            }
            Self::Safetensors => {
                let mut writer = safetensors::Writer::new(name);
                writer.metadata(&metadata)?;
                for t in &plan.tensors {
                    writer.tensor(&t.tensor.name, &t.tensor.shape, t.format())?;
                }
                Ok(Box::new(writer.begin(out)?))
            }
        }
    }
}

impl<W: Write> Sink for safetensors::DataWriter<W> {
    fn data(&mut self, bytes: &[u8]) -> Result<()> {
        self.data(bytes)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        (*self).finish().map(drop)
    }
}

impl<W: Write> Sink for gguf::DataWriter<W> {
    fn data(&mut self, bytes: &[u8]) -> Result<()> {
        self.piece(bytes)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        (*self).finish().map(drop)
    }
}

fn gguf_type(planned: &Planned) -> Result<u32> {
    planned.format().gguf_type().ok_or_else(|| Error::NoPlace {
        tensor: planned.tensor.name.clone(),
        format: planned.format().name().into(),
        file: "a GGUF file".into(),
    })
}

/// `general.file_type` by the format that most weights have (`enum llama_ftype` in llama.h). Where
/// llama.cpp has mixtures of several sizes, the one with the least mixing.
const FILE_TYPES: &[(&str, u32)] = &[
    ("f32", 0),
    ("f16", 1),
    ("q4_0", 2),
    ("q4_1", 3),
    ("q8_0", 7),
    ("q5_0", 8),
    ("q5_1", 9),
    ("q2_k", 10),
    ("q3_k", 11),
    ("q4_k", 14),
    ("q5_k", 16),
    ("q6_k", 18),
    ("iq2_xxs", 19),
    ("iq2_xs", 20),
    ("iq3_xxs", 23),
    ("iq1_s", 24),
    ("iq4_nl", 25),
    ("iq3_s", 26),
    ("iq2_s", 28),
    ("iq4_xs", 30),
    ("iq1_m", 31),
    ("bf16", 32),
    ("tq1_0", 36),
    ("tq2_0", 37),
    ("mxfp4", 38),
    ("nvfp4", 39),
];

const FILE_TYPE: &str = "general.file_type";
const QUANTIZATION_VERSION: &str = "general.quantization_version";

/// The version of GGUF's block formats, `GGML_QNT_VERSION` in ggml.h.
const QNT_VERSION: u32 = 2;

/// The metadata, with what it says about the formats brought up to date.
fn quantized(metadata: &Metadata, plan: &Plan) -> Metadata {
    let about_formats = |key: &str| key == FILE_TYPE || key == QUANTIZATION_VERSION;
    let mut quantized = Metadata::default();
    let mut set = |key: &str, value| {
        // Keys are those of metadata, and two more that were left out: each is there once.
        let _ = quantized.insert(key.into(), value);
    };
    let kept = metadata.iter().filter(|(key, _)| !about_formats(key));
    kept.for_each(|(key, value)| set(key, value.clone()));
    let prevailing = plan.prevailing();
    let known = FILE_TYPES.iter().find(|(name, _)| prevailing.is_some_and(|f| f.name() == *name));
    if let Some((_, file_type)) = known {
        set(FILE_TYPE, Value::U32(*file_type));
    }
    set(QUANTIZATION_VERSION, Value::U32(QNT_VERSION));
    quantized
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::by_name;
    use crate::model::{TensorInfo, TensorKind};
    use crate::quantize::Recipe;

    /// A matrix and a vector in f32.
    fn plan(format: &str) -> Plan {
        let kind = TensorKind::Format(by_name("f32").unwrap());
        let tensor = |name: &str, shape: &[u64]| {
            let (name, shape) = (name.to_owned(), shape.to_vec());
            TensorInfo { name, shape, kind: kind.clone(), type_id: None, offset: 0, bytes: 4 }
        };
        let tensors = [tensor("matrix.weight", &[64, 2]), tensor("norm.weight", &[64])];
        Plan::new(&tensors, &Recipe::new(by_name(format).unwrap())).unwrap()
    }

    #[test]
    fn a_gguf_has_no_place_for_some_formats() {
        FileKind::Gguf.check(&plan("q4_0")).unwrap();
        FileKind::Safetensors.check(&plan("nf4")).unwrap();
        let error = FileKind::Gguf.check(&plan("nf4")).unwrap_err().to_string();
        for word in ["matrix.weight", "nf4", "GGUF", ".safetensors"] {
            assert!(error.contains(word), "{word}: {error}");
        }
    }

    #[test]
    fn safetensors_begin_with_what_must_be_aligned() {
        let mut plan = plan("q4_0");
        let names = |plan: &Plan| plan.tensors[0].tensor.name.clone();
        FileKind::Gguf.arrange(&mut plan);
        assert_eq!(names(&plan), "matrix.weight");
        FileKind::Safetensors.arrange(&mut plan);
        assert_eq!(names(&plan), "norm.weight");
    }

    #[test]
    fn what_was_said_about_formats_is_said_anew() {
        let mut old = Metadata::default();
        for (key, value) in
            [("general.file_type", 7), ("a", 1), ("general.quantization_version", 1)]
        {
            old.insert(key.into(), Value::U32(value)).unwrap();
        }
        let new = quantized(&old, &plan("q4_0"));
        let values: Vec<_> = new.iter().map(|(key, v)| (key, v.as_u64().unwrap())).collect();
        assert_eq!(
            values,
            [("a", 1), ("general.file_type", 2), ("general.quantization_version", 2)]
        );
        assert!(quantized(&old, &plan("nf4")).get("general.file_type").is_none());
    }

    #[test]
    fn the_extension_says_which_file() {
        for good in ["a.gguf", "dir/b.GGUF", "a.b.gguf"] {
            assert_eq!(FileKind::of(Path::new(good)).unwrap(), FileKind::Gguf);
        }
        let safetensors = FileKind::of(Path::new("a.gguf.safetensors")).unwrap();
        assert_eq!(safetensors, FileKind::Safetensors);
        for bad in ["a", "a.bin", "gguf", ".gguf", "", "dir/"] {
            let error = FileKind::of(Path::new(bad)).unwrap_err().to_string();
            assert!(error.contains("*.gguf"), "{bad}: {error}");
        }
    }
}
