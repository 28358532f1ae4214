//! What `bench --json` prints and `--compare` reads.

use serde::{Deserialize, Serialize};

/// All that was measured.
#[derive(Serialize, Deserialize, Default)]
pub struct Report {
    /// The program's version.
    pub version: String,
    pub adapter: String,
    pub driver: String,
    /// `software` or `gpu`: which layouts kernels choose.
    pub class: String,
    /// Whether kernels were timed by the device's own clock.
    pub timestamps: bool,
    pub rounds: u32,
    pub ceilings: Vec<Ceiling>,
    pub kernels: Vec<Kernel>,
    pub model: Option<Model>,
    /// What there was no time or room for, and what cannot be measured here.
    pub left_out: Vec<String>,
}

/// What a small kernel that does nothing else reaches.
#[derive(Serialize, Deserialize, Clone)]
pub struct Ceiling {
    /// `copy`, `read`, `multiply_add`, `dot4i8`, `dispatch` or `submit`.
    pub name: String,
    pub value: f64,
    /// `GB/s`, `GFLOP/s`, `Gop/s` or `µs`.
    pub unit: String,
    /// The layout that reached it.
    pub layout: String,
}

/// A kernel at a shape.
#[derive(Serialize, Deserialize, Clone)]
pub struct Kernel {
    pub op: String,
    /// Of the packed operand, else empty.
    pub format: String,
    /// N×K of a multiplication's weights, rows × columns of others.
    pub shape: String,
    /// Rows of x.
    pub m: usize,
    /// Median of the rounds, one run.
    pub seconds: f64,
    /// Bytes that must be moved at least, and operations on floats.
    pub gigabytes_per_second: f64,
    pub gigaflops: f64,
    /// Of what the ceilings of reading and of multiply-adds, measured in the same rounds, allow: the
    /// larger of both shares.
    pub share: f64,
    /// Which of them it is: `read` or `multiply_add`.
    pub bound: String,
}

/// A model as a whole.
#[derive(Serialize, Deserialize, Clone, Default)]
pub struct Model {
    pub name: String,
    /// Of all its files' tensors.
    pub file_bytes: u64,
    pub weight_bytes: u64,
    pub kv_cache: String,
    pub chunk: usize,
    /// Once each, in this order: the device, the weights, the kernels, a prompt's first token.
    pub open_seconds: f64,
    pub load_seconds: f64,
    pub warm_up_seconds: f64,
    pub first_token_seconds: f64,
    pub first_token_prompt: usize,
    /// Of the process and of the device's buffers, after the first token, with room for
    /// `memory_context` tokens.
    pub peak_memory_bytes: Option<u64>,
    pub gpu_bytes: u64,
    pub memory_context: usize,
    pub prefill: Vec<Prefill>,
    pub decode: Vec<Decode>,
    #[serde(default)]
    pub batch: Vec<Batched>,
}

/// A prompt, up to its first token.
#[derive(Serialize, Deserialize, Clone)]
pub struct Prefill {
    pub tokens: usize,
    pub seconds: f64,
    pub tokens_per_second: f64,
    pub rounds: usize,
}

/// Greedy decoding of so many sequences in one step, behind so many tokens each.
#[derive(Serialize, Deserialize, Clone)]
pub struct Batched {
    pub sequences: usize,
    pub context: usize,
    pub seconds_per_step: f64,
    /// Of all sequences together.
    pub tokens_per_second: f64,
    pub rounds: usize,
}

/// Greedy decoding behind so many tokens.
#[derive(Serialize, Deserialize, Clone)]
pub struct Decode {
    pub context: usize,
    /// Steps on the device at once.
    pub in_flight: usize,
    pub seconds_per_token: f64,
    pub tokens_per_second: f64,
    pub dispatches_per_token: usize,
    /// How long the device is busy with a token, by its own clock, and what is left of the token's
    /// time.
    pub device_seconds_per_token: Option<f64>,
    pub host_seconds_per_token: Option<f64>,
    pub rounds: usize,
}
