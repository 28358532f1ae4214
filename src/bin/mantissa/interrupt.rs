//! Ctrl-C: the first one stops what is being generated and keeps the text so far; a second one,
//! or one while nothing is being generated, ends the program with exit code 130.

use std::sync::atomic::{AtomicU8, Ordering};

/// The code that shells give to a program ended by Ctrl-C: 128 + SIGINT.
pub const EXIT: u8 = 130;

const IDLE: u8 = 0;
const GENERATING: u8 = 1;
const STOPPING: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(IDLE);

/// Takes Ctrl-C over for the whole program.
pub fn install() {
    let press = || {
        let stop =
            STATE.compare_exchange(GENERATING, STOPPING, Ordering::AcqRel, Ordering::Acquire);
        if stop.is_err() {
            std::process::exit(EXIT.into());
        }
    };
    if let Err(error) = mantissa::platform::on_interrupt(press) {
        log::warn!("Ctrl-C will end the program at once: {error}");
    }
}

/// What a run that was stopped ends with, where there is nothing to keep of it.
#[derive(Debug)]
pub struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// While this lives, the first Ctrl-C is a request to stop.
pub struct Generating;

impl Generating {
    /// Begins.
    pub fn begin() -> Self {
        STATE.store(GENERATING, Ordering::Release);
        Self
    }

    /// Whether the user has asked to stop.
    pub fn should_stop(&self) -> bool {
        STATE.load(Ordering::Acquire) == STOPPING
    }
}

impl Drop for Generating {
    fn drop(&mut self) {
        STATE.store(IDLE, Ordering::Release);
    }
}
