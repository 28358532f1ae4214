//! The one error type of the crate: values, not strings, so that a program can act on them and a
//! person can read what is wrong with what, and what to do.

/// Shorthand for a [`std::result::Result`] with [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, named by the thing it went wrong with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading or writing failed in the operating system.
    #[error("{what}: {source}")]
    Io {
        /// The file or stream.
        what: String,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A model file breaks the rules of its own format; nothing of it was used.
    #[error("{file}: {problem}")]
    Malformed {
        /// The file as the user named it.
        file: String,
        /// What is wrong, with the values that disagree.
        #[source]
        problem: crate::model::checkpoint::FileProblem,
    },
    /// A tensor is stored in a type that this build cannot decode.
    #[error("tensor {tensor}: type {type_name} is not supported; this build reads {supported}")]
    UnsupportedType {
        /// The tensor's name in the file.
        tensor: String,
        /// The type's name, or its number where it has none.
        type_name: String,
        /// The names that this build knows.
        supported: String,
    },
    /// No number format has this name.
    #[error("no number format is called {name:?}; known: {known}")]
    UnknownFormat {
        /// The name that was asked for.
        name: String,
        /// All the names there are.
        known: String,
    },
    /// An exception of a recipe cannot be understood.
    #[error("{rule:?}: {problem}")]
    Rule {
        /// The exception as it was given.
        rule: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A weight is no number, so that no format can hold it and no block that it is part of.
    #[error(
        "tensor {tensor}: the weight in row {row}, column {column} is {value}; the file is broken"
    )]
    WeightNotFinite {
        /// The tensor's name.
        tensor: String,
        /// Its row, from 0.
        row: usize,
        /// Its place in the row, from 0.
        column: usize,
        /// NaN or an infinity.
        value: f32,
    },
    /// A kind of file has no place for a number format.
    #[error("tensor {tensor}: {file} cannot hold {format}; write a .safetensors file instead")]
    NoPlace {
        /// The tensor's name.
        tensor: String,
        /// The format that it was to get.
        format: String,
        /// The kind of file.
        file: String,
    },
    /// The model's description lacks something that its architecture needs, or contradicts itself.
    #[error("model: {key}: {problem}")]
    Config {
        /// The metadata key or tensor name.
        key: String,
        /// What is missing or contradictory, with its values.
        problem: String,
    },
    /// Two shapes that must agree do not.
    #[error("{op}: expected {expected}, got {got}")]
    Shape {
        /// The operation or argument.
        op: &'static str,
        /// What would have been right.
        expected: String,
        /// What was given.
        got: String,
    },
    /// The prompt and what is to be generated do not fit the context.
    #[error(
        "{tokens} tokens do not fit a context of {context}; shorten the prompt or raise --context"
    )]
    ContextFull {
        /// Tokens that were to be held.
        tokens: usize,
        /// The session's context length.
        context: usize,
    },
    /// A token id lies outside the vocabulary.
    #[error("token {id} is outside the vocabulary of {vocabulary}")]
    Token {
        /// The id.
        id: u32,
        /// The number of tokens that the model knows.
        vocabulary: usize,
    },
    /// An option lies outside what it may be.
    #[error("{name} is {value}; it must be {allowed}")]
    InvalidOption {
        /// The option's name.
        name: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// The file's tokenizer cannot be built or used.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// The file's chat template cannot be rendered.
    #[error("chat template: {0}")]
    Template(#[source] minijinja::Error),
    /// No adapter answers the request.
    #[error(
        "no {wanted} adapter; found: {found}. Install a Vulkan driver (software: mesa-vulkan-drivers) or name another with --adapter"
    )]
    NoAdapter {
        /// What was asked for.
        wanted: String,
        /// The adapters there are.
        found: String,
    },
    /// The adapter refused to give a device.
    #[error("adapter {adapter}: {reason}")]
    NoDevice {
        /// The adapter's name.
        adapter: String,
        /// The driver's reason.
        reason: String,
    },
    /// The adapter lacks what is needed.
    #[error("{what}: needs {needed}, but the adapter's limit {limit} is {available}")]
    Limit {
        /// The thing that does not fit.
        what: String,
        /// How much it needs.
        needed: u64,
        /// The limit's name.
        limit: &'static str,
        /// How much the adapter gives.
        available: u64,
    },
    /// The device has no memory left for this.
    #[error(
        "{what}: no memory for {bytes} bytes on this adapter (limit: {limit}); use a smaller --context, a smaller model or another --adapter"
    )]
    OutOfMemory {
        /// What was to be allocated.
        what: String,
        /// Its size.
        bytes: u64,
        /// The bytes that there are for it: of the program's own budget or of the machine's memory,
        /// or those in use when a device refused more.
        limit: u64,
    },
    /// The driver rejected a command; its results would be meaningless and are not returned.
    #[error("{what}: the GPU rejected a command: {reason}")]
    Gpu {
        /// The dispatch, buffer or pipeline.
        what: String,
        /// The driver's reason.
        reason: String,
    },
    /// The device is gone (driver reset, unplugged, destroyed). Ask for a new one and rebuild.
    #[error("the GPU device was lost ({reason}); rebuild the session on a new device to go on")]
    DeviceLost {
        /// The driver's reason.
        reason: String,
    },
    /// The program asked for it to be given up.
    #[error("{what} was cancelled")]
    Cancelled {
        /// What was given up.
        what: String,
    },
    /// The GPU did not finish in time.
    #[error("{what}: the GPU did not answer within {seconds} s")]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The logits hold a NaN or +inf, or nothing but -inf, so no token can be chosen from them.
    #[error(
        "the logits at position {position} are not finite; the model file or the driver is broken"
    )]
    NotFinite {
        /// The position in the context.
        position: usize,
    },
}

impl Error {
    /// An [`Error::Io`] about `what`.
    pub fn io(what: impl std::fmt::Display, source: std::io::Error) -> Self {
        Self::Io { what: what.to_string(), source }
    }

    /// An [`Error::Malformed`] about `file`.
    pub(crate) fn malformed(
        file: impl Into<String>,
        problem: impl Into<crate::model::checkpoint::FileProblem>,
    ) -> Self {
        Self::Malformed { file: file.into(), problem: problem.into() }
    }

    /// An [`Error::Config`] about `key`.
    pub fn config(key: impl Into<String>, problem: impl std::fmt::Display) -> Self {
        Self::Config { key: key.into(), problem: problem.to_string() }
    }
}
