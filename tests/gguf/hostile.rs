//! Files that break one rule each.

use mantissa::Error;
use mantissa::model::checkpoint::FileProblem;
use mantissa::model::gguf::{Gguf, GgufError, Writer};

use super::raw::{File, array, string, tensor, value};
use super::read;

#[path = "../shared/hostile.rs"]
mod shared;
use shared::{hostile, malformed};

#[track_caller]
fn problem(file: &[u8], names: &[&str]) -> GgufError {
    match malformed(read(file).map(drop).unwrap_err(), "test.gguf", names) {
        FileProblem::Gguf(problem) => problem,
        other => panic!("{other:?}"),
    }
}

const TYPE_U32: u32 = 4;
const TYPE_BOOL: u32 = 7;
const TYPE_STRING: u32 = 8;
const TYPE_ARRAY: u32 = 9;

const F32: u32 = 0;
const Q4_1: u32 = 3;
const Q4_K: u32 = 12;
const UNKNOWN: u32 = 1000;

fn versioned(version: [u8; 4]) -> Vec<u8> {
    File { version, ..File::default() }.build()
}

fn nested(depth: usize) -> Vec<u8> {
    (1..depth).fold(array(0, 1, &[5]), |inner, _| array(9, 1, &inner))
}

hostile! {
    wrong_magic: File { magic: *b"PK\x03\x04", ..File::default() }.build(),
        GgufError::Magic { found } if found == b"PK\x03\x04", ["PK\\x03\\x04", "GGUF"];
    big_endian: versioned(3u32.to_be_bytes()),
        GgufError::BigEndian { version: 3 }, ["big-endian", "convert"];
    version_1: versioned(1u32.to_le_bytes()), GgufError::Version { found: 1 }, ["version 1"];
    version_4: versioned(4u32.to_le_bytes()), GgufError::Version { found: 4 }, ["version 4", "2 and 3"];
    version_0: versioned([0; 4]), GgufError::Version { found: 0 }, ["version 0"];

    absurd_tensor_count: File { tensor_count: Some(u64::MAX), ..File::default() }.build(),
        GgufError::Count { what: "tensors", count: u64::MAX, .. }, ["tensors", "18446744073709551615"];
    absurd_value_count: File { value_count: Some(1 << 40), ..File::default() }.build(),
        GgufError::Count { what: "metadata values", room: 0, .. }, ["metadata values", "at most 0"];
    padding_read_as_a_value: File { value_count: Some(2), values: vec![value("k", TYPE_BOOL, &[1])], ..File::default() }.build(),
        GgufError::EmptyName { offset: 38, .. }, ["metadata key 1", "38"];
    padding_read_as_a_tensor: File { tensor_count: Some(1), data: 32, ..File::default() }.build(),
        GgufError::EmptyName { offset: 24, .. }, ["the name of tensor 0", "24"];

    absurd_string: File::with_values(&[value("key", TYPE_STRING, &u64::MAX.to_le_bytes())]),
        GgufError::Truncated { needed: u64::MAX, .. }, ["the value of \"key\""];
    absurd_array: File::with_values(&[value("key", TYPE_ARRAY, &array(TYPE_U32, 1 << 62, &[]))]),
        GgufError::Truncated { needed: u64::MAX, .. }, ["the value of \"key\""];
    absurd_array_of_strings: File::with_values(&[value("key", TYPE_ARRAY, &array(TYPE_STRING, 1 << 40, &[]))]),
        GgufError::Truncated { needed, .. } if *needed == 1 << 43, ["the value of \"key\""];
    absurd_array_of_arrays: File::with_values(&[value("key", TYPE_ARRAY, &array(TYPE_ARRAY, 1 << 40, &[]))]),
        GgufError::Truncated { .. }, ["the value of \"key\""];
    deep_array: File::with_values(&[value("key", TYPE_ARRAY, &nested(5))]),
        GgufError::Nesting { limit: 4, .. }, ["the value of \"key\"", "nested"];
    unknown_value_type: File::with_values(&[value("key", 13, &[0; 32])]),
        GgufError::ValueType { found: 13, offset: 35, .. }, ["the value of \"key\"", "13", "35"];
    unknown_element_type: File::with_values(&[value("key", TYPE_ARRAY, &array(99, 1, &[0; 32]))]),
        GgufError::ValueType { found: 99, .. }, ["the value of \"key\"", "99"];
    bool_of_2: File::with_values(&[value("key", TYPE_BOOL, &[2])]),
        GgufError::Bool { found: 2, offset: 39, .. }, ["the value of \"key\"", "39"];
    bool_of_2_in_an_array: File::with_values(&[value("key", TYPE_ARRAY, &array(TYPE_BOOL, 2, &[1, 2]))]),
        GgufError::Bool { found: 2, .. }, ["the value of \"key\""];

    key_not_utf8: File::with_values(&[[string(b"\xff\xfe"), vec![0; 16]].concat()]),
        GgufError::NotUtf8 { offset: 32, .. }, ["metadata key 0", "32"];
    value_not_utf8: File::with_values(&[value("key", TYPE_STRING, &string(b"\xc0\x80"))]),
        GgufError::NotUtf8 { .. }, ["the value of \"key\""];
    tensor_name_not_utf8: File::with_tensors(&[[string(b"\xff"), vec![0; 32]].concat()], 0),
        GgufError::NotUtf8 { .. }, ["the name of tensor 0"];

    duplicate_key: File::with_values(&[value("key", TYPE_BOOL, &[1]), value("key", TYPE_BOOL, &[1])]),
        GgufError::DuplicateKey { offset: 40, .. }, ["\"key\"", "twice"];
    duplicate_tensor: File::with_tensors(&[tensor("t", &[1], F32, 0), tensor("t", &[1], F32, 32)], 64),
        GgufError::DuplicateTensor { .. }, ["\"t\"", "twice"];

    alignment_of_0: File::with_values(&[value("general.alignment", TYPE_U32, &[0; 4])]),
        GgufError::Alignment { .. }, ["general.alignment is 0 (u32)"];
    alignment_of_48: File::with_values(&[value("general.alignment", TYPE_U32, &48u32.to_le_bytes())]),
        GgufError::Alignment { .. }, ["general.alignment is 48", "power of two"];
    alignment_of_2_gib: File::with_values(&[value("general.alignment", TYPE_U32, &(1u32 << 31).to_le_bytes())]),
        GgufError::Alignment { .. }, ["general.alignment is 2147483648"];
    alignment_of_another_type: File::with_values(&[value("general.alignment", TYPE_STRING, &string(b"32"))]),
        GgufError::Alignment { .. }, ["general.alignment is \"32\" (string)"];

    five_dimensions: File::with_tensors(&[tensor("t", &[1; 5], F32, 0)], 32),
        GgufError::Dimensions { found: 5, .. }, ["\"t\"", "5 dimensions"];
    dimension_of_0: File::with_tensors(&[tensor("t", &[4, 0], F32, 0)], 32),
        GgufError::Empty { .. }, ["\"t\"", "[4, 0]"];
    elements_overflow: File::with_tensors(&[tensor("t", &[1 << 32, 1 << 32], F32, 0)], 32),
        GgufError::ShapeOverflow { .. }, ["\"t\"", "[4294967296, 4294967296]"];
    elements_wrap_to_something_small: File::with_tensors(&[tensor("t", &[(1 << 63) + 1, 2], F32, 0)], 32),
        GgufError::ShapeOverflow { .. }, ["\"t\""];
    bytes_overflow: File::with_tensors(&[tensor("t", &[1 << 62], F32, 0)], 32),
        GgufError::ShapeOverflow { .. }, ["\"t\""];
    elements_of_an_unknown_type_overflow: File::with_tensors(&[tensor("t", &[u64::MAX, 2], UNKNOWN, 0)], 32),
        GgufError::ShapeOverflow { .. }, ["\"t\""];
    elements_of_an_unknown_type_reach_2_to_the_63: File::with_tensors(&[tensor("t", &[1 << 63], UNKNOWN, 0)], 32),
        GgufError::ShapeOverflow { .. }, ["\"t\""];
    bytes_reach_2_to_the_63: File::with_tensors(&[tensor("t", &[1 << 61], F32, 0)], 32),
        GgufError::ShapeOverflow { .. }, ["\"t\""];
    rows_of_part_blocks: File::with_tensors(&[tensor("t", &[48, 2], Q4_1, 0)], 64),
        GgufError::PartialBlock { row: 48, block: 32, .. }, ["\"t\"", "rows of 48", "Q4_1 blocks of 32"];

    misaligned: File::with_tensors(&[tensor("t", &[1], F32, 16)], 64),
        GgufError::Misaligned { offset: 16, alignment: 32, .. }, ["\"t\"", "16", "alignment 32"];
    misaligned_for_a_larger_alignment: File {
            values: vec![value("general.alignment", TYPE_U32, &64u32.to_le_bytes())],
            tensors: vec![tensor("a", &[1], F32, 0), tensor("b", &[1], F32, 32)],
            alignment: 64, data: 128, ..File::default() }.build(),
        GgufError::Misaligned { offset: 32, alignment: 64, .. }, ["\"b\""];
    overlapping: File::with_tensors(&[tensor("a", &[16], F32, 0), tensor("b", &[1], F32, 32)], 128),
        GgufError::Overlap { offset: 32, expected: 64, .. }, ["\"b\"", "overlaps \"a\"", "expected 64"];
    two_at_the_same_place: File::with_tensors(&[tensor("a", &[1], F32, 0), tensor("b", &[1], F32, 0)], 128),
        GgufError::Overlap { .. }, ["\"b\"", "overlaps \"a\""];
    overlapping_an_earlier_one: File::with_tensors(
            &[tensor("a", &[16], F32, 0), tensor("b", &[1], F32, 64), tensor("c", &[1], F32, 32)], 256),
        GgufError::Overlap { .. }, ["\"c\"", "overlaps \"a\"", "expected 96"];
    overlapping_one_of_unknown_type: File::with_tensors(&[tensor("a", &[1], UNKNOWN, 0), tensor("b", &[1], F32, 0)], 128),
        GgufError::Overlap { .. }, ["\"b\"", "overlaps \"a\""];
    gap: File::with_tensors(&[tensor("a", &[1], F32, 0), tensor("b", &[1], F32, 64)], 128),
        GgufError::Gap { offset: 64, expected: 32, .. }, ["\"b\"", "\"a\"", "ends at 32"];
    gap_before_the_first: File::with_tensors(&[tensor("a", &[1], F32, 32)], 128),
        GgufError::Gap { offset: 32, expected: 0, .. }, ["\"a\""];
    past_the_end: File::with_tensors(&[tensor("t", &[1024], F32, 0)], 4092),
        GgufError::PastEnd { bytes: 4096, .. }, ["\"t\"", "4096 bytes", "truncated"];
    offset_past_the_end: File::with_tensors(&[tensor("a", &[1], UNKNOWN, 0), tensor("b", &[1], F32, 1 << 40)], 64),
        GgufError::PastEnd { .. }, ["\"b\"", "truncated"];
    offset_of_almost_2_to_the_64: File::with_tensors(&[tensor("a", &[1], UNKNOWN, 0), tensor("b", &[8], F32, u64::MAX - 31)], 64),
        GgufError::PastEnd { .. }, ["\"b\""];
    unknown_type_past_the_end: File::with_tensors(&[tensor("t", &[1], UNKNOWN, 0)], 0),
        GgufError::PastEnd { .. }, ["\"t\""];
}

