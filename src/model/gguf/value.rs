//! Metadata values: what a GGUF file says about itself.

use std::collections::HashMap;
use std::fmt;

use crate::error::{Error, Result};

/// A metadata value. Serializes as the plain number, string or list.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each variant is the type it is named after")]
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    String(String),
    Array(Array),
    U64(u64),
    I64(i64),
    F64(f64),
}

/// An array of values of one type. Arrays of arrays may mix inner types, as GGUF allows.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each variant is a list of the type it is named after")]
pub enum Array {
    U8(Vec<u8>),
    I8(Vec<i8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    F32(Vec<f32>),
    Bool(Vec<bool>),
    String(Vec<String>),
    Array(Vec<Array>),
    U64(Vec<u64>),
    I64(Vec<i64>),
    F64(Vec<f64>),
}

/// Calls a macro-like expression with the list inside an [`Array`], whatever its type.
macro_rules! with_list {
    ($array:expr, $list:ident => $body:expr) => {
        match $array {
            Array::U8($list) => $body,
            Array::I8($list) => $body,
            Array::U16($list) => $body,
            Array::I16($list) => $body,
            Array::U32($list) => $body,
            Array::I32($list) => $body,
            Array::F32($list) => $body,
            Array::Bool($list) => $body,
            Array::String($list) => $body,
            Array::Array($list) => $body,
            Array::U64($list) => $body,
            Array::I64($list) => $body,
            Array::F64($list) => $body,
        }
    };
}

/// Names by type number (`enum gguf_type` in gguf.h).
pub(in crate::model) const TYPE_NAMES: [&str; 13] =
    ["u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"];

impl Value {
    /// The type's number in a file.
    pub fn type_id(&self) -> u32 {
        match self {
            Self::U8(_) => 0,
            Self::I8(_) => 1,
            Self::U16(_) => 2,
            Self::I16(_) => 3,
            Self::U32(_) => 4,
            Self::I32(_) => 5,
            Self::F32(_) => 6,
            Self::Bool(_) => 7,
            Self::String(_) => 8,
            Self::Array(_) => 9,
            Self::U64(_) => 10,
            Self::I64(_) => 11,
            Self::F64(_) => 12,
        }
    }

    /// The type's name, such as `u32` or `array of string`.
    pub fn type_name(&self) -> String {
        match self {
            Self::Array(array) => format!("array of {}", array.element_name()),
            _ => TYPE_NAMES[self.type_id() as usize].into(),
        }
    }

    /// The value of any integer type, as long as it is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Self::U8(v) => Some(v.into()),
            Self::U16(v) => Some(v.into()),
            Self::U32(v) => Some(v.into()),
            Self::U64(v) => Some(v),
            Self::I8(v) => v.try_into().ok(),
            Self::I16(v) => v.try_into().ok(),
            Self::I32(v) => v.try_into().ok(),
            Self::I64(v) => v.try_into().ok(),
            _ => None,
        }
    }

    /// The value of either floating-point type.
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Self::F32(v) => Some(v.into()),
            Self::F64(v) => Some(v),
            _ => None,
        }
    }

    /// The boolean.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(v) = self { Some(*v) } else { None }
    }

    /// The string.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(v) = self { Some(v) } else { None }
    }

    /// The array.
    pub fn as_array(&self) -> Option<&Array> {
        if let Self::Array(v) = self { Some(v) } else { None }
    }
}

impl Array {
    /// The number of elements.
    pub fn len(&self) -> usize {
        with_list!(self, list => list.len())
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements' type number in a file.
    pub fn element_type(&self) -> u32 {
        match self {
            Self::U8(_) => 0,
            Self::I8(_) => 1,
            Self::U16(_) => 2,
            Self::I16(_) => 3,
            Self::U32(_) => 4,
            Self::I32(_) => 5,
            Self::F32(_) => 6,
            Self::Bool(_) => 7,
            Self::String(_) => 8,
            Self::Array(_) => 9,
            Self::U64(_) => 10,
            Self::I64(_) => 11,
            Self::F64(_) => 12,
        }
    }

    fn element_name(&self) -> &'static str {
        TYPE_NAMES[self.element_type() as usize]
    }

    /// The strings.
    pub fn as_strings(&self) -> Option<&[String]> {
        if let Self::String(list) = self { Some(list) } else { None }
    }

    /// The numbers of an array of `f32`.
    pub fn as_f32s(&self) -> Option<&[f32]> {
        if let Self::F32(list) = self { Some(list) } else { None }
    }

