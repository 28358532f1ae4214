//! The tensor types of ggml, known by number and name so that a file can be listed and a type that
//! we cannot decode can be named. What can be decoded is [`FORMATS`](crate::formats::FORMATS)'s
//! business.

use std::borrow::Cow;

/// A tensor type as ggml defines it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorType {
    /// The number in a file.
    pub id: u32,
    /// ggml's name.
    pub name: &'static str,
    /// Weights in a block and its bytes; `None` for types that ggml has withdrawn.
    pub block: Option<(u64, u64)>,
}

const fn new(id: u32, name: &'static str, len: u64, bytes: u64) -> TensorType {
    TensorType { id, name, block: Some((len, bytes)) }
}

const fn withdrawn(id: u32, name: &'static str) -> TensorType {
    TensorType { id, name, block: None }
}

/// `enum ggml_type` (ggml.h) with the block sizes of ggml-common.h.
pub static TENSOR_TYPES: &[TensorType] = &[
    new(0, "F32", 1, 4),
    new(1, "F16", 1, 2),
    new(2, "Q4_0", 32, 18),
    new(3, "Q4_1", 32, 20),
    withdrawn(4, "Q4_2"),
    withdrawn(5, "Q4_3"),
    new(6, "Q5_0", 32, 22),
    new(7, "Q5_1", 32, 24),
    new(8, "Q8_0", 32, 34),
    new(9, "Q8_1", 32, 36), // two f16 and 32 i8; never stored in a file
    new(10, "Q2_K", 256, 84),
    new(11, "Q3_K", 256, 110),
    new(12, "Q4_K", 256, 144),
    new(13, "Q5_K", 256, 176),
    new(14, "Q6_K", 256, 210),
    new(15, "Q8_K", 256, 292),
    new(16, "IQ2_XXS", 256, 66),
    new(17, "IQ2_XS", 256, 74),
    new(18, "IQ3_XXS", 256, 98),
    new(19, "IQ1_S", 256, 50),
    new(20, "IQ4_NL", 32, 18),
    new(21, "IQ3_S", 256, 110),
    new(22, "IQ2_S", 256, 82),
    new(23, "IQ4_XS", 256, 136),
    new(24, "I8", 1, 1),
    new(25, "I16", 1, 2),
    new(26, "I32", 1, 4),
    new(27, "I64", 1, 8),
    new(28, "F64", 1, 8),
    new(29, "IQ1_M", 256, 56),
    new(30, "BF16", 1, 2),
    withdrawn(31, "Q4_0_4_4"),
    withdrawn(32, "Q4_0_4_8"),
    withdrawn(33, "Q4_0_8_8"),
    new(34, "TQ1_0", 256, 54),
    new(35, "TQ2_0", 256, 66),
    withdrawn(36, "IQ4_NL_4_4"),
    withdrawn(37, "IQ4_NL_4_8"),
    withdrawn(38, "IQ4_NL_8_8"),
    new(39, "MXFP4", 32, 17),
    new(40, "NVFP4", 64, 36),
    new(41, "Q1_0", 128, 18),
];

/// The type with this number, if ggml has it.
pub fn tensor_type(id: u32) -> Option<&'static TensorType> {
    TENSOR_TYPES.iter().find(|t| t.id == id)
}

/// The type's name, or `number 99` where it has none.
pub fn type_name(id: u32) -> Cow<'static, str> {
    match tensor_type(id) {
        Some(known) => Cow::Borrowed(known.name),
        None => Cow::Owned(format!("number {id}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::FORMATS;

    #[test]
    fn ids_are_unique_and_ascending() {
        assert!(TENSOR_TYPES.windows(2).all(|w| w[0].id < w[1].id));
    }

    #[test]
    fn every_format_agrees_with_ggml() {
        for format in FORMATS {
            let Some(id) = format.gguf_type() else { continue };
            let known = tensor_type(id).unwrap();
            assert!(known.name.eq_ignore_ascii_case(format.name()), "{known:?}");
            let block = (format.block_len() as u64, format.block_bytes() as u64);
            assert_eq!(known.block, Some(block), "{}", known.name);
        }
    }
}