#[test]
fn version_2_is_version_3() {
    let file = File {
        version: 2u32.to_le_bytes(),
        values: vec![value("k", TYPE_BOOL, &[1])],
        ..File::default()
    };
    let gguf = read(&file.build()).unwrap();
    assert_eq!((gguf.version, gguf.metadata.bool("k").unwrap()), (2, Some(true)));
}

#[test]
fn arrays_four_deep_are_read() {
    let gguf = read(&File::with_values(&[value("key", TYPE_ARRAY, &nested(4))])).unwrap();
    let json = serde_json::to_string(gguf.metadata.get("key").unwrap()).unwrap();
    assert_eq!(json, "[[[[5]]]]");
}

#[test]
fn a_scalar_is_one_element() {
    let gguf = read(&File::with_tensors(&[tensor("t", &[], F32, 0)], 4)).unwrap();
    assert_eq!((gguf.tensors[0].elements(), gguf.tensors[0].bytes), (1, 4));
}

fn unsupported(tensors: &[Vec<u8>], data: usize) -> (Gguf, String, String, String) {
    let gguf = read(&File::with_tensors(tensors, data)).unwrap();
    let error = gguf.check_supported().unwrap_err();
    let Error::UnsupportedType { tensor, type_name, supported } = error else {
        panic!("{error:?}")
    };
    (gguf, tensor, type_name, supported)
}

