//! Where the time goes: nearly all of it is a driver compiling, so what took longest is said at the
//! end, as pytest's `--durations` does.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::support::Outcome;

/// How many trials the table has.
const SAID: usize = 25;

static TIMES: Mutex<Vec<(Duration, String)>> = Mutex::new(Vec::new());

/// Runs a trial and remembers how long it took; one that waits for another's compiling has that in it.
pub fn timed(name: &str, trial: impl FnOnce() -> Outcome) -> Outcome {
    let began = Instant::now();
    let outcome = trial();
    TIMES.lock()?.push((began.elapsed(), name.to_owned()));
    outcome
}

/// Prints what took longest.
pub fn report() {
    let Ok(mut times) = TIMES.lock() else { return };
    times.sort_by(|a, b| b.cmp(a));
    let all: Duration = times.iter().map(|(time, _)| *time).sum();
    eprintln!("gpu tests: {:.0} s in {} trials; the longest:", all.as_secs_f64(), times.len());
    for (time, name) in times.iter().take(SAID) {
        eprintln!("{:8.1} s  {name}", time.as_secs_f64());
    }
}