    /// The values of any integer type, as long as each fits an `i64`.
    pub fn to_i64s(&self) -> Option<Vec<i64>> {
        fn widen<T: Copy + Into<i64>>(list: &[T]) -> Option<Vec<i64>> {
            Some(list.iter().map(|&v| v.into()).collect())
        }
        match self {
            Self::U8(list) => widen(list),
            Self::I8(list) => widen(list),
            Self::U16(list) => widen(list),
            Self::I16(list) => widen(list),
            Self::U32(list) => widen(list),
            Self::I32(list) => widen(list),
            Self::I64(list) => widen(list),
            Self::U64(list) => list.iter().map(|&v| v.try_into().ok()).collect(),
            _ => None,
        }
    }
}

macro_rules! from {
    ($($from:ty => $variant:ident),*) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Self { Self::$variant(value.into()) }
        }
        impl From<Vec<$from>> for Value {
            fn from(list: Vec<$from>) -> Self {
                Self::Array(Array::$variant(list.into_iter().map(Into::into).collect()))
            }
        }
    )*};
}
from!(u8 => U8, i8 => I8, u16 => U16, i16 => I16, u32 => U32, i32 => I32, f32 => F32, bool => Bool,
    String => String, &str => String, u64 => U64, i64 => I64, f64 => F64);

impl From<Array> for Value {
    fn from(array: Array) -> Self {
        Self::Array(array)
    }
}

/// Characters of a string that are shown.
const SHOWN_CHARS: usize = 60;
/// Elements of an array that are shown.
const SHOWN_ELEMENTS: usize = 4;

/// A short form on one line: long strings and arrays are cut with `…`, control characters escaped.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::U8(v) => v.fmt(f),
            Self::I8(v) => v.fmt(f),
            Self::U16(v) => v.fmt(f),
            Self::I16(v) => v.fmt(f),
            Self::U32(v) => v.fmt(f),
            Self::I32(v) => v.fmt(f),
            Self::F32(v) => v.fmt(f),
            Self::Bool(v) => v.fmt(f),
            Self::String(v) => show_string(v, f),
            Self::Array(v) => v.fmt(f),
            Self::U64(v) => v.fmt(f),
            Self::I64(v) => v.fmt(f),
            Self::F64(v) => v.fmt(f),
        }
    }
}

/// As [`Value`]: length, element type and the first elements.
impl fmt::Display for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} × {}]", self.len(), self.element_name())?;
        match self {
            Self::String(list) => show_list(list, |s, f| show_string(s, f), f),
            Self::Array(list) => show_list(list, fmt::Display::fmt, f),
            _ => with_list!(self, list => show_list(list, fmt::Debug::fmt, f)),
        }
    }
}

fn show_string(s: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match s.char_indices().nth(SHOWN_CHARS) {
        Some((cut, _)) => write!(f, "{:?}…", &s[..cut]),
        None => write!(f, "{s:?}"),
    }
}

fn show_list<T>(
    list: &[T],
    show: impl Fn(&T, &mut fmt::Formatter<'_>) -> fmt::Result,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    for (i, element) in list.iter().take(SHOWN_ELEMENTS).enumerate() {
        f.write_str(if i == 0 { " " } else { ", " })?;
        show(element, f)?;
    }
    f.write_str(if list.len() > SHOWN_ELEMENTS { ", …" } else { "" })
}

/// A file's metadata, in its order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata {
    entries: Vec<(String, Value)>,
    index: HashMap<String, usize>,
}

impl Metadata {
    /// Adds a value at the end.
    ///
    /// # Errors
    /// Gives the value back where the key is there already.
    pub fn insert(&mut self, key: String, value: Value) -> Result<(), Value> {
        if self.index.contains_key(&key) {
            return Err(value);
        }
        self.index.insert(key.clone(), self.entries.len());
        self.entries.push((key, value));
        Ok(())
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Keys and values, in the file's order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.index.get(key).and_then(|&i| self.entries.get(i)).map(|(_, value)| value)
    }

    /// The non-negative integer at `key`, stored in any integer type; `None` where it is missing.
    ///
    /// # Errors
    /// [`Error::Config`] where the value is something else.
    pub fn u64(&self, key: &str) -> Result<Option<u64>> {
        self.typed(key, "a non-negative integer", Value::as_u64)
    }

    /// As [`u64`](Self::u64), for a value that must fit 32 bits, such as a token id.
    ///
    /// # Errors
    /// [`Error::Config`] where the value is something else.
    pub fn u32(&self, key: &str) -> Result<Option<u32>> {
        self.typed(key, "an integer of 32 bits", |v| v.as_u64()?.try_into().ok())
    }

