//! What a template may call: as Hugging Face has it, and within bounds, since a template in a hostile
//! file may ask for any width.

use jiff::{Zoned, fmt::strtime};
use minijinja::value::{Kwargs, Rest, StringInput, Value, ValueOrKwargs};
use minijinja::{Environment, ErrorKind, State};
use minijinja_contrib::pycompat;

/// No indentation is as wide.
const MAX_INDENT: usize = 1000;

/// No column is as wide, and no other number in a text that is formatted (a year) as large.
const MAX_COLUMN: usize = 1_000_000;

/// Puts them in place of minijinja's own.
pub(super) fn add(environment: &mut Environment<'static>) {
    environment.set_unknown_method_callback(method);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", strftime_now);
    environment.add_filter("tojson", tojson);
    environment.add_filter("indent", indent);
    environment.add_filter("format", format);
    // They allocate whatever count they are given, and lay out pages, not chats.
    for filter in ["batch", "slice"] {
        environment.remove_filter(filter);
    }
}

pub(super) fn invalid(problem: impl Into<std::borrow::Cow<'static, str>>) -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, problem)
}

/// minijinja's filter; it allocates whatever width it is asked for.
fn indent(
    text: StringInput<'_>,
    width: Option<usize>,
    first: Option<bool>,
    blank: Option<bool>,
    kwargs: Kwargs,
) -> Result<Value, minijinja::Error> {
    let width = match width {
        None => kwargs.get::<Option<usize>>("width")?,
        given => given,
    };
    bounded(width, MAX_INDENT)?;
    minijinja::filters::indent(text, width, first, blank, kwargs)
}

fn bounded(width: Option<usize>, limit: usize) -> Result<(), minijinja::Error> {
    match width {
        Some(width) if width >= limit => {
            Err(invalid(format!("a width of {width}; it must be below {limit}")))
        }
        _ => Ok(()),
    }
}

/// minijinja's filter, printf's way.
fn format(
    state: &mut State,
    text: &Value,
    args: Rest<ValueOrKwargs>,
) -> Result<Value, minijinja::Error> {
    let given: Vec<Value> = args.iter().map(|arg| Value::from(arg.clone())).collect();
    bounded_widths(text, &given)?;
    minijinja::filters::format(state, text, args)
}

/// Python's methods, of which `str.format` pads too.
fn method(
    state: &mut State,
    value: &Value,
    name: &str,
    args: &[Value],
) -> Result<Value, minijinja::Error> {
    if name == "format" {
        bounded_widths(value, args)?;
    }
    pycompat::unknown_method_callback(state, value, name, args)
}

/// A width stands in the text as digits, or among the arguments where the text says so (`%*d`, `{:{}}`).
fn bounded_widths(text: &Value, args: &[Value]) -> Result<(), minijinja::Error> {
    let text = text.as_str().unwrap_or_default();
    for digits in text.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty()) {
        bounded(Some(digits.parse().unwrap_or(usize::MAX)), MAX_COLUMN)?;
    }
    if text.contains('*') || text.contains(":{") {
        args.iter().try_for_each(|arg| bounded(arg.as_usize(), MAX_COLUMN))?;
    }
    Ok(())
}

fn raise_exception(message: String) -> Result<Value, minijinja::Error> {
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
}

fn strftime_now(format: &str) -> Result<String, minijinja::Error> {
    strtime::format(format, &Zoned::now()).map_err(|e| {
        minijinja::Error::new(ErrorKind::InvalidOperation, format!("strftime_now({format:?}): {e}"))
    })
}

/// Python's `json.dumps(ensure_ascii=False)`: minijinja's text without its escapes for HTML.
fn tojson(value: &Value, indent: Option<Value>, kwargs: Kwargs) -> Result<Value, minijinja::Error> {
    let width = match &indent {
        Some(width) => width.as_usize(),
        None => kwargs.get::<Option<Value>>("indent")?.and_then(|width| width.as_usize()),
    };
    bounded(width, MAX_INDENT)?;
    let json = minijinja::filters::tojson(value, indent, kwargs)?;
    let json = json.as_str().unwrap_or_default();
    let mut plain = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let escape = &rest[at..];
        let html = [("\\u003c", '<'), ("\\u003e", '>'), ("\\u0026", '&'), ("\\u0027", '\'')];
        if let Some((text, char)) = html.iter().find(|(text, _)| escape.starts_with(text)) {
            plain.push(*char);
            rest = &escape[text.len()..];
        } else {
            // A backslash and the ASCII character that it escapes; `\\u003c` is text, not an escape.
            let end = escape.len().min(2);
            plain.push_str(&escape[..end]);
            rest = &escape[end..];
        }
    }
    plain.push_str(rest);
    Ok(Value::from(plain))
}
