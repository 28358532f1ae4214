//! Errors as the page sees them: `PlainError` in `web/src/errors.ts`.

use js_sys::{Object, Reflect};
use wasm_bindgen::prelude::*;

use crate::error::Error;

/// A plain object with a `code`, a `message`, and values.
#[derive(Debug)]
pub struct Thrown(JsValue);

impl Thrown {
    fn new(code: &str, message: &str, details: &[(&str, JsValue)]) -> Self {
        let object = Object::new();
        let own = [("code", code.into()), ("message", message.into())];
        for (key, value) in own.iter().chain(details) {
            // Setting a property of an object made here does not fail.
            let _ = Reflect::set(&object, &JsValue::from_str(key), value);
        }
        Self(object.into())
    }

    /// An argument that is not what it may be.
    pub(super) fn invalid(option: &str, problem: impl std::fmt::Display) -> Self {
        Self::new("invalid", &format!("{option}: {problem}"), &[("option", option.into())])
    }
}

impl From<Thrown> for JsValue {
    fn from(thrown: Thrown) -> Self {
        thrown.0
    }
}

impl From<Error> for Thrown {
    fn from(error: Error) -> Self {
        Self::new(code(&error), &error.to_string(), &details(&error))
    }
}

fn code(error: &Error) -> &'static str {
    match error {
        Error::Io { .. } => "io",
        Error::Malformed { .. } | Error::WeightNotFinite { .. } => "malformed",
        Error::UnsupportedType { .. } => "unsupported-type",
        Error::UnknownFormat { .. } => "unknown-format",
        Error::Config { .. } => "config",
        Error::ContextFull { .. } => "context-full",
        Error::Tokenizer(_) => "tokenizer",
        Error::Template(_) => "template",
        Error::NoAdapter { .. } | Error::NoDevice { .. } => "no-adapter",
        Error::Limit { .. } => "limit",
        Error::OutOfMemory { .. } => "out-of-memory",
        Error::Gpu { .. } | Error::Timeout { .. } => "gpu",
        Error::Cancelled { .. } => "aborted",
        Error::DeviceLost { .. } => "device-lost",
        Error::NotFinite { .. } => "not-finite",
        Error::Rule { .. }
        | Error::NoPlace { .. }
        | Error::Shape { .. }
        | Error::Token { .. }
        | Error::InvalidOption { .. } => "invalid",
    }
}

fn details(error: &Error) -> Vec<(&'static str, JsValue)> {
    let number = |n: u64| JsValue::from(n as f64);
    match error {
        Error::UnsupportedType { tensor, type_name, .. } => {
            vec![("tensor", tensor.into()), ("typeName", type_name.into())]
        }
        Error::WeightNotFinite { tensor, .. } => vec![("tensor", tensor.into())],
        Error::Config { key, .. } => vec![("key", key.into())],
        Error::ContextFull { tokens, context } => {
            vec![("tokens", number(*tokens as u64)), ("context", number(*context as u64))]
        }
        Error::Limit { needed, limit, available, .. } => vec![
            ("bytes", number(*needed)),
            ("limit", number(*available)),
            ("limitName", (*limit).into()),
        ],
        Error::OutOfMemory { bytes, limit, .. } => {
            vec![("bytes", number(*bytes)), ("limit", number(*limit))]
        }
        Error::InvalidOption { name, .. } => vec![("option", (*name).into())],
        Error::Shape { op, .. } => vec![("option", (*op).into())],
        _ => Vec::new(),
    }
}
