//! What the user has chosen, as it stands on disk.

use std::path::PathBuf;

use mantissa::model::SamplerOptions;
use serde::{Deserialize, Serialize};

/// Everything that outlives the window; what a file lacks has its default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// What the model is told before each conversation.
    pub system_prompt: String,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// The model that was loaded last; `None`: the default model.
    pub model: Option<PathBuf>,
    /// Models that were loaded before, the last one first.
    pub recent: Vec<PathBuf>,
    /// The adapter's name; empty: that of the window.
    pub adapter: String,
    /// Whether the model may run on the window's device.
    pub sharing: Sharing,
    /// Tokens that a conversation can hold.
    pub context: usize,
    /// The number format of keys and values.
    pub kv_cache: String,
    /// Dark, light, or as the system has it.
    pub theme: Theme,
    /// The size of everything, 1 being the system's.
    pub scale: f32,
    /// Whether the live numbers are shown.
    pub numbers: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            system_prompt: "You are a helpful assistant.".into(),
            sampling: Sampling::default(),
            model: None,
            recent: Vec::new(),
            adapter: String::new(),
            sharing: Sharing::Automatic,
            context: 2048,
            kv_cache: KV_FORMATS[0].into(),
            theme: Theme::System,
            scale: 1.0,
            numbers: true,
        }
    }
}

/// Formats that keys and values can have.
pub const KV_FORMATS: [&str; 3] = ["f32", "f16", "q8_0"];

const MAX_RECENT: usize = 8;

impl Settings {
    /// Notes that a model was loaded.
    pub fn loaded(&mut self, model: Option<PathBuf>) {
        if let Some(path) = &model {
            self.recent.retain(|recent| recent != path);
            self.recent.insert(0, path.clone());
            self.recent.truncate(MAX_RECENT);
        }
        self.model = model;
    }
}

/// How tokens are chosen, and how many.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sampling {
    /// 0 always takes the best token.
    pub temperature: f32,
    /// Of so many of the best tokens; 0: of all.
    pub top_k: usize,
    /// Of the best tokens up to this probability.
    pub top_p: f32,
    /// Of tokens at least this probable, as a share of the best one.
    pub min_p: f32,
    /// Makes what was said before less likely.
    pub repeat_penalty: f32,
    /// The same seed gives the same answer.
    pub seed: u64,
    /// The longest answer.
    pub max_tokens: usize,
}

impl Default for Sampling {
    fn default() -> Self {
        let SamplerOptions { top_k, top_p, min_p, repeat_penalty, seed, .. } =
            SamplerOptions::default();
        Self { temperature: 0.0, top_k, top_p, min_p, repeat_penalty, seed, max_tokens: 512 }
    }
}

impl Sampling {
    /// The library's options.
    pub fn options(&self) -> SamplerOptions {
        let Self { temperature, top_k, top_p, min_p, repeat_penalty, seed, .. } = *self;
        let others = SamplerOptions::default();
        SamplerOptions { temperature, top_k, top_p, min_p, repeat_penalty, seed, ..others }
    }
}

/// Whether the model may run on the device that draws the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sharing {
    /// Where the adapter is a GPU and has all that is needed.
    Automatic,
    /// Wherever it has all that is needed.
    Always,
    /// Nowhere.
    Never,
}

/// The window's colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    /// As the system has it.
    System,
    /// Light on dark.
    Dark,
    /// Dark on light.
    Light,
}
