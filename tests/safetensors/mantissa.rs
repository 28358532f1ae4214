//! Files of our own: written, and read by us and by the safetensors crate.

use ::mantissa::formats::{self, FormatRef};
use ::mantissa::model::checkpoint::Container;
use ::mantissa::model::gguf::{Array, Metadata, Value};
use ::mantissa::model::safetensors::{Writer, metadata_from_json, metadata_to_json};
use ::mantissa::model::{Checkpoint, TensorKind};
use safetensors::{Dtype, SafeTensors};

use crate::support::open;

/// A value of every type, with what a careless JSON loses.
pub fn zoo() -> Metadata {
    let nan = |bits| f32::from_bits(bits);
    let nested =
        Array::Array(vec![Array::U8(vec![1, 255]), Array::Array(vec![Array::F64(vec![0.1])])]);
    let values: Vec<(&str, Value)> = vec![
        ("general.architecture", "llama".into()),
        ("u8", u8::MAX.into()),
        ("i8", i8::MIN.into()),
        ("u16", u16::MAX.into()),
        ("i16", i16::MIN.into()),
        ("u32", u32::MAX.into()),
        ("i32", i32::MIN.into()),
        ("u64", u64::MAX.into()),
        ("i64", i64::MIN.into()),
        ("bools", vec![true, false].into()),
        ("strings", vec!["", "\"\\\n\u{0}\u{1f600}"].into()),
        ("f32s", vec![0.1f32, -0.0, 1e-45, f32::MAX, 5e-324f64 as f32].into()),
        (
            "f32s.odd",
            vec![f32::INFINITY, f32::NEG_INFINITY, nan(0x7fc0_0001), nan(0xffa0_0000)].into(),
        ),
        ("f64s", vec![0.1f64, -0.0, 5e-324, f64::MAX, 1.0 / 3.0].into()),
        ("f64s.odd", vec![f64::NEG_INFINITY, f64::from_bits(0x7ff8_0000_dead_beef)].into()),
        ("u64s", vec![u64::MAX, 1 << 53, (1 << 53) + 1].into()),
        ("nested", Value::Array(nested)),
        ("empty", Value::Array(Array::String(vec![]))),
    ];
    let mut metadata = Metadata::default();
    for (key, value) in values {
        metadata.insert(key.into(), value).unwrap();
    }
    metadata
}

/// NaN differs from itself, so bits are compared by their text.
fn bits(metadata: &Metadata) -> String {
    let value = |v: &Value| match v {
        Value::Array(Array::F32(list)) => {
            format!("{:x?}", list.iter().map(|v| v.to_bits()).collect::<Vec<_>>())
        }
        Value::Array(Array::F64(list)) => {
            format!("{:x?}", list.iter().map(|v| v.to_bits()).collect::<Vec<_>>())
        }
        other => format!("{other:?}"),
    };
    metadata.iter().map(|(key, v)| format!("{key} {} {}\n", v.type_name(), value(v))).collect()
}

#[test]
fn metadata_come_back_to_the_last_bit() {
    let zoo = zoo();
    let again = metadata_from_json(&metadata_to_json(&zoo)).unwrap();
    assert_eq!(bits(&again), bits(&zoo));
}

#[test]
fn metadata_read_as_documented() {
    let json = serde_json::from_str::<serde_json::Value>(&metadata_to_json(&zoo())).unwrap();
    assert_eq!(json["u64"], serde_json::json!({ "type": "u64", "value": u64::MAX }));
    assert_eq!(json["f32s.odd"]["value"][2], "0x7fc00001");
    assert_eq!(json["strings"]["of"], "string");
    let inner = serde_json::json!({ "of": "u8", "value": [1, 255] });
    assert_eq!(json["nested"]["value"][0], inner);
}

