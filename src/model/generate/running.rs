//! A step on the device, and what the host reads of it.

use crate::error::Result;
use crate::gpu::{Buffer, Mapping, Submission};
use crate::model::decoder::{Decoder, Head};

/// A step on the device, and its result, which is asked for at once: nothing is waited for until the
/// host needs it.
#[derive(Debug)]
pub(in crate::model) struct Running {
    submission: Submission,
    staging: Buffer,
    result: Mapping,
    /// Tokens that were guessed to come behind the one that it feeds.
    pub(super) guess: Vec<u32>,
}

impl Running {
    pub(in crate::model) fn new(submission: Submission, staging: Buffer, words: usize) -> Self {
        let result = staging.map(words);
        Self { submission, staging, result, guess: Vec::new() }
    }

    /// Waits for the result; gives the staging buffer back.
    pub(in crate::model) async fn read(self) -> Result<(Vec<u32>, Buffer)> {
        let index = self.submission.accepted().await?;
        Ok((self.result.read(index).await?, self.staging))
    }
}

/// Buffers whose first so many words are a step's result, one behind the other.
#[derive(Debug)]
pub(in crate::model) struct StepResult(Vec<(Buffer, usize)>);

impl StepResult {
    /// The id that was chosen, last; before it a row of log-probabilities and their log-sum-exp, where
    /// the head computes them. Of [`Head::Best`], an id for each row.
    pub(in crate::model) fn new(decoder: &Decoder, head: Head, rows: usize) -> Self {
        if head == Head::Best {
            return Self(vec![(decoder.best().clone(), rows)]);
        }
        let mut pieces = Vec::new();
        if head.log_probs() {
            let [row, log_sum] = decoder.log_probs();
            pieces.push((row.clone(), decoder.vocabulary()));
            pieces.push((log_sum.clone(), 1));
        }
        pieces.push((decoder.ids().clone(), 1));
        Self(pieces)
    }

    pub(super) fn words(&self) -> usize {
        self.0.iter().map(|(_, words)| words).sum()
    }

    /// Commands that copy it to where the host can read it.
    pub(in crate::model) fn copy_to(
        self,
        to: &Buffer,
    ) -> impl FnOnce(&mut wgpu::CommandEncoder) + use<> {
        let to = to.clone();
        move |encoder| {
            let mut at = 0;
            for (from, words) in self.0 {
                let bytes = 4 * words as u64;
                encoder.copy_buffer_to_buffer(from.raw(), 0, to.raw(), at, bytes);
                at += bytes;
            }
        }
    }
}
