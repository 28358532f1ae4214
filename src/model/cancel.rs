//! Giving up what takes long, from another thread or another task.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use crate::error::{Error, Result};

/// A switch that gives up a load. Cheap to clone; clones are one switch.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Gives up whatever looks at this switch, as soon as it looks.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was given up.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// # Errors
    /// [`Error::Cancelled`] with `what`, once it was given up.
    pub fn check(&self, what: &str) -> Result<()> {
        if self.is_cancelled() { Err(Error::Cancelled { what: what.into() }) } else { Ok(()) }
    }

    /// Waits for `work` and drops it where it stands once it was given up. What compiles can be
    /// dropped between two pipelines: [`Session::warm_up`](super::Session::warm_up), for one.
    ///
    /// # Errors
    /// [`Error::Cancelled`] with `what`; those of `work`.
    pub async fn during<T>(&self, what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut work = pin!(work);
        poll_fn(|context| match self.check(what) {
            Ok(()) => work.as_mut().poll(context),
            Err(cancelled) => Poll::Ready(Err(cancelled)),
        })
        .await
    }
}
