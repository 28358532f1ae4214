//! The file that the `gguf` package wrote: read as the package reads it, written as it writes it.

use mantissa::model::gguf::{Gguf, Writer};
use serde_json::Value as Json;

use super::{TINY_LLAMA, read};

fn expected() -> Json {
    serde_json::from_str(include_str!("../golden/tiny_llama.json")).unwrap()
}

fn bytes_of<'a>(file: &'a [u8], gguf: &Gguf, i: usize) -> &'a [u8] {
    let tensor = &gguf.tensors[i];
    &file[tensor.offset as usize..][..tensor.bytes as usize]
}

#[test]
fn metadata_are_what_was_written() {
    let gguf = read(TINY_LLAMA).unwrap();
    let expected = expected();
    let expected = expected["metadata"].as_object().unwrap();
    assert_eq!(gguf.metadata.len(), expected.len());
    for (key, value) in gguf.metadata.iter() {
        assert_eq!(&serde_json::to_value(value).unwrap(), &expected[key], "{key}");
    }
}

#[test]
fn every_value_type_is_named() {
    let gguf = read(TINY_LLAMA).unwrap();
    for (key, value) in gguf.metadata.iter() {
        let Some(name) = key.strip_prefix("zoo.") else { continue };
        let expected = match name.strip_suffix('s') {
            Some(element) => format!("array of {element}"),
            None => name.replace("nested", "array of array"),
        };
        assert_eq!(value.type_name(), expected, "{key}");
    }
}

#[test]
fn tensors_lie_where_the_package_finds_them() {
    let gguf = read(TINY_LLAMA).unwrap();
    let expected = expected();
    assert_eq!(expected["version"], gguf.version);
    assert_eq!(expected["alignment"], gguf.alignment);
    assert_eq!(expected["data_offset"], gguf.data_offset);
    let expected = expected["tensors"].as_array().unwrap();
    assert_eq!(gguf.tensors.len(), expected.len());
    for (i, expected) in expected.iter().enumerate() {
        let tensor = &gguf.tensors[i];
        let first = &bytes_of(TINY_LLAMA, &gguf, i)[..8];
        let first: String = first.iter().map(|b| format!("{b:02x}")).collect();
        let found = serde_json::json!({
            "name": tensor.name, "type": tensor.type_name(), "shape": tensor.shape,
            "offset": tensor.offset, "bytes": tensor.bytes, "first": first,
        });
        assert_eq!(&found, expected);
        assert_eq!(gguf.tensor(&tensor.name), Some(tensor));
    }
}

#[test]
fn the_writer_writes_the_same_bytes() {
    let gguf = read(TINY_LLAMA).unwrap();
    let mut writer = Writer::new("copy");
    for (key, value) in gguf.metadata.iter() {
        writer.set(key, value.clone()).unwrap();
    }
    for tensor in &gguf.tensors {
        writer.tensor(&tensor.name, &tensor.shape, tensor.type_id.unwrap()).unwrap();
    }
    let data: Vec<_> = (0..gguf.tensors.len()).map(|i| bytes_of(TINY_LLAMA, &gguf, i)).collect();
    let copy = writer.write(Vec::new(), &data).unwrap();
    assert!(copy == TINY_LLAMA, "{} and {} bytes", copy.len(), TINY_LLAMA.len());
}
