//! Linking: a kernel's text is whole WGSL files, one after the other. WGSL does not mind the order
//! of declarations, so nothing is ever substituted into a text; `shaders/README.md` has the rule.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write;

/// One WGSL file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Path below `shaders/`.
    pub path: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// The [`Part`] at this path below `shaders/`, at compile time.
macro_rules! part {
    ($path:literal) => {
        $crate::gpu::Part {
            path: $path,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $path)),
        }
    };
}
pub(crate) use part;

/// A linked kernel, and where each of its lines came from.
#[derive(Debug, Clone, Default)]
pub struct Linked {
    /// The whole text.
    pub text: String,
    /// First line (from 0) of each part, in order.
    starts: Vec<(usize, String)>,
}

impl Linked {
    /// Appends a part's text.
    pub fn push(&mut self, path: &str, text: &str) {
        self.starts.push((self.text.lines().count(), path.into()));
        self.text.push_str(text);
        if !text.ends_with('\n') {
            self.text.push('\n');
        }
    }

    /// The file and line (from 1) behind a line (from 1) of the linked text.
    pub fn locate(&self, line: usize) -> (&str, usize) {
        let before = |(start, _): &&(usize, String)| *start < line;
        match self.starts.iter().rev().find(before) {
            Some((start, path)) => (path, line - start),
            None => ("", line),
        }
    }

    /// `error` of naga's front end or validator at `line`, as file:line and the line itself.
    pub fn describe(&self, line: usize, error: &str) -> String {
        let (path, at) = self.locate(line);
        let text = self.text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        format!("shaders/{path}:{at}: {error}\n    {}", text.trim())
    }
}

/// The names that a format part may use without declaring them: the op part declares them, and
/// under a prefix where it meets two formats.
pub const FORMAT_IMPORTS: &[&str] =
    &["load_word", "load_vec4", "row_word", "slot", "plane", "table"];

/// A format's parts under a prefix, so that two formats can meet in one kernel: every identifier
/// that the parts declare at module scope, or import, gets the prefix; nothing else changes.
pub fn instantiate(parts: &[Part], prefix: &str) -> Vec<(&'static str, Cow<'static, str>)> {
    if prefix.is_empty() {
        return parts.iter().map(|part| (part.path, part.text.into())).collect();
    }
    let mut names: HashSet<&str> = parts.iter().flat_map(|part| declared(part.text)).collect();
    names.extend(FORMAT_IMPORTS);
    let prefixed = |text: &str| {
        let mut out = String::with_capacity(text.len() * 2);
        for token in tokens(text) {
            let prefix = if names.contains(token) { prefix } else { "" };
            let _ = write!(out, "{prefix}{token}");
        }
        out.into()
    };
    parts.iter().map(|part| (part.path, prefixed(part.text))).collect()
}

/// Names declared at module scope (parts declare at the start of a line).
pub fn declared(text: &str) -> impl Iterator<Item = &str> {
    let outermost = text.lines().filter(|line| !line.starts_with(char::is_whitespace));
    outermost.filter_map(|line| {
        let mut words = tokens(line).filter(|t| !t.trim().is_empty());
        match words.next()? {
            "fn" | "struct" | "alias" | "const" | "override" => words.next(),
            "var" => words.skip_while(|t| *t != ">").nth(1),
            _ => None,
        }
    })
}

/// Splits a text into identifiers and single other characters (comments go through as the words
/// they are made of, which is harmless).
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let len = if word(first) {
            rest.find(|c| !word(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (token, tail) = rest.split_at(len);
        rest = tail;
        Some(token)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_renames_whole_identifiers_that_the_part_declares() {
        let shared = "fn shared(d: f32) -> f32 { return d; }\n";
        let text = "struct Block { d: f32 }\nfn decode8(b: Block) -> f32 { return shared(load_word(0u)) + decode80; }\n";
        let part = |text| Part { path: "x.wgsl", text };
        let linked = instantiate(&[part(shared), part(text)], "k_");
        assert_eq!(linked[0].1, "fn k_shared(d: f32) -> f32 { return d; }\n");
        assert_eq!(
            linked[1].1,
            "struct k_Block { d: f32 }\nfn k_decode8(b: k_Block) -> f32 { return k_shared(k_load_word(0u)) + decode80; }\n"
        );
    }

    #[test]
    fn declarations_of_every_kind_are_found() {
        let text = "override T: u32 = 1u;\nconst A = 2;\nalias E = f32;\nvar<workgroup> w: array<u32, 4>;\nfn f() {}\n  fn inner";
        assert_eq!(declared(text).collect::<Vec<_>>(), ["T", "A", "E", "w", "f"]);
    }

    #[test]
    fn lines_are_found_again() {
        let mut linked = Linked::default();
        linked.push("a.wgsl", "one\ntwo\n");
        linked.push("b.wgsl", "three");
        assert_eq!(linked.locate(2), ("a.wgsl", 2));
        assert_eq!(linked.locate(3), ("b.wgsl", 1));
        assert_eq!(linked.describe(3, "bad"), "shaders/b.wgsl:1: bad\n    three");
    }
}