/// ggml's types have known sizes, so a file that we cannot decode is still checked whole.
#[test]
fn a_type_that_is_not_decoded_is_listed_and_refused_by_name() {
    const Q8_K: u32 = 15;
    let tensors = [tensor("a", &[32], Q4_1, 0), tensor("b", &[256], Q8_K, 32)];
    let (gguf, tensor, type_name, supported) = unsupported(&tensors, 324);
    assert_eq!((gguf.tensors[1].type_name().as_ref(), gguf.tensors[1].bytes), ("Q8_K", 292));
    assert_eq!((tensor.as_str(), type_name.as_str()), ("b", "Q8_K"));
    assert!(supported.contains("F32") && supported.contains("Q4_1"), "{supported}");
}

#[test]
fn a_type_without_name_is_listed_and_refused_by_number() {
    let tensors =
        [tensor("a", &[5], UNKNOWN, 0), tensor("b", &[1], F32, 64), tensor("c", &[5], 31, 96)];
    let (gguf, tensor, type_name, _) = unsupported(&tensors, 200);
    let bytes: Vec<u64> = gguf.tensors.iter().map(|t| t.bytes).collect();
    assert_eq!(bytes, [64, 4, 104]);
    assert_eq!((tensor.as_str(), type_name.as_str()), ("a", "number 1000"));
    assert_eq!(gguf.tensors[2].type_name(), "Q4_0_4_4");
}

