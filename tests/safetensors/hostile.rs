//! Files that break one rule each.

use ::mantissa::Error;
use ::mantissa::model::checkpoint::FileProblem;
use ::mantissa::model::safetensors::SafetensorsError;

use crate::support::{open, raw};

#[path = "../shared/hostile.rs"]
mod shared;
use shared::{hostile, malformed};

#[track_caller]
fn problem(file: &[u8], names: &[&str]) -> SafetensorsError {
    match malformed(open(file).map(drop).unwrap_err(), "test.safetensors", names) {
        FileProblem::Safetensors(problem) => problem,
        other => panic!("{other:?}"),
    }
}

use SafetensorsError as E;

/// A tensor's entry.
fn entry(name: &str, dtype: &str, shape: &str, begin: u64, end: u64) -> String {
    format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{begin},{end}]}}"#)
}

fn header(entries: &[String]) -> String {
    format!("{{{}}}", entries.join(","))
}

fn one(dtype: &str, shape: &str, begin: u64, end: u64, data: usize) -> Vec<u8> {
    raw(&header(&[entry("t", dtype, shape, begin, end)]), data)
}

fn two(first: (u64, u64), second: (u64, u64), data: usize) -> Vec<u8> {
    let shape = |(begin, end): (u64, u64)| format!("[{}]", (end - begin) / 4);
    let a = entry("a", "F32", &shape(first), first.0, first.1);
    let b = entry("b", "F32", &shape(second), second.0, second.1);
    raw(&header(&[a, b]), data)
}

fn lying(header: u64) -> Vec<u8> {
    let mut file = one("F32", "[1]", 0, 4, 4);
    file[..8].copy_from_slice(&header.to_le_bytes());
    file
}

fn not_utf8() -> Vec<u8> {
    let mut file = one("F32", "[1]", 0, 4, 4);
    file[10] = 0xff;
    file
}

/// A file of ours: one tensor `t` of 64 bytes in rows of 32, and what is said of it.
fn ours(dtype: &str, shape: &str, described: &str, version: &str, metadata: &str) -> Vec<u8> {
    let texts = serde_json::json!({
        "format": "mantissa", "mantissa.version": version, "mantissa.metadata": metadata,
        "mantissa.tensor.t": described,
    });
    let entries = [format!("\"__metadata__\":{texts}"), entry("t", dtype, shape, 0, 40)];
    raw(&header(&entries), 40)
}

fn packed(dtype: &str, shape: &str, described: &str) -> Vec<u8> {
    ours(dtype, shape, described, "1", "{}")
}

