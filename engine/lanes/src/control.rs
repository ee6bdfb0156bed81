//! The kill word: one shared word that every order must read twice.
//!
//! Declared exception to "only rings". Written by the control lane (and by a lane that catches a
//! panic), read by risk before every approval and by execution before every encode.
//! Ordering: stores are `Release`, loads are `Acquire`; the pair makes whatever the writer did
//! before raising the word visible to the lane that obeys it. Raising uses `fetch_or`, so two
//! writers cannot undo each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const KILL: u32 = 1;
const DRAIN: u32 = 2;

/// What the control word allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Orders may be placed.
    Run,
    /// The engine is stopping: no new orders, open ones are cancelled.
    Drain,
    /// Kill: no new orders, open ones are cancelled, a person must look.
    Kill,
}

/// A handle to the control word. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Control {
    word: Arc<Word>,
}

/// Alone on its cache line, so that reading it never waits for another word's writer.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Word(AtomicU32);

impl Control {
    /// A fresh word that allows trading.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The present phase. Acquire: pairs with the release in [`kill`](Self::kill) and
    /// [`drain`](Self::drain).
    #[must_use]
    #[inline]
    pub fn phase(&self) -> Phase {
        match self.word.0.load(Ordering::Acquire) {
            0 => Phase::Run,
            w if w & KILL != 0 => Phase::Kill,
            _ => Phase::Drain,
        }
    }

    /// Latches the kill. Only a person clears it, by a new start.
    pub fn kill(&self) {
        self.word.0.fetch_or(KILL, Ordering::Release);
    }

    /// Starts the orderly stop.
    pub fn drain(&self) {
        self.word.0.fetch_or(DRAIN, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kill_outranks_drain_and_both_latch() {
        let control = Control::new();
        let reader = control.clone();
        assert_eq!(reader.phase(), Phase::Run);
        control.drain();
        assert_eq!(reader.phase(), Phase::Drain);
        control.kill();
        control.drain();
        assert_eq!(reader.phase(), Phase::Kill);
    }
}