    /// As [`u64`](Self::u64), for a size in memory.
    ///
    /// # Errors
    /// [`Error::Config`] where the value is something else.
    pub fn usize(&self, key: &str) -> Result<Option<usize>> {
        self.typed(key, "a size", |v| v.as_u64()?.try_into().ok())
    }

    /// The floating-point number at `key`; `None` where it is missing.
    ///
    /// # Errors
    /// [`Error::Config`] where the value is something else.
    pub fn f64(&self, key: &str) -> Result<Option<f64>> {
        self.typed(key, "a floating-point number", Value::as_f64)
    }

    /// The boolean at `key`; `None` where it is missing.
    ///
    /// # Errors
    /// [`Error::Config`] where the value is something else.
    pub fn bool(&self, key: &str) -> Result<Option<bool>> {
        self.typed(key, "a boolean", Value::as_bool)
    }

    /// The string at `key`; `None` where it is missing.
    ///
    /// # Errors
    /// [`Error::Config`] where the value is something else.
    pub fn str(&self, key: &str) -> Result<Option<&str>> {
        self.typed(key, "a string", Value::as_str)
    }

    /// The strings at `key`; `None` where they are missing.
    ///
    /// # Errors
    /// [`Error::Config`] where the value is something else.
    pub fn strings(&self, key: &str) -> Result<Option<&[String]>> {
        self.typed(key, "an array of strings", |v| v.as_array()?.as_strings())
    }

    /// The `f32` numbers at `key`; `None` where they are missing.
    ///
    /// # Errors
    /// [`Error::Config`] where the value is something else.
    pub fn f32s(&self, key: &str) -> Result<Option<&[f32]>> {
        self.typed(key, "an array of f32", |v| v.as_array()?.as_f32s())
    }

    /// The integers at `key`, stored in any integer type; `None` where they are missing.
    ///
    /// # Errors
    /// [`Error::Config`] where the value is something else.
    pub fn i64s(&self, key: &str) -> Result<Option<Vec<i64>>> {
        self.typed(key, "an array of integers", |v| v.as_array()?.to_i64s())
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        convert: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let wrong = || format!("is {value} ({}), expected {expected}", value.type_name());
        convert(value).map(Some).ok_or_else(|| Error::config(key, wrong()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(key: &str, value: impl Into<Value>) -> Metadata {
        let mut metadata = Metadata::default();
        metadata.insert(key.into(), value.into()).unwrap();
        metadata
    }

    #[test]
    fn short_forms_fit_a_line() {
        assert_eq!(Value::from(1.5f32).to_string(), "1.5");
        assert_eq!(Value::from("a\n\x1b[1m").to_string(), r#""a\n\u{1b}[1m""#);
        assert_eq!(Value::from(vec!["a", "b"]).to_string(), r#"[2 × string] "a", "b""#);
        let many = Value::from((0..9i32).collect::<Vec<_>>());
        assert_eq!(many.to_string(), "[9 × i32] 0, 1, 2, 3, …");
        assert_eq!(many.type_name(), "array of i32");
        let long = Value::from("é".repeat(1000)).to_string();
        assert_eq!(long, format!("\"{}\"…", "é".repeat(60)));
        let nested = Value::from(Array::Array(vec![Array::U8(vec![1]), Array::Bool(vec![])]));
        assert_eq!(nested.to_string(), "[2 × array] [1 × u8] 1, [0 × bool]");
    }

    #[test]
    fn integers_of_any_type_are_read() {
        assert_eq!(metadata("k", 7u8).u64("k").unwrap(), Some(7));
        assert_eq!(metadata("k", 7i64).u32("k").unwrap(), Some(7));
        assert_eq!(metadata("k", vec![-1i8]).i64s("k").unwrap(), Some(vec![-1]));
        assert_eq!(metadata("k", 7u8).u64("other").unwrap(), None);
    }

    #[test]
    fn a_wrong_type_names_key_value_and_type() {
        let wrong = [
            metadata("k", -7i32).u64("k").unwrap_err(),
            metadata("k", -7i32).str("k").map(drop).unwrap_err(),
            metadata("k", -7i32).f64("k").map(drop).unwrap_err(),
            metadata("k", -7i32).strings("k").map(drop).unwrap_err(),
        ];
        for error in wrong {
            assert!(error.to_string().contains("k: is -7 (i32), expected a"), "{error}");
        }
        assert!(metadata("k", u64::MAX).u32("k").is_err());
        assert!(metadata("k", vec![u64::MAX]).i64s("k").is_err());
    }

    #[test]
    fn serializes_plainly() {
        let value = Value::from(vec!["a"]);
        assert_eq!(serde_json::to_string(&value).unwrap(), r#"["a"]"#);
    }
}
