//! Waiting for the device. Firefox tells that work is done, or a buffer mapped, on a tick of 100 ms,
//! or when something is submitted; so where that is found to be so, an empty list is submitted every few
//! milliseconds while a future is waited for.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;

use futures_channel::oneshot;
use wasm_bindgen_futures::JsFuture;
use web_time::Instant;

use super::browser;
use crate::error::{Error, Result};
use crate::gpu::Gpu;

/// How a device has to be waited for.
#[derive(Debug)]
pub(crate) struct Pace {
    needs_submits: bool,
    /// How long the last wait took.
    last_ms: AtomicU32,
}

/// An idle device that takes longer than this to say so is on a tick.
const PROMPT_MS: u128 = 30;

impl Pace {
    /// Asks an idle queue whether it is done. The first answer may come early, at the end of a tick
    /// that has begun before; the second comes a whole tick later.
    pub(crate) async fn measure(queue: &wgpu::Queue) -> Self {
        let mut last = 0;
        for _ in 0..2 {
            let start = Instant::now();
            let (tell, told) = oneshot::channel();
            queue.submit([]);
            queue.on_submitted_work_done(move || {
                let _ = tell.send(());
            });
            // A queue that drops the question is lost, as whatever comes next will find.
            let _ = told.await;
            last = start.elapsed().as_millis();
        }
        Self { needs_submits: last > PROMPT_MS, last_ms: AtomicU32::new(0) }
    }

    /// How long from one empty submission to the next. They take time from the cores that a software device
    /// computes on, more than in proportion where they come early in a step: a step of 33 ms took 30.5 with
    /// one each 4 ms. Waits are mostly as long as the last one, and an answer is late by an eighth of that,
    /// or 4 ms, at most.
    fn interval_ms(&self) -> f64 {
        (f64::from(self.last_ms.load(Ordering::Relaxed)) / 8.0).clamp(1.0, 4.0)
    }
}

/// Waits until all that was submitted has run.
pub(crate) async fn wait(gpu: &Gpu, what: &str, _: wgpu::SubmissionIndex) -> Result<()> {
    let (tell, told) = oneshot::channel();
    gpu.queue().on_submitted_work_done(move || {
        let _ = tell.send(());
    });
    let lost = |_| Error::Gpu { what: what.into(), reason: "the queue did not answer".into() };
    drive(gpu, told).await.map_err(lost)
}

/// Waits for what a callback of the device's will tell.
pub(crate) async fn told<T>(
    gpu: &Gpu,
    _what: &str,
    _: wgpu::SubmissionIndex,
    told: oneshot::Receiver<T>,
) -> Result<Result<T, oneshot::Canceled>> {
    Ok(drive(gpu, told).await)
}

async fn drive<T>(gpu: &Gpu, future: impl Future<Output = T>) -> T {
    let pace = gpu.pace();
    if !pace.needs_submits {
        return future.await;
    }
    let (start, interval, mut future) = (Instant::now(), pace.interval_ms(), pin!(future));
    loop {
        let mut tick = pin!(JsFuture::from(browser::tick(interval)));
        let done = poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => tick.as_mut().poll(context).map(|_| None),
        });
        if let Some(value) = done.await {
            pace.last_ms.store(start.elapsed().as_millis() as u32, Ordering::Relaxed);
            return value;
        }
        gpu.queue().submit([]);
    }
}
