//! Where the time of a token goes.

use std::sync::Arc;

use web_time::Instant;

use super::decoder::Head;
use super::session::Session;
use crate::error::{Error, Result};
use crate::gpu::Timed;

/// All dispatches of an operation in a step.
#[derive(Debug, Clone, PartialEq)]
pub struct OpTime {
    /// The operation's name.
    pub op: &'static str,
    /// [`Timed::operands`], where it is told apart by them, else empty.
    pub operands: Arc<str>,
    /// How often it was dispatched.
    pub dispatches: usize,
    /// How long the device was busy with it.
    pub seconds: f64,
}

/// A step, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub struct StepProfile {
    /// The dispatches in their order; empty where the device has no timestamps.
    pub dispatches: Vec<Timed>,
    /// How many dispatches the step has.
    pub dispatch_count: usize,
    /// From the submit to the end of the step as one pass, by the host's clock.
    pub seconds: f64,
    /// How long the device was busy with the step as one pass, by its own clock, where it has one.
    pub device_seconds: Option<f64>,
}

impl StepProfile {
    /// Sums by operation, the longest first.
    pub fn by_op(&self) -> Vec<OpTime> {
        self.sums(|_| Arc::default())
    }

    /// Sums by operation and what it works on: its formats and the shape of its weights.
    pub fn by_operands(&self) -> Vec<OpTime> {
        self.sums(|timed| timed.operands.clone())
    }

    fn sums(&self, operands: impl Fn(&Timed) -> Arc<str>) -> Vec<OpTime> {
        let mut ops: Vec<OpTime> = Vec::new();
        for timed in &self.dispatches {
            let (op, operands) = (timed.op, operands(timed));
            match ops.iter_mut().find(|sum| sum.op == op && sum.operands == operands) {
                Some(sum) => {
                    sum.dispatches += 1;
                    sum.seconds += timed.seconds;
                }
                None => ops.push(OpTime { op, operands, dispatches: 1, seconds: timed.seconds }),
            }
        }
        ops.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        ops
    }
}

impl Session {
    /// Takes the step of the last token apart: runs it again, as one pass and with a timestamp
    /// around each dispatch. It writes what the device holds already, so the conversation goes on
    /// as if it had not been.
    ///
    /// # Errors
    /// [`Error::Shape`] for a session without tokens; what the device says.
    pub async fn profile_step(&mut self) -> Result<StepProfile> {
        self.profile_rows(1).await
    }

    /// The same for a step of the last `rows` tokens, as a prompt is processed. Keys and values
    /// that came there in steps of other sizes may change in their last bits.
    ///
    /// # Errors
    /// [`Error::Shape`] where the session has fewer tokens or feeds fewer at a time; what the
    /// device says.
    pub async fn profile_rows(&mut self, rows: usize) -> Result<StepProfile> {
        let most = self.tokens.len().min(self.chunk());
        if !(1..=most).contains(&rows) {
            let expected = format!("1 to {most} rows in a session of {} tokens", self.tokens.len());
            return Err(Error::Shape { op: "profile", expected, got: rows.to_string() });
        }
        self.prefill(&[]).await?;
        let plan = self.decoder.plan((1, rows), Head::Last, &mut |_, _| {}).await?;
        // The step leaves its best token where it read its first.
        let place = |session: &Self| {
            let first = session.tokens.len() - rows;
            session.decoder.ids().write(0, &session.tokens[first..]);
            session.decoder.place(&[session.decoder.span(0, first, rows)]);
        };
        place(self);
        let clock = Instant::now();
        plan.submit()?.finish().await?;
        let seconds = clock.elapsed().as_secs_f64();
        place(self);
        let device_seconds = plan.time_whole(1).await?;
        place(self);
        let dispatches = plan.time().await?.unwrap_or_default();
        Ok(StepProfile { dispatches, dispatch_count: plan.len(), seconds, device_seconds })
    }

    /// Appends tokens without computing their keys and values: the cache keeps what it holds there,
    /// zeros at first. For measuring what a long context costs without having to process it; what
    /// such a session says means nothing.
    ///
    /// # Errors
    /// [`Error::Token`] and [`Error::ContextFull`].
    pub fn append_uncomputed(&mut self, tokens: &[u32]) -> Result<()> {
        self.append(tokens)?;
        self.fed = self.tokens.len();
        Ok(())
    }
}
