//! Chat templates: from messages to the one text that the model was trained to continue.
//!
//! A file carries its template as Jinja source; it is rendered as Hugging Face's
//! `apply_chat_template` does: blocks trimmed, `raise_exception`, `strftime_now`, Python's string
//! methods, `tools` and `documents` none.

mod builtins;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{Environment, ErrorKind, context};

use crate::error::{Error, Result};
use crate::model::gguf::Metadata;

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Message {
    /// Who speaks: `system`, `user`, `assistant`, or another name that the template knows.
    pub role: String,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A turn of `role`.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into() }
    }

    /// A turn of the user.
    pub fn user(content: impl Into<String>) -> Self {
        Self::new("user", content)
    }

    /// A turn of the model.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self::new("assistant", content)
    }

    /// What the model is told before the conversation.
    pub fn system(content: impl Into<String>) -> Self {
        Self::new("system", content)
    }
}

/// Instructions of minijinja that one rendering may take (a turn takes some tens): a template in a
/// hostile file must end.
const FUEL: u64 = 2_000_000;

/// Bytes of source (the largest that are in use have some 30 KB), and of a rendered conversation.
const MAX_SOURCE: usize = 128 << 10;
const MAX_TEXT: usize = 64 << 20;

/// minijinja's parser bounds brackets, not chains: `1+1+…` is as deep as it is long, and compiling
/// and dropping it recurse. This is 4 KiB for each two bytes of source; only what is used of
/// it takes memory.
const STACK: usize = 256 << 20;

const NAME: &str = "tokenizer.chat_template";

/// ChatML, which llama.cpp assumes for a file without a template. Here it is used only where the
/// vocabulary has its two markers.
const CHATML: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + \
    message['content'] + '<|im_end|>\n' }}{% endfor %}\
    {% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// A template that is compiled once and rendered often.
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    bos: String,
    eos: String,
}

impl ChatTemplate {
    /// Compiles Jinja `source`; `bos` and `eos` are the texts of the tokens that begin and end a
    /// sequence, empty where the model has none. Errors: [`Error::Template`] with the line.
    pub fn new(source: &str, bos: &str, eos: &str) -> Result<Self> {
        if source.len() > MAX_SOURCE {
            let problem = format!("{} bytes are too long; at most {MAX_SOURCE}", source.len());
            return Err(Error::Template(minijinja::Error::new(ErrorKind::SyntaxError, problem)));
        }
        let environment = guarded(|| compile(source))?;
        Ok(Self { environment, bos: bos.to_owned(), eos: eos.to_owned() })
    }

    /// The template of a file, or ChatML where the file has none but the vocabulary has ChatML's
    /// markers (llama.cpp takes ChatML in any case). Errors: [`Error::Config`] where there is
    /// neither; [`Error::Template`] for source that is no template.
    pub fn from_gguf(metadata: &Metadata) -> Result<Self> {
        let tokens = metadata.strings("tokenizer.ggml.tokens")?.unwrap_or_default();
        let token = |key: &str| -> Result<&str> {
            let id = metadata.usize(key)?;
            Ok(id.and_then(|id| tokens.get(id)).map_or("", String::as_str))
        };
        let (bos, eos) =
            (token("tokenizer.ggml.bos_token_id")?, token("tokenizer.ggml.eos_token_id")?);
        let has = |text: &str| tokens.iter().any(|t| t == text);
        match metadata.str(NAME)? {
            Some(source) => Self::new(source, bos, eos),
            None if has("<|im_start|>") && has("<|im_end|>") => Self::new(CHATML, bos, eos),
            None => Err(Error::config(
                NAME,
                "missing: this model has no chat format; continue plain text instead (--raw)",
            )),
        }
    }

    /// The conversation as one text; `add_generation_prompt` ends it where the answer begins.
    /// Errors: [`Error::Template`] with the template's own complaint (`raise_exception`) or its
    /// line; [`Error::InvalidOption`] for no messages.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        if messages.is_empty() {
            let (name, allowed) = ("messages", "one message or more");
            return Err(Error::InvalidOption { name, value: "empty".into(), allowed });
        }
        let messages: Vec<Value> = messages
            .iter()
            .map(|m| context! { role => m.role.as_str(), content => m.content.as_str() })
            .collect();
        let context = context! {
            messages, add_generation_prompt,
            bos_token => self.bos.as_str(), eos_token => self.eos.as_str(),
            tools => Value::from(()), documents => Value::from(()),
        };
        let template = self.environment.get_template(NAME).map_err(Error::Template)?;
        let text = guarded(|| {
            let mut text = Bounded(Vec::new());
            template.render_captured_to(context.clone(), &mut text).map(|_| text.0)
        })?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

fn compile(source: &str) -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_fuel(Some(FUEL));
    builtins::add(&mut environment);
    environment.add_template_owned(NAME, prepare(source))?;
    Ok(environment)
}

/// Runs `f` in a thread with a large stack; in a page, which has no threads, where it stands. minijinja
/// 3.0.5 panics on `''[::-1]`, and a file must not end the program: a panic is an error.
fn guarded<T: Send>(f: impl Fn() -> Result<T, minijinja::Error> + Sync) -> Result<T> {
    let caught = || catch_unwind(AssertUnwindSafe(&f));
    let result = thread::scope(|scope| {
        match thread::Builder::new().stack_size(STACK).spawn_scoped(scope, caught) {
            Ok(thread) => thread.join().flatten(),
            Err(_) => caught(),
        }
    });
    let failed = |_| Err(builtins::invalid("the engine failed on it"));
    result.unwrap_or_else(failed).map_err(Error::Template)
}

/// A text that a template cannot make longer than [`MAX_TEXT`].
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_TEXT {
            return Err(io::Error::other(format!("over {MAX_TEXT} bytes of text")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Jinja makes every line break of a source a line feed. `{% generation %}` marks what to train on
/// and prints nothing; Jinja itself does not know it.
fn prepare(source: &str) -> String {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let mut prepared = String::with_capacity(source.len());
    let mut rest = source.as_str();
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at);
        prepared.push_str(before);
        match generation_tag(&tag[2..]) {
            Some((open, word, close, after)) => {
                prepared += &format!("{{%{open} {word} {close}%}}");
                rest = after;
            }
            None => {
                prepared.push_str("{%");
                rest = &tag[2..];
            }
        }
    }
    prepared + rest
}

/// The signs of a `generation` tag, what stands for it, and the text behind it.
fn generation_tag(text: &str) -> Option<(&str, &'static str, &str, &str)> {
    let sign = |text: &str| usize::from(text.starts_with(['-', '+']));
    let (open, text) = text.split_at(sign(text));
    let text = text.trim_start();
    let (word, text) = match text.strip_prefix("end") {
        Some(text) => ("endif", text),
        None => ("if true", text),
    };
    let text = text.strip_prefix("generation")?.trim_start();
    let (close, text) = text.split_at(sign(text));
    Some((open, word, close, text.strip_prefix("%}")?))
}
