//! Number formats without a GPU: values and bytes against the `gguf` package's
//! and others' (`tests/golden/make_*.py`), the layout and its inverse, the WGSL parts as far as naga goes.

mod docs;
mod golden;
mod layout;
mod minifloat;
mod shaders;

use mantissa::Error;
use mantissa::formats::{
    FAMILIES, FORMATS, RowScale, all, by_gguf_type, by_name, decode_row, encode_row, row_bytes,
};

#[test]
fn names_and_types_lead_back_to_their_format() {
    let mut names = std::collections::HashSet::new();
    for format in all() {
        assert!(names.insert(format.name()), "{} twice", format.name());
        let upper = format.name().to_uppercase();
        assert_eq!(by_name(&upper).unwrap().name(), format.name());
        if let Some(id) = format.gguf_type() {
            assert_eq!(by_gguf_type(id).unwrap().name(), format.name());
            assert_eq!(format.row_scale(), RowScale::None, "GGUF has none");
        }
    }
    for family in FAMILIES {
        for name in family.aliases.iter().map(|(_, member)| member).chain(family.samples) {
            assert!(names.contains(name), "{name} is no member of {}", family.name);
        }
    }
    // ggml.h: GGML_TYPE_Q4_2 was removed, 4096 never was.
    assert!(by_gguf_type(4).is_none() && by_gguf_type(4096).is_none());
}

#[test]
fn an_unknown_name_is_an_error_that_lists_the_known_ones() {
    for name in ["", "q4_2", "q4_1 ", "q4-1"] {
        let error = by_name(name).unwrap_err();
        assert!(matches!(&error, Error::UnknownFormat { name: n, .. } if n == name));
        let text = error.to_string();
        assert!(FORMATS.iter().all(|f| text.contains(f.name())), "{text}");
        assert!(FAMILIES.iter().all(|f| text.contains(f.grammar)), "{text}");
    }
}

#[test]
fn rows_that_are_not_whole_blocks_are_refused() {
    for format in all() {
        let (len, block) = (format.block_len(), format.block_bytes());
        let header = format.row_scale().bytes();
        let size = |blocks: usize| header + blocks * block;
        assert_eq!(row_bytes(format, 3 * len), Some(size(3)));
        if block > len {
            assert_eq!(row_bytes(format, usize::MAX / len * len), None);
        }
        let (row, weights) = (vec![0; size(3)], vec![0.0; 3 * len]);
        decode_row(format, &row, &mut weights.clone()).unwrap();
        encode_row(format, &weights, &mut row.clone()).unwrap();
        for (bytes, k) in [(size(3) - 1, 3 * len), (size(3), 2 * len), (0, len), (header + 1, 0)] {
            let wrong = decode_row(format, &vec![0; bytes], &mut vec![0.0; k]);
            assert!(matches!(wrong, Err(Error::Shape { op: "decode_row", .. })));
            let wrong = encode_row(format, &vec![0.0; k], &mut vec![0; bytes]);
            assert!(matches!(wrong, Err(Error::Shape { op: "encode_row", .. })));
        }
        if len > 1 {
            assert_eq!(row_bytes(format, 3 * len + 1), None);
        }
    }
}
