//! Where the time of a token goes.

use web_time::Instant;

use super::decoder::Head;
use super::session::Session;
use crate::error::{Error, Result};
use crate::gpu::Timed;

/// All dispatches of an operation in a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OpTime {
    /// The operation's name.
    pub op: &'static str,
    /// How often it was dispatched.
    pub dispatches: usize,
    /// How long the device was busy with it.
    pub seconds: f64,
}

/// A decode step, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub struct StepProfile {
    /// The dispatches in their order; empty where the device has no timestamps.
    pub dispatches: Vec<Timed>,
    /// From the submit to the end of the step as one pass, by the host's clock.
    pub seconds: f64,
}

impl StepProfile {
    /// Sums by operation, the longest first.
    pub fn by_op(&self) -> Vec<OpTime> {
        let mut ops: Vec<OpTime> = Vec::new();
        for timed in &self.dispatches {
            match ops.iter_mut().find(|op| op.op == timed.op) {
                Some(op) => {
                    op.dispatches += 1;
                    op.seconds += timed.seconds;
                }
                None => ops.push(OpTime { op: timed.op, dispatches: 1, seconds: timed.seconds }),
            }
        }
        ops.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        ops
    }
}

impl Session {
    /// Takes the step of the last token apart: runs it twice again, as one pass and with a
    /// timestamp around each dispatch. It writes what the device holds already, so the conversation
    /// goes on as if it had not been.
    ///
    /// # Errors
    /// [`Error::Shape`] for a session without tokens; what the device says.
    pub async fn profile_step(&mut self) -> Result<StepProfile> {
        let Some(&last) = self.tokens().last() else {
            let (expected, got) = ("a session with tokens".into(), "none".into());
            return Err(Error::Shape { op: "profile", expected, got });
        };
        self.prefill(&[]).await?;
        let plan = self.decoder.plan(1, Head::Last, &mut |_, _| {}).await?;
        // The step leaves its best token where it read its own.
        let place = |session: &Self| {
            session.decoder.ids().write(0, &[last]);
            session.decoder.place(session.tokens().len() - 1, 1);
        };
        place(self);
        let clock = Instant::now();
        plan.submit()?.finish().await?;
        let seconds = clock.elapsed().as_secs_f64();
        place(self);
        let dispatches = plan.time().await?.unwrap_or_default();
        Ok(StepProfile { dispatches, seconds })
    }
}
