//! Settings and conversations on disk: a JSON file each, replaced whole or not at all.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use mantissa::model::Message;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::settings::Settings;

/// What was said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// When it was begun, to the millisecond: its file's name, and its place among the others.
    pub id: String,
    /// Questions and answers.
    pub messages: Vec<Message>,
}

impl Conversation {
    /// An empty one.
    pub fn begin() -> Self {
        let now = jiff::Zoned::now().strftime("%Y-%m-%d-%H%M%S-%3f").to_string();
        Self { id: now, messages: Vec::new() }
    }

    /// The beginning of the first question.
    pub fn title(&self) -> String {
        let first = self.messages.first().map_or("New chat", |m| m.content.trim());
        let line = first.lines().next().unwrap_or_default();
        let mut title: String = line.chars().take(48).collect();
        if title.len() < line.len() {
            title.push('…');
        }
        title
    }
}

/// A folder with `settings.json` and `conversations/`.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

/// What a file held, and a word to the user where it could not be read.
pub type Read<T> = (T, Vec<String>);

impl Store {
    /// The folder of the user's programs' data, or that of `MANTISSA_DATA`.
    ///
    /// # Errors
    /// Where the system names none, in words.
    pub fn of_user() -> Result<Self, String> {
        if let Some(folder) = std::env::var_os("MANTISSA_DATA").filter(|f| !f.is_empty()) {
            return Ok(Self::at(folder));
        }
        let user = etcetera::choose_base_strategy()
            .map_err(|e| format!("{e}; name a folder for conversations in MANTISSA_DATA"))?;
        Ok(Self::at(user.data_dir().join("mantissa")))
    }

    /// This folder, which is made when something is written.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Where everything lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn settings_file(&self) -> PathBuf {
        self.folder.join("settings.json")
    }

    fn conversation_file(&self, id: &str) -> PathBuf {
        self.folder.join("conversations").join(format!("{id}.json"))
    }

    /// The settings; the defaults where there are none yet or they cannot be read.
    pub fn settings(&self) -> Read<Settings> {
        let mut words = Vec::new();
        let settings = read(&self.settings_file(), &mut words);
        (settings.unwrap_or_default(), words)
    }

    /// All conversations, the newest first.
    pub fn conversations(&self) -> Read<Vec<Conversation>> {
        let (mut words, mut all) = (Vec::new(), Vec::new());
        let entries = fs::read_dir(self.folder.join("conversations"));
        for path in entries.into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.extension().is_some_and(|e| e == "json")
                && let Some(read) = read::<Conversation>(&path, &mut words)
            {
                // The file's name decides, so that a copied file is a conversation of its own.
                let id = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                all.push(Conversation { id, ..read });
            }
        }
        all.sort_by(|a, b| b.id.cmp(&a.id));
        (all, words)
    }

    /// Writes the settings.
    ///
    /// # Errors
    /// What went wrong with which file, in words.
    pub fn save_settings(&self, settings: &Settings) -> Result<(), String> {
        write(&self.settings_file(), settings)
    }

    /// Writes a conversation.
    ///
    /// # Errors
    /// What went wrong with which file, in words.
    pub fn save(&self, conversation: &Conversation) -> Result<(), String> {
        write(&self.conversation_file(&conversation.id), conversation)
    }

    /// Removes a conversation.
    ///
    /// # Errors
    /// What went wrong with which file, in words.
    pub fn delete(&self, id: &str) -> Result<(), String> {
        let path = self.conversation_file(id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(said(&path, &error)),
            _ => Ok(()),
        }
    }
}

/// Reads a file; one that is no JSON of this kind is renamed, so that nothing overwrites it.
fn read<T: DeserializeOwned>(path: &Path, words: &mut Vec<String>) -> Option<T> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            words.push(said(path, &error));
            return None;
        }
    };
    match serde_json::from_slice(&text) {
        Ok(value) => Some(value),
        Err(error) => {
            words.push(set_aside(path, &error));
            None
        }
    }
}

fn set_aside(path: &Path, problem: &serde_json::Error) -> String {
    let free = |n: &u32| !path.with_extension(format!("broken-{n}")).exists();
    let aside = path.with_extension(format!("broken-{}", (1..).find(free).unwrap_or(0)));
    match fs::rename(path, &aside) {
        Ok(()) => format!(
            "{} could not be read ({problem}). It was set aside as {}.",
            path.display(),
            aside.file_name().unwrap_or_default().to_string_lossy()
        ),
        Err(error) => format!("{}: {problem}; it could not be set aside: {error}", path.display()),
    }
}

fn write(path: &Path, value: &impl Serialize) -> Result<(), String> {
    replace(path, value).map_err(|error| said(path, &error))
}

fn replace(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer_pretty(&mut file, value)?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn said(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}
