//! Number formats without a GPU: values and bytes against the `gguf` package's
//! (`tests/golden/make_formats.py`), the layout and its inverse, the WGSL parts as far as naga goes.

mod golden;
mod layout;
mod shaders;

use mantissa::Error;
use mantissa::formats::{FORMATS, by_gguf_type, by_name, decode_row, encode_row, row_bytes};

#[test]
fn names_and_types_lead_back_to_their_format() {
    for format in FORMATS {
        let upper = format.name().to_uppercase();
        assert_eq!(by_name(&upper).unwrap().name(), format.name());
        let id = format.gguf_type().unwrap();
        assert_eq!(by_gguf_type(id).unwrap().name(), format.name());
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
    }
}

#[test]
fn rows_that_are_not_whole_blocks_are_refused() {
    for &format in FORMATS {
        let (len, size) = (format.block_len(), format.block_bytes());
        assert_eq!(row_bytes(format, 3 * len), Some(3 * size));
        if size > len {
            assert_eq!(row_bytes(format, usize::MAX / len * len), None);
        }
        let (row, weights) = (vec![0; 3 * size], vec![0.0; 3 * len]);
        decode_row(format, &row, &mut weights.clone()).unwrap();
        encode_row(format, &weights, &mut row.clone()).unwrap();
        for (bytes, k) in [(3 * size - 1, 3 * len), (3 * size, 2 * len), (0, len), (1, 0)] {
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
