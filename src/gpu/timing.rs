//! How long each dispatch of a plan takes, from the device's own clock.
//!
//! Every dispatch runs in a pass of its own between two timestamps, so the sum is more than the
//! plan takes as one pass; what it costs to begin a pass is part of no dispatch.

use super::buffer::Buffer;
use super::plan::Plan;
use crate::error::Result;

/// A dispatch, and how long the device was busy with it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timed {
    /// The operation's name.
    pub op: &'static str,
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
        let words = 2 * self.dispatches.len() * WORDS;
        let resolved = Buffer::queries(&self.gpu, "timestamps", words).await?;
        let staging = Buffer::staging(&self.gpu, "timestamps (read)", words).await?;
        let sets = self.gpu.scoped("timestamps", 0, |device| self.query_sets(device)).await?;
        let submission = self.gpu.submit(&self.label, |encoder| {
            self.encode_timed(encoder, &sets, &resolved);
            encoder.copy_buffer_to_buffer(resolved.raw(), 0, staging.raw(), 0, words as u64 * 4);
        })?;
        let index = submission.accepted().await?;
        let ticks: Vec<u64> = staging.read_mapped(words, index).await?;
        let period = f64::from(self.gpu.queue().get_timestamp_period()) * 1e-9;
        // A device's clock may be reset between two readings.
        let seconds = ticks.chunks_exact(2).map(|t| t[1].saturating_sub(t[0]) as f64 * period);
        let timed = self.dispatches.iter().zip(seconds);
        Ok(Some(timed.map(|(d, seconds)| Timed { op: d.op, seconds }).collect()))
    }

    fn query_sets(&self, device: &wgpu::Device) -> Vec<wgpu::QuerySet> {
        let set = |count: usize| {
            device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("timestamps"),
                ty: wgpu::QueryType::Timestamp,
                count: 2 * count as u32,
            })
        };
        self.dispatches.chunks(PER_SET).map(|dispatches| set(dispatches.len())).collect()
    }

    fn encode_timed(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        sets: &[wgpu::QuerySet],
        resolved: &Buffer,
    ) {
        for ((dispatches, set), n) in self.dispatches.chunks(PER_SET).zip(sets).zip(0..) {
            for (dispatch, i) in dispatches.iter().zip(0..) {
                let writes = wgpu::ComputePassTimestampWrites {
                    query_set: set,
                    beginning_of_pass_write_index: Some(2 * i),
                    end_of_pass_write_index: Some(2 * i + 1),
                };
                let descriptor = wgpu::ComputePassDescriptor {
                    label: Some(dispatch.op),
                    timestamp_writes: Some(writes),
                };
                dispatch.encode(&mut encoder.begin_compute_pass(&descriptor));
            }
            let at = n * (2 * PER_SET * WORDS * 4) as u64;
            encoder.resolve_query_set(set, 0..2 * dispatches.len() as u32, resolved.raw(), at);
        }
    }
}
