//! Regular expressions by the browser's own engine: the crate's, with its tables of Unicode, would be
//! a quarter of what a page has to download. Patterns are those that the crate understands, as far as
//! they mean the same here once `to_js` has been over them.

use std::ops::Range;

use js_sys::{Array, Function, JsString, Reflect, RegExp};
use wasm_bindgen::{JsCast, JsValue};

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct Regex {
    pattern: String,
    engine: RegExp,
    /// Its method, which js-sys only has for Rust's strings: those would be copied at each call.
    exec: Function,
}

/// Where a pattern matches.
#[derive(Debug, Clone, Copy)]
pub struct Match {
    start: usize,
    end: usize,
}

impl Match {
    /// The first byte.
    pub fn start(&self) -> usize {
        self.start
    }

    /// The bytes.
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }
}

impl Regex {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// The browser's reason.
    pub fn new(pattern: &str) -> Result<Self, String> {
        // The constructor throws on a pattern that is none; js-sys's does not catch.
        let constructor: Function = Reflect::get(&js_sys::global(), &"RegExp".into())
            .and_then(JsCast::dyn_into)
            .map_err(|e| format!("{e:?}"))?;
        let arguments = Array::of2(&to_js(pattern).into(), &"gv".into());
        let engine = Reflect::construct(&constructor, &arguments)
            .map_err(|e| {
                e.dyn_into::<js_sys::Error>().map_or("refused".into(), |e| e.message().into())
            })
            .map_err(|reason: String| format!("{pattern}: {reason}"))?;
        let exec = Reflect::get(&engine, &"exec".into()).map_err(|e| format!("{e:?}"))?;
        let engine = engine.unchecked_into();
        Ok(Self { pattern: pattern.into(), engine, exec: exec.unchecked_into() })
    }

    /// The pattern.
    pub fn as_str(&self) -> &str {
        &self.pattern
    }

    /// Whether it matches anywhere.
    pub fn is_match(&self, text: &str) -> bool {
        self.engine.set_last_index(0);
        self.engine.test(text)
    }

    /// The first match from a byte on.
    pub fn find_at(&self, text: &Text<'_>, start: usize) -> Option<Match> {
        self.engine.set_last_index(text.unit(start));
        let found: Array = self.exec.call1(&self.engine, &text.units).ok()?.dyn_into().ok()?;
        let index = Reflect::get(&found, &JsValue::from_str("index")).ok()?.as_f64()? as u32;
        let length = found.get(0).dyn_into::<JsString>().ok()?.length();
        Some(Match { start: text.byte(index), end: text.byte(index + length) })
    }
}

/// A text that is searched often, as the browser has texts: in units of UTF-16.
#[derive(Debug)]
pub struct Text<'t> {
    /// The text itself.
    pub text: &'t str,
    units: JsString,
    /// The byte at which each unit's character begins, and the end; empty where all are ASCII.
    bytes: Vec<u32>,
}

impl<'t> Text<'t> {
    /// Prepares a text.
    pub fn new(text: &'t str) -> Self {
        let mut bytes = Vec::new();
        if !text.is_ascii() {
            for (at, c) in text.char_indices() {
                bytes.extend(std::iter::repeat_n(at as u32, c.len_utf16()));
            }
            bytes.push(text.len() as u32);
        }
        Self { text, units: text.into(), bytes }
    }

    fn byte(&self, unit: u32) -> usize {
        self.bytes.get(unit as usize).map_or(unit as usize, |byte| *byte as usize)
    }

    fn unit(&self, byte: usize) -> u32 {
        if self.bytes.is_empty() {
            return byte as u32;
        }
        self.bytes.partition_point(|at| (*at as usize) < byte) as u32
    }
}

/// White space as Unicode has it, and so the crate; JavaScript's lacks U+0085 and has U+FEFF.
const SPACE: &str = r"\t-\r \x85\xA0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000";

/// What came with Unicode 16, of which no vocabulary knows; JavaScript has no ages.
const NEWER: &str = include_str!("newer.txt");

/// The same pattern for JavaScript's flag `v`.
fn to_js(pattern: &str) -> String {
    let aged = pattern.replace(r"&&\p{Age=15.1}]", &format!("--[{}]]", NEWER.trim()));
    let mut js = String::with_capacity(aged.len());
    let mut depth = 0;
    let mut chars = aged.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('s') => js += &format!("[{SPACE}]"),
                Some('S') => js += &format!("[^{SPACE}]"),
                Some(other @ ('p' | 'P' | 'u')) => {
                    js.extend([c, other]);
                    // What stands in braces is the escape's own.
                    js.extend(chars.by_ref().take_while(|c| *c != '}'));
                    js.push('}');
                }
                Some(other) => js.extend([c, other]),
                None => js.push(c),
            },
            '[' => {
                depth += 1;
                js.push(c);
            }
            ']' => {
                depth -= 1;
                js.push(c);
            }
            // These mean nothing in a class of the crate's, and something in one of JavaScript's.
            '(' | ')' | '{' | '}' | '/' | '|' if depth > 0 => js.extend(['\\', c]),
            _ => js.push(c),
        }
    }
    js
}
