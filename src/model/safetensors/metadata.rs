//! GGUF's metadata as JSON, without any loss: `{"key": {"type": "u32", "value": 7}, …}`, in order.
//!
//! An array names its elements' type: `{"type": "array", "of": "string", "value": ["a"]}`; an array
//! in an array does without `type`. Integers are written whole (JSON has no limit to them), floats
//! as the shortest text of their f64, and a float that is not finite as the text of its bits:
//! `"0x7fc00000"`.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Value as Json;

use super::error::SafetensorsError;
use super::header::{Pairs, json_error};
use crate::model::gguf::{Array, Metadata, TYPE_NAMES, Value};

/// Arrays in arrays beyond this depth are refused, as in GGUF files.
const MAX_DEPTH: usize = 4;

/// The metadata as JSON. [`metadata_from_json`] is its inverse.
pub fn metadata_to_json(metadata: &Metadata) -> String {
    struct Whole<'a>(&'a Metadata);
    impl Serialize for Whole<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let values = self.0.iter().map(|(key, value)| (key, Typed(value)));
            serializer.collect_map(values)
        }
    }
    // Maps of text, numbers and text: nothing in them can fail.
    serde_json::to_string(&Whole(metadata)).unwrap_or_default()
}

/// A value with its type's name.
struct Typed<'a>(&'a Value);

impl Serialize for Typed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", name(self.0.type_id()))?;
        match self.0 {
            Value::U8(v) => map.serialize_entry("value", v)?,
            Value::I8(v) => map.serialize_entry("value", v)?,
            Value::U16(v) => map.serialize_entry("value", v)?,
            Value::I16(v) => map.serialize_entry("value", v)?,
            Value::U32(v) => map.serialize_entry("value", v)?,
            Value::I32(v) => map.serialize_entry("value", v)?,
            Value::F32(v) => map.serialize_entry("value", &Single(*v))?,
            Value::Bool(v) => map.serialize_entry("value", v)?,
            Value::String(v) => map.serialize_entry("value", v)?,
            Value::Array(v) => put_list(&mut map, v)?,
            Value::U64(v) => map.serialize_entry("value", v)?,
            Value::I64(v) => map.serialize_entry("value", v)?,
            Value::F64(v) => map.serialize_entry("value", &Double(*v))?,
        }
        map.end()
    }
}

fn name(type_id: u32) -> &'static str {
    TYPE_NAMES.get(type_id as usize).copied().unwrap_or_default()
}

fn put_list<M: SerializeMap>(map: &mut M, array: &Array) -> Result<(), M::Error> {
    map.serialize_entry("of", name(array.element_type()))?;
    match array {
        Array::U8(list) => map.serialize_entry("value", list),
        Array::I8(list) => map.serialize_entry("value", list),
        Array::U16(list) => map.serialize_entry("value", list),
        Array::I16(list) => map.serialize_entry("value", list),
        Array::U32(list) => map.serialize_entry("value", list),
        Array::I32(list) => map.serialize_entry("value", list),
        Array::F32(list) => map.serialize_entry("value", &List(list, |v| Single(*v))),
        Array::Bool(list) => map.serialize_entry("value", list),
        Array::String(list) => map.serialize_entry("value", list),
        Array::Array(list) => map.serialize_entry("value", &List(list, |v| Inner(v.clone()))),
        Array::U64(list) => map.serialize_entry("value", list),
        Array::I64(list) => map.serialize_entry("value", list),
        Array::F64(list) => map.serialize_entry("value", &List(list, |v| Double(*v))),
    }
}

/// A list whose elements are written in another form.
struct List<'a, T, U>(&'a [T], fn(&T) -> U);

impl<T, U: Serialize> Serialize for List<'_, T, U> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.0.len()))?;
        self.0.iter().try_for_each(|v| seq.serialize_element(&(self.1)(v)))?;
        seq.end()
    }
}

struct Inner(Array);

impl Serialize for Inner {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        put_list(&mut map, &self.0)?;
        map.end()
    }
}

struct Single(f32);

impl Serialize for Single {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() {
            return serializer.serialize_f64(self.0.into());
        }
        serializer.serialize_str(&format!("{:#010x}", self.0.to_bits()))
    }
}

struct Double(f64);

impl Serialize for Double {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() {
            return serializer.serialize_f64(self.0);
        }
        serializer.serialize_str(&format!("{:#018x}", self.0.to_bits()))
    }
}