#[test]
fn what_is_decoded_is_supported() {
    let gguf = read(&File::with_tensors(&[tensor("a", &[32], Q4_1, 0)], 20)).unwrap();
    gguf.check_supported().unwrap();
}

#[test]
fn the_writer_refuses_what_the_reader_would() {
    let mut w = Writer::new("out.gguf");
    w.set("k", 1u8).unwrap().tensor("t", &[32], Q4_1).unwrap();
    for (error, names) in [
        (w.set("k", 1u8).map(drop).unwrap_err(), "out.gguf: metadata key \"k\" occurs twice"),
        (w.set("general.alignment", 3u32).map(drop).unwrap_err(), "general.alignment is 3"),
        (w.tensor("t", &[32], Q4_1).map(drop).unwrap_err(), "tensor \"t\" occurs twice"),
        (w.tensor("u", &[33], Q4_1).map(drop).unwrap_err(), "rows of 33"),
        (w.tensor("u", &[1; 5], F32).map(drop).unwrap_err(), "5 dimensions"),
        (w.tensor("u", &[1], UNKNOWN).map(drop).unwrap_err(), "type number 1000 cannot be written"),
        (w.tensor("u", &[1 << 61], F32).map(drop).unwrap_err(), "larger than any file"),
    ] {
        assert!(error.to_string().contains(names), "{error}");
    }
    for (data, names) in [
        (&[&[0; 19][..]][..], "tensor \"t\": 20 bytes were announced, 19 given"),
        (&[], "tensor \"t\": 20 bytes were announced, 0 given"),
        (&[&[0; 20], &[0; 1]], "(none left)"),
    ] {
        let mut w = Writer::new("out.gguf");
        w.tensor("t", &[32], Q4_1).unwrap();
        let error = w.write(Vec::new(), data).map(drop).unwrap_err();
        assert!(error.to_string().contains(names), "{error}");
    }
}

#[test]
fn a_kquant_row_is_whole_superblocks() {
    let file = File::with_tensors(&[tensor("t", &[128], Q4_K, 0)], 144);
    let problem = problem(&file, &["Q4_K blocks of 256"]);
    assert!(matches!(problem, GgufError::PartialBlock { row: 128, .. }));
}
