//! Pipelines compiled several at a time: a driver needs up to seconds for one, and one core.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex};

use futures_channel::oneshot;

use super::device::{Gpu, lock};
use super::pipeline::{Op, Variant};
use crate::error::Result;
use crate::platform::{self, Beside};

/// What a pipeline is made of.
pub(super) type Wanted = (&'static Op, Variant);

impl Gpu {
    /// Those of `wanted` that this device has not met, each once.
    pub(super) fn unmet<'a>(
        &self,
        wanted: impl Iterator<Item = (&'static Op, &'a Variant)>,
    ) -> Vec<Wanted> {
        let mut seen = HashSet::new();
        let mut is_new = |op, variant| {
            let key = self.pipeline_key(op, variant);
            !self.pipelines().contains_key(&key) && seen.insert(key)
        };
        let unmet = wanted.filter(|&(op, variant)| is_new(op, variant));
        unmet.map(|(op, variant)| (op, variant.clone())).collect()
    }

    /// Compiles all of them; `hear` is called after each. Then the future may be dropped: what has
    /// not begun by then is not compiled.
    ///
    /// # Errors
    /// What the device says of the first that it refuses.
    pub(super) async fn compile_all(
        &self,
        wanted: Vec<Wanted>,
        hear: &mut (dyn FnMut() + Send),
    ) -> Result<()> {
        let mut jobs = VecDeque::new();
        let mut told = Vec::new();
        for (op, variant) in wanted {
            let (tell, outcome) = oneshot::channel();
            told.push((op, variant.clone(), outcome));
            jobs.push_back(Job { op, variant, tell });
        }
        let _lanes = Lanes::open(self, jobs);
        for (op, variant, outcome) in told {
            match outcome.await {
                Ok(outcome) => outcome?,
                // No lane took it, or none came to its end with it.
                Err(oneshot::Canceled) => drop(self.pipeline(op, &variant).await?),
            }
            hear();
            pause().await;
        }
        Ok(())
    }
}

struct Job {
    op: &'static Op,
    variant: Variant,
    tell: oneshot::Sender<Result<()>>,
}

/// What takes jobs from one queue until it is empty. Dropped, they take no more.
struct Lanes {
    queue: Arc<Mutex<VecDeque<Job>>>,
    _beside: Vec<Beside>,
}

impl Lanes {
    fn open(gpu: &Gpu, jobs: VecDeque<Job>) -> Self {
        let count = platform::lanes().min(jobs.len());
        let queue = Arc::new(Mutex::new(jobs));
        let lane = |_| platform::beside(Box::pin(work(gpu.clone(), queue.clone())));
        // One at a time is what the caller can do.
        let beside: Vec<_> = (0..count).filter(|_| count > 1).filter_map(lane).collect();
        if beside.is_empty() {
            lock(&queue).clear();
        }
        Self { queue, _beside: beside }
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        lock(&self.queue).clear();
    }
}

async fn work(gpu: Gpu, queue: Arc<Mutex<VecDeque<Job>>>) {
    let next = || lock(&queue).pop_front();
    while let Some(Job { op, variant, tell }) = next() {
        let outcome = gpu.pipeline(op, &variant).await.map(drop);
        // Nobody listens any more where another was refused.
        let _ = tell.send(outcome);
    }
}

/// Pending once, for whoever polls to look at other things.
pub(super) async fn pause() {
    let mut paused = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut paused, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}