#[test]
fn what_the_cases_are_made_from_is_right() {
    let model = open(&packed("U8", "[2,20]", r#"{"format":"q4_1","shape":[2,32]}"#)).unwrap();
    assert_eq!(model.tensors[0].shape, [32, 2]);
    // Not ours, so what comes next is a missing config.json.
    for file in [one("F32", "[1]", 0, 4, 4), two((0, 8), (8, 12), 12), two((8, 12), (0, 8), 12)] {
        let error = open(&file).map(drop).unwrap_err();
        assert!(matches!(&error, Error::Config { key, .. } if key == "config.json"), "{error}");
    }
}

hostile! {
    nothing: [], E::TooShort { len: 0 }, ["0 bytes"];
    half_a_length: [1, 2, 3], E::TooShort { len: 3 }, ["3 bytes"];
    header_past_the_end: lying(1000), E::HeaderLength { header: 1000, .. }, ["1000", "truncated"];
    header_one_byte_past_the_end: lying(one("F32", "[1]", 0, 4, 4).len() as u64 - 7), E::HeaderLength { .. }, ["truncated"];
    header_beyond_100_mb: lying(100_000_001), E::HeaderTooLarge { .. }, ["100000001", "100000000"];
    header_of_2_to_the_64: lying(u64::MAX), E::HeaderTooLarge { header: u64::MAX, .. }, ["18446744073709551615"];
    header_cut_short: lying(20), E::Json { .. }, ["line 1"];
    header_of_0_bytes: lying(0), E::Json { .. }, ["EOF"];
    header_not_utf8: not_utf8(), E::NotUtf8 { at: 2 }, ["byte 2"];
    header_of_noise: raw("{{{{", 0), E::Json { .. }, ["column"];
    header_that_is_a_list: raw("[1]      ", 0), E::Json { .. }, ["an object of tensors"];
    nested_ten_thousand_deep: raw(&format!("{{\"t\":{{\"x\":{}", "[".repeat(10_000)), 0), E::Json { .. }, ["line 1"];
    metadata_that_are_no_texts: raw(r#"{"__metadata__":{"a":1}}"#, 0), E::Json { .. }, ["a string"];
    metadata_twice: raw(r#"{"__metadata__":{},"__metadata__":{}}"#, 0), E::Duplicate { .. }, ["__metadata__", "twice"];
    a_key_twice: raw(r#"{"__metadata__":{"k":"1","k":"2"}}"#, 0), E::Duplicate { .. }, ["\"k\"", "twice"];
    a_tensor_twice: raw(&header(&[entry("t", "F32", "[1]", 0, 4), entry("t", "F32", "[1]", 4, 8)]), 8),
        E::Duplicate { name } if name == "t", ["\"t\"", "twice"];
    a_tensor_without_name: raw(&header(&[entry("", "F32", "[1]", 0, 4)]), 4), E::EmptyName, ["no name"];

    unknown_dtype: one("F31", "[1]", 0, 4, 4), E::Json { .. }, ["F31"];
    dtype_missing: raw(r#"{"t":{"shape":[1],"data_offsets":[0,4]}}"#, 4), E::Json { .. }, ["dtype"];
    shape_of_fractions: one("F32", "[1.5]", 0, 4, 4), E::Json { .. }, ["1.5"];
    shape_below_zero: one("F32", "[-1]", 0, 4, 4), E::Json { .. }, ["-1"];
    shape_beyond_64_bits: one("F32", "[18446744073709551616]", 0, 4, 4), E::Json { .. }, ["u64"];
    three_offsets: raw(r#"{"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}"#, 8), E::Json { .. }, ["column"];
    five_dimensions: one("F32", "[1,1,1,1,1]", 0, 4, 4), E::Dimensions { found: 5, .. }, ["\"t\"", "5 dimensions"];
    dimension_of_0: one("F32", "[4,0]", 0, 0, 0), E::Empty { .. }, ["\"t\"", "[4, 0]"];
    elements_overflow: one("F32", "[4294967296,4294967296]", 0, 4, 4), E::ShapeOverflow { .. }, ["\"t\"", "4294967296"];
    elements_wrap_to_something_small: one("F32", "[9223372036854775809,2]", 0, 8, 8), E::ShapeOverflow { .. }, ["\"t\""];
    bits_overflow: one("F64", "[4611686018427387904]", 0, 4, 4), E::ShapeOverflow { .. }, ["\"t\""];
    half_a_byte: one("F4", "[3]", 0, 2, 2), E::PartialBlock { row: 3, .. }, ["\"t\"", "F4"];

    size_of_another_shape: one("F32", "[2]", 0, 4, 4), E::Size { expected: 8, found: 4, .. }, ["\"t\"", "F32", "[2]"];
    size_of_another_dtype: one("BF16", "[1]", 0, 4, 4), E::Size { expected: 2, found: 4, .. }, ["\"t\"", "BF16"];
    end_before_begin: one("F32", "[1]", 8, 4, 8), E::Offsets { begin: 8, end: 4, .. }, ["\"t\"", "from 8 to 4"];
    past_the_end: one("F32", "[2]", 0, 8, 4), E::PastEnd { end: 8, len: 4, .. }, ["\"t\"", "truncated"];
    offsets_of_2_to_the_64: one("F32", "[1]", u64::MAX - 4, u64::MAX, 4), E::PastEnd { .. }, ["\"t\""];
    overlapping: two((0, 8), (4, 12), 12), E::Overlap { begin: 4, expected: 8, .. }, ["\"b\"", "overlaps \"a\""];
    two_at_the_same_place: two((0, 4), (0, 4), 4), E::Overlap { .. }, ["overlaps"];
    hole: two((0, 4), (8, 12), 12), E::Hole { begin: 8, expected: 4, .. }, ["\"b\"", "\"a\"", "ends at 4"];
    hole_before_the_first: one("F32", "[1]", 4, 8, 8), E::Hole { begin: 4, expected: 0, .. }, ["\"t\"", "the header"];
    bytes_behind_the_last: one("F32", "[1]", 0, 4, 5), E::Trailing { end: 4, len: 5 }, ["ends at 4"];
    bytes_without_tensors: raw("{}", 1), E::Trailing { end: 0, len: 1 }, ["ends at 0"];

    another_version: ours("U8", "[2,20]", r#"{"format":"q4_1","shape":[2,32]}"#, "2", "{}"),
        E::Version { .. }, ["mantissa.version", "\"2\""];
    unknown_format: packed("U8", "[2,20]", r#"{"format":"q9_9","shape":[2,32]}"#), E::Metadata { .. }, ["mantissa.tensor.t", "q9_9"];
    no_format: packed("U8", "[2,20]", r#"{"shape":[2,32]}"#), E::Metadata { .. }, ["mantissa.tensor.t", "format"];
    a_description_of_noise: packed("U8", "[2,20]", "}"), E::Metadata { .. }, ["mantissa.tensor.t"];
    packed_as_f32: packed("F32", "[2,5]", r#"{"format":"q4_1","shape":[2,32]}"#), E::Metadata { .. }, ["mantissa.tensor.t", "not F32"];
    packed_flat: packed("U8", "[40]", r#"{"format":"q4_1","shape":[2,32]}"#), E::Metadata { .. }, ["[2, 20]", "[40]"];
    packed_with_other_rows: packed("U8", "[2,20]", r#"{"format":"q4_1","shape":[4,32]}"#), E::Metadata { .. }, ["[4, 20]"];
    packed_with_longer_rows: packed("U8", "[2,20]", r#"{"format":"q4_1","shape":[2,64]}"#), E::Metadata { .. }, ["[2, 40]"];
    packed_in_part_blocks: packed("U8", "[2,20]", r#"{"format":"q4_1","shape":[2,33]}"#), E::PartialBlock { row: 33, block: 32, .. }, ["\"t\"", "q4_1"];
    packed_beyond_any_file: packed("U8", "[2,20]", r#"{"format":"q4_1","shape":[4294967296,4294967296]}"#), E::ShapeOverflow { .. }, ["\"t\""];
    packed_rows_beyond_any_file: packed("U8", "[2,20]", r#"{"format":"q4_1","shape":[1,9223372036854775776]}"#), E::Metadata { .. } | E::PartialBlock { .. } | E::ShapeOverflow { .. }, ["t"];
    packed_with_a_dimension_of_0: packed("U8", "[2,20]", r#"{"format":"q4_1","shape":[2,0]}"#), E::Empty { .. }, ["\"t\""];
    metadata_of_noise: ours("U8", "[2,20]", r#"{"format":"q4_1","shape":[2,32]}"#, "1", "{"), E::Metadata { .. }, ["mantissa.metadata"];
    a_value_of_noise: ours("U8", "[2,20]", r#"{"format":"q4_1","shape":[2,32]}"#, "1", r#"{"a.key":5}"#), E::Metadata { .. }, ["a.key"];
}

#[test]
fn a_description_without_tensor_is_refused() {
    let texts = serde_json::json!({ "format": "mantissa", "mantissa.version": "1",
        "mantissa.metadata": "{}", "mantissa.tensor.u": r#"{"format":"q4_1","shape":[2,32]}"# });
    let problem =
        problem(&raw(&format!("{{\"__metadata__\":{texts}}}"), 0), &["mantissa.tensor.u"]);
    assert!(matches!(problem, E::Metadata { .. }), "{problem:?}");
}

#[test]
fn no_metadata_are_refused() {
    let file = raw(r#"{"__metadata__":{"format":"mantissa","mantissa.version":"1"}}"#, 0);
    problem(&file, &["mantissa.metadata", "is missing"]);
}

/// A dtype that no format has can be listed, and is refused by name.
#[test]
fn a_dtype_that_is_not_decoded_is_refused_by_name() {
    let texts = serde_json::json!({ "format": "mantissa", "mantissa.version": "1",
        "mantissa.metadata": "{}" });
    let entries = [format!("\"__metadata__\":{texts}"), entry("t", "I64", "[2]", 0, 16)];
    let model = open(&raw(&header(&entries), 16)).unwrap();
    assert_eq!(model.tensors[0].type_name(), "I64");
    let error = model.check_supported().unwrap_err();
    let Error::UnsupportedType { tensor, type_name, supported } = error else {
        panic!("{error:?}")
    };
    assert_eq!((&*tensor, &*type_name), ("t", "I64"));
    assert!(supported.contains("bf16"), "{supported}");
}