#[test]
fn wrong_metadata_are_named() {
    for (value, key) in [
        (r#"{"type":"u8","value":256}"#, "a.key"),
        (r#"{"type":"u8","value":-1}"#, "a.key"),
        (r#"{"type":"u8","value":1.0}"#, "a.key"),
        (r#"{"type":"f32","value":1e39}"#, "a.key"),
        (r#"{"type":"f32","value":"NaN"}"#, "a.key"),
        (r#"{"type":"f32","value":"0x17fc00001"}"#, "a.key"),
        (r#"{"type":"f64","value":1e999}"#, "mantissa.metadata"),
        (r#"{"type":"f64","value":NaN}"#, "mantissa.metadata"),
        (r#"{"type":"bool","value":1}"#, "a.key"),
        (r#"{"type":"complex","value":1}"#, "a.key"),
        (r#"{"type":"u8"}"#, "a.key"),
        (r#"{"value":1}"#, "a.key"),
        ("7", "a.key"),
        (r#"{"type":"array","value":[1]}"#, "a.key"),
        (r#"{"type":"array","of":"u8","value":7}"#, "a.key"),
        (r#"{"type":"array","of":"u8","value":[1,"2"]}"#, "a.key"),
        (r#"{"type":"array","of":"array","value":[[1]]}"#, "a.key"),
        (&format!(r#"{{"type":"array","of":"array","value":[{}]}}"#, nested(4)), "a.key"),
        (&"[".repeat(100_000), "mantissa.metadata"),
    ] {
        let error = metadata_from_json(&format!(r#"{{"a.key":{value}}}"#)).unwrap_err().to_string();
        assert!(error.starts_with(key), "{value}: {error}");
    }
    let twice = r#"{"k":{"type":"u8","value":1},"k":{"type":"u8","value":1}}"#;
    assert!(metadata_from_json(twice).unwrap_err().to_string().contains("\"k\" occurs twice"));
}

fn nested(depth: usize) -> String {
    let one = r#"{"of":"u8","value":[1]}"#.to_owned();
    (1..depth).fold(one, |inner, _| format!(r#"{{"of":"array","value":[{inner}]}}"#))
}

#[test]
fn arrays_four_deep_are_read() {
    let json = format!(r#"{{"k":{{"type":"array","of":"array","value":[{}]}}}}"#, nested(3));
    assert_eq!(metadata_from_json(&json).unwrap().len(), 1);
}

/// Shape, contiguous dimension first, and format of a tensor; two rows of two blocks.
fn shape_of(format: FormatRef) -> [u64; 2] {
    [2 * format.block_len() as u64, 2]
}

/// A file with a tensor in every format there is.
fn every_format() -> (Vec<u8>, Vec<(String, FormatRef, Vec<u8>)>) {
    let mut writer = Writer::new("out.safetensors");
    writer.metadata(&zoo()).unwrap();
    let mut tensors = Vec::new();
    for (i, format) in formats::all().enumerate() {
        let shape = shape_of(format);
        let bytes = 2 * formats::row_bytes(format, shape[0] as usize).unwrap();
        let name = format!("blk.{i}.weight");
        writer.tensor(&name, &shape, format).unwrap();
        let data: Vec<u8> = (0..bytes).map(|b| (b * 7 + i) as u8).collect();
        tensors.push((name, format, data));
    }
    let mut data = writer.begin(Vec::new()).unwrap();
    for (_, _, bytes) in &tensors {
        // Whole, or in pieces of odd sizes.
        bytes.chunks(13).for_each(|piece| data.data(piece).unwrap());
    }
    (data.finish().unwrap(), tensors)
}

fn read(model: &Checkpoint, name: &str) -> Vec<u8> {
    let tensor = model.tensor(name).unwrap();
    let read = model.source().read(tensor.offset, tensor.bytes as usize);
    pollster::block_on(read).unwrap().into_owned()
}

#[test]
fn every_format_is_written_and_read_back() {
    let (file, tensors) = every_format();
    let model = open(&file).unwrap();
    assert!(matches!(model.container, Container::Mantissa { .. }));
    assert!(model.rows_are_permuted());
    assert_eq!(bits(&model.metadata), bits(&zoo()));
    assert_eq!(model.tensors.len(), tensors.len());
    model.check_supported().unwrap();
    for (name, format, bytes) in &tensors {
        let tensor = model.tensor(name).unwrap();
        assert_eq!(tensor.shape, shape_of(*format), "{name}");
        assert_eq!(tensor.kind, TensorKind::Format(*format));
        assert_eq!(tensor.type_id, None);
        assert_eq!(&read(&model, name), bytes, "{name}");
    }
}

/// The format's own library: dtypes, shapes and bytes as documented, nothing it would refuse.
#[test]
fn the_safetensors_crate_reads_it() {
    let (file, tensors) = every_format();
    let theirs = SafeTensors::deserialize(&file).unwrap();
    let (header, description) = SafeTensors::read_metadata(&file).unwrap();
    assert!(header.is_multiple_of(8));
    let texts = description.metadata().as_ref().unwrap();
    assert_eq!((&*texts["format"], &*texts["mantissa.version"]), ("mantissa", "1"));
    for (name, format, bytes) in &tensors {
        let tensor = theirs.tensor(name).unwrap();
        assert_eq!(tensor.data(), bytes, "{name}");
        let [k, rows] = shape_of(*format).map(|n| n as usize);
        let plain = match format.name() {
            "f32" => Some(Dtype::F32),
            "f16" => Some(Dtype::F16),
            "bf16" => Some(Dtype::BF16),
            _ => None,
        };
        assert_eq!(tensor.dtype(), plain.unwrap_or(Dtype::U8), "{name}");
        let columns = if plain.is_some() { k } else { bytes.len() / rows };
        assert_eq!(tensor.shape(), [rows, columns], "{name}");
        let text = texts.get(&format!("mantissa.tensor.{name}"));
        let expected = serde_json::json!({ "format": format.name(), "shape": [rows, k] });
        let found = text.map(|t| serde_json::from_str::<serde_json::Value>(t).unwrap());
        assert_eq!(found, plain.is_none().then_some(expected), "{name}");
    }
}

#[test]
fn the_writer_refuses_what_the_reader_would() {
    let f32 = formats::by_name("f32").unwrap();
    let q4_1 = formats::by_name("q4_1").unwrap();
    let mut w = Writer::new("out");
    w.metadata(&zoo()).unwrap().tensor("t", &[32], q4_1).unwrap();
    for (error, part) in [
        (w.metadata(&zoo()).map(drop).unwrap_err(), "occurs twice"),
        (w.tensor("t", &[32], q4_1).map(drop).unwrap_err(), "\"t\" occurs twice"),
        (w.tensor("", &[32], q4_1).map(drop).unwrap_err(), "no name"),
        (w.tensor("__metadata__", &[32], q4_1).map(drop).unwrap_err(), "occurs twice"),
        (
            w.tensor("u", &[33], q4_1).map(drop).unwrap_err(),
            "rows of 33 are not whole q4_1 blocks of 32",
        ),
        (w.tensor("u", &[1; 5], f32).map(drop).unwrap_err(), "5 dimensions"),
        (w.tensor("u", &[0, 1], f32).map(drop).unwrap_err(), "dimension of 0"),
        (w.tensor("u", &[1 << 61], f32).map(drop).unwrap_err(), "larger than any file"),
        (w.tensor("u", &[1 << 40, 1 << 40], f32).map(drop).unwrap_err(), "larger than any file"),
    ] {
        assert!(
            error.to_string().starts_with("out: ") && error.to_string().contains(part),
            "{error}"
        );
    }
    for (pieces, part) in [
        (&[19][..], "20 bytes were announced, 19 given"),
        (&[], "20 bytes were announced, 0 given"),
        (&[12, 9], "20 bytes were announced, 21 given"),
        (&[12, 8, 1], "(none left)"),
    ] {
        let mut w = Writer::new("out");
        w.tensor("t", &[32], q4_1).unwrap();
        let mut data = w.begin(Vec::new()).unwrap();
        let given = pieces.iter().try_for_each(|n| data.data(&vec![0; *n]));
        let error = given.and_then(|()| data.finish().map(drop)).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
