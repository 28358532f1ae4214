//! How long each dispatch of a plan takes, from the device's own clock.
//!
//! Every dispatch runs in a pass of its own between two timestamps, so the sum is more than the
//! plan takes as one pass; what it costs to begin a pass is part of no dispatch.

use std::sync::Arc;

use super::buffer::Buffer;
use super::device::{Gpu, Submission};
use super::plan::Plan;
use crate::error::Result;

/// A dispatch, and how long the device was busy with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Timed {
    /// The operation's name.
    pub op: &'static str,
    /// The formats of its packed operands and their rows and columns, where it has such.
    pub operands: Arc<str>,
    /// How long it took.
    pub seconds: f64,
}

/// Dispatches of a query set: WebGPU allows 4096 queries in one.
const PER_SET: usize = wgpu::QUERY_SET_MAX_QUERIES as usize / 2;

/// A timestamp is two words.
const WORDS: usize = 2;

impl Plan {
    /// Runs the plan once and times each dispatch; `None`, and nothing is run, where the device has
    /// no timestamps ([`Gpu::has_timestamps`](super::Gpu::has_timestamps)). Browsers round them to
    /// 0.1 ms.
    ///
    /// # Errors
    /// What the device says.
    pub async fn time(&self) -> Result<Option<Vec<Timed>>> {
        if !self.gpu.has_timestamps() {
            return Ok(None);
        }
        let stamps = Stamps::new(&self.gpu, self.dispatches.len()).await?;
        let submission = self.gpu.submit(&self.label, |encoder| {
            self.encode_timed(encoder, &stamps.sets, &stamps.resolved);
            stamps.encode_read(encoder);
        })?;
        let seconds = stamps.read(&self.gpu, submission).await?;
        let timed = self.dispatches.iter().zip(seconds);
        let timed =
            timed.map(|(d, seconds)| Timed { op: d.op, operands: d.operands.clone(), seconds });
        Ok(Some(timed.collect()))
    }

    /// Runs the plan `runs` times as one pass, and tells how long the device was busy with all of
    /// it; `None`, and nothing is run, where the device has no timestamps.
    ///
    /// # Errors
    /// What the device says.
    pub async fn time_whole(&self, runs: usize) -> Result<Option<f64>> {
        if !self.gpu.has_timestamps() {
            return Ok(None);
        }
        let stamps = Stamps::new(&self.gpu, 1).await?;
        let submission = self.gpu.submit(&self.label, |encoder| {
            let timestamp_writes = stamps.sets.first().map(|set| pass_writes(set, 0));
            let label = Some(self.label.as_str());
            let descriptor = wgpu::ComputePassDescriptor { label, timestamp_writes };
            let mut pass = encoder.begin_compute_pass(&descriptor);
            for _ in 0..runs {
                self.encode_in(&mut pass);
            }
            drop(pass);
            for set in &stamps.sets {
                encoder.resolve_query_set(set, 0..2, stamps.resolved.raw(), 0);
            }
            stamps.encode_read(encoder);
        })?;
        Ok(stamps.read(&self.gpu, submission).await?.first().copied())
    }

    fn encode_timed(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        sets: &[wgpu::QuerySet],
        resolved: &Buffer,
    ) {
        for ((dispatches, set), n) in self.dispatches.chunks(PER_SET).zip(sets).zip(0..) {
            for (dispatch, i) in dispatches.iter().zip(0..) {
                let descriptor = wgpu::ComputePassDescriptor {
                    label: Some(dispatch.op),
                    timestamp_writes: Some(pass_writes(set, i)),
                };
                dispatch.encode(&mut encoder.begin_compute_pass(&descriptor));
            }
            let at = n * (2 * PER_SET * WORDS * 4) as u64;
            encoder.resolve_query_set(set, 0..2 * dispatches.len() as u32, resolved.raw(), at);
        }
    }
}

/// Timestamps around the `i`th pass of a set.
fn pass_writes(set: &wgpu::QuerySet, i: u32) -> wgpu::ComputePassTimestampWrites<'_> {
    wgpu::ComputePassTimestampWrites {
        query_set: set,
        beginning_of_pass_write_index: Some(2 * i),
        end_of_pass_write_index: Some(2 * i + 1),
    }
}

/// Room for a beginning and an end of each of some passes.
struct Stamps {
    sets: Vec<wgpu::QuerySet>,
    resolved: Buffer,
    staging: Buffer,
    words: usize,
}

impl Stamps {
    async fn new(gpu: &Gpu, passes: usize) -> Result<Self> {
        let words = 2 * passes * WORDS;
        let resolved = Buffer::queries(gpu, "timestamps", words).await?;
        let staging = Buffer::staging(gpu, "timestamps (read)", words).await?;
        let sets = gpu.scoped("timestamps", 0, |device| query_sets(device, passes)).await?;
        Ok(Self { sets, resolved, staging, words })
    }

    /// Copies what was resolved to where the host reads it.
    fn encode_read(&self, encoder: &mut wgpu::CommandEncoder) {
        let (from, to) = (self.resolved.raw(), self.staging.raw());
        encoder.copy_buffer_to_buffer(from, 0, to, 0, self.words as u64 * 4);
    }

    /// How long each pass of the submission took.
    async fn read(&self, gpu: &Gpu, submission: Submission) -> Result<Vec<f64>> {
        let index = submission.accepted().await?;
        let ticks: Vec<u64> = self.staging.read_mapped(self.words, index).await?;
        let period = f64::from(gpu.queue().get_timestamp_period()) * 1e-9;
        // A device's clock may be reset between two readings.
        let seconds = |t: &[u64]| t[1].saturating_sub(t[0]) as f64 * period;
        Ok(ticks.chunks_exact(2).map(seconds).collect())
    }
}

fn query_sets(device: &wgpu::Device, passes: usize) -> Vec<wgpu::QuerySet> {
    let set = |first| {
        device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("timestamps"),
            ty: wgpu::QueryType::Timestamp,
            count: 2 * PER_SET.min(passes - first) as u32,
        })
    };
    (0..passes).step_by(PER_SET).map(set).collect()
}