/// Metadata from what [`metadata_to_json`] wrote.
///
/// # Errors
/// [`SafetensorsError::Metadata`] with the key whose value is not what its type says, and
/// [`SafetensorsError::Duplicate`] for a key that is there twice.
pub fn metadata_from_json(text: &str) -> Result<Metadata, SafetensorsError> {
    let problem =
        |key: &str, problem: String| SafetensorsError::Metadata { key: key.to_owned(), problem };
    let pairs: Pairs<Json> =
        serde_json::from_str(text).map_err(|e| problem(super::METADATA, json_error(&e)))?;
    let mut metadata = Metadata::default();
    for (key, json) in pairs.0 {
        let value = value(json).ok_or_else(|| problem(&key, "is not a typed value".into()))?;
        if key.is_empty() || metadata.get(&key).is_some() {
            return Err(SafetensorsError::Duplicate { name: key });
        }
        // There is no such key yet.
        let _ = metadata.insert(key, value);
    }
    Ok(metadata)
}

fn value(json: Json) -> Option<Value> {
    let Json::Object(mut object) = json else { return None };
    let value = object.remove("value")?;
    Some(match object.get("type")?.as_str()? {
        "u8" => Value::U8(unsigned(&value)?),
        "i8" => Value::I8(signed(&value)?),
        "u16" => Value::U16(unsigned(&value)?),
        "i16" => Value::I16(signed(&value)?),
        "u32" => Value::U32(unsigned(&value)?),
        "i32" => Value::I32(signed(&value)?),
        "f32" => Value::F32(single(&value)?),
        "bool" => Value::Bool(value.as_bool()?),
        "string" => Value::String(string(value)?),
        "array" => Value::Array(array(object.get("of")?.as_str()?, value, 1)?),
        "u64" => Value::U64(unsigned(&value)?),
        "i64" => Value::I64(signed(&value)?),
        "f64" => Value::F64(double(&value)?),
        _ => return None,
    })
}

fn array(of: &str, value: Json, depth: usize) -> Option<Array> {
    let Json::Array(list) = value else { return None };
    if depth > MAX_DEPTH {
        return None;
    }
    fn all<T>(list: Vec<Json>, element: impl Fn(&Json) -> Option<T>) -> Option<Vec<T>> {
        list.iter().map(element).collect()
    }
    Some(match of {
        "u8" => Array::U8(all(list, unsigned)?),
        "i8" => Array::I8(all(list, signed)?),
        "u16" => Array::U16(all(list, unsigned)?),
        "i16" => Array::I16(all(list, signed)?),
        "u32" => Array::U32(all(list, unsigned)?),
        "i32" => Array::I32(all(list, signed)?),
        "f32" => Array::F32(all(list, single)?),
        "bool" => Array::Bool(all(list, Json::as_bool)?),
        "string" => Array::String(list.into_iter().map(string).collect::<Option<_>>()?),
        "array" => Array::Array(list.into_iter().map(|v| inner(v, depth)).collect::<Option<_>>()?),
        "u64" => Array::U64(all(list, unsigned)?),
        "i64" => Array::I64(all(list, signed)?),
        "f64" => Array::F64(all(list, double)?),
        _ => return None,
    })
}

fn inner(json: Json, depth: usize) -> Option<Array> {
    let Json::Object(mut object) = json else { return None };
    let value = object.remove("value")?;
    array(object.get("of")?.as_str()?, value, depth + 1)
}

fn unsigned<T: TryFrom<u64>>(json: &Json) -> Option<T> {
    json.as_u64()?.try_into().ok()
}

fn signed<T: TryFrom<i64>>(json: &Json) -> Option<T> {
    json.as_i64()?.try_into().ok()
}

fn string(json: Json) -> Option<String> {
    if let Json::String(text) = json { Some(text) } else { None }
}

fn single(json: &Json) -> Option<f32> {
    match json {
        Json::String(bits) => {
            u32::from_str_radix(bits.strip_prefix("0x")?, 16).ok().map(f32::from_bits)
        }
        _ => json.as_f64().map(|v| v as f32).filter(|v| v.is_finite()),
    }
}

fn double(json: &Json) -> Option<f64> {
    match json {
        Json::String(bits) => {
            u64::from_str_radix(bits.strip_prefix("0x")?, 16).ok().map(f64::from_bits)
        }
        _ => json.as_f64(),
    }
}
