//! The kill word: one shared word that every order must read twice.
//!
//! Declared exception to "only rings". Written by the control lane (and by a lane that catches a
//! panic), read by risk before every approval and by execution before every encode.
//! Ordering: stores are `Release`, loads are `Acquire`; the pair makes whatever the writer did
//! before raising the word visible to the lane that obeys it. Raising uses `fetch_or`, so two
//! writers cannot undo each other; kill and drain latch. Two bits fall again, each by `fetch_and`
//! of its own bit: the pause, which only the control lane raises and drops, and the halt, a kill
//! that a person (or a latch of risk) asked for and only a person ends; with it falls the wish to
//! close positions, which says nothing without it. A kill that a fault raised has a bit of its own
//! and stays until the process ends; it closes no positions.

use crate::bell::Bell;
use crate::shed::Shedding;
use crate::sync::{Arc, AtomicU32, Ordering, acquire, release};
use serde::{Deserialize, Serialize};

const KILL: u32 = 1;
const DRAIN: u32 = 2;
const PAUSE: u32 = 4;
const HALT: u32 = 8;
const FLATTEN: u32 = 16;

/// What the control word allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Orders may be placed.
    Run,
    /// A trip that heals (memory is short): no new orders for now; resting quotes, which could not
    /// be replaced, are withdrawn by the router.
    Pause,
    /// The engine is stopping: no new orders, open ones are cancelled.
    Drain,
    /// Kill: no new orders, open ones are cancelled, a person must look.
    Kill,
    /// A kill that a person asked for, with the wish to close what is held: nothing passes but
    /// cancels and the router's own orders that only reduce.
    Flatten,
}

/// A handle to the control word. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Control {
    word: Arc<Word>,
    /// What the word's reader sees in this turn, where its turns are sampled
    /// ([`crate::gate::TurnGate`]); one thread's own word.
    seen: Option<Arc<AtomicU32>>,
    shedding: Shedding,
    rotations: Bell,
}

/// Alone on its cache line, so that reading it never waits for another word's writer.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Word(AtomicU32);

const fn phase_of(word: u32) -> Phase {
    match word {
        0 => Phase::Run,
        w if w & (KILL | HALT | FLATTEN) == HALT | FLATTEN => Phase::Flatten,
        w if w & (KILL | HALT) != 0 => Phase::Kill,
        w if w & DRAIN != 0 => Phase::Drain,
        _ => Phase::Pause,
    }
}

impl Phase {
    /// The phase as records number it.
    #[must_use]
    pub const fn raw(self) -> u8 {
        match self {
            Self::Run => 0,
            Self::Drain => 1,
            Self::Kill => 2,
            Self::Pause => 3,
            Self::Flatten => 4,
        }
    }

    /// The phase with this number.
    #[must_use]
    pub const fn from_raw(raw: u8) -> Option<Self> {
        match raw {
            0 => Some(Self::Run),
            1 => Some(Self::Drain),
            2 => Some(Self::Kill),
            3 => Some(Self::Pause),
            4 => Some(Self::Flatten),
            _ => None,
        }
    }

    /// The engine is on its way out: everything open is cancelled. A pause is not that.
    #[must_use]
    pub const fn is_ending(self) -> bool {
        matches!(self, Self::Drain | Self::Kill | Self::Flatten)
    }

    /// Trading is stopped until a person ends it.
    #[must_use]
    pub const fn is_stopped(self) -> bool {
        matches!(self, Self::Kill | Self::Flatten)
    }
}

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
        match &self.seen {
            None => phase_of(self.word.0.load(acquire())),
            Some(seen) => phase_of(seen.load(Ordering::Relaxed)),
        }
    }

    /// How much is given up under pressure.
    #[must_use]
    pub const fn shedding(&self) -> &Shedding {
        &self.shedding
    }

    /// A person asks the journal for a new segment.
    #[must_use]
    pub const fn rotations(&self) -> &Bell {
        &self.rotations
    }

    /// A handle whose phase is the one last [`sample`](Self::sample)d.
    pub(crate) fn gated(&self) -> Self {
        Self { seen: Some(Arc::default()), ..self.clone() }
    }

    /// Takes the word's present phase as the one this handle shows.
    pub(crate) fn sample(&self) -> Phase {
        let word = self.word.0.load(acquire());
        if let Some(seen) = &self.seen {
            seen.store(word, Ordering::Relaxed);
        }
        phase_of(word)
    }

    /// Makes this handle show `phase`, whatever the word says.
    pub(crate) fn force(&self, phase: Phase) {
        let word = match phase {
            Phase::Run => 0,
            Phase::Pause => PAUSE,
            Phase::Drain => DRAIN,
            Phase::Kill => KILL,
            Phase::Flatten => HALT | FLATTEN,
        };
        if let Some(seen) = &self.seen {
            seen.store(word, Ordering::Relaxed);
        }
    }

    /// Latches the kill for a fault. Only a person clears it, by a new start.
    pub fn kill(&self) {
        self.word.0.fetch_or(KILL, release());
    }

    /// Kills on request: the same effect as [`kill`](Self::kill), but the engine stays up with
    /// its books live, and a person may end it by [`end_halt`](Self::end_halt).
    pub fn halt(&self) {
        self.word.0.fetch_or(HALT, release());
    }

    /// A [`halt`](Self::halt) that also closes what is held; or the same on top of one.
    pub fn flatten(&self) {
        self.word.0.fetch_or(HALT | FLATTEN, release());
    }

    /// Ends a halt, with or without closing; a kill, a drain and a pause stay.
    pub fn end_halt(&self) {
        self.word.0.fetch_and(!(HALT | FLATTEN), release());
    }

    /// A fault has killed: no [`end_halt`](Self::end_halt) brings trading back in this process.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.word.0.load(acquire()) & KILL != 0
    }

    /// Starts the orderly stop.
    pub fn drain(&self) {
        self.word.0.fetch_or(DRAIN, release());
    }

    /// No new orders until [`resume`](Self::resume). Control lane only.
    pub fn pause(&self) {
        self.word.0.fetch_or(PAUSE, release());
    }

    /// Ends a pause; kill and drain stay. Control lane only.
    pub fn resume(&self) {
        self.word.0.fetch_and(!PAUSE, release());
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
        control.pause();
        assert_eq!(reader.phase(), Phase::Pause);
        control.resume();
        assert_eq!(reader.phase(), Phase::Run);
        control.pause();
        control.drain();
        assert_eq!(reader.phase(), Phase::Drain);
        control.kill();
        control.drain();
        assert_eq!(reader.phase(), Phase::Kill);
        control.resume();
        assert_eq!(reader.phase(), Phase::Kill, "a latch does not fall");
    }

    #[test]
    fn a_wish_to_close_falls_with_its_halt_and_a_fault_outranks_it() {
        let control = Control::new();
        control.halt();
        control.flatten();
        control.drain();
        assert_eq!((control.phase(), control.has_failed()), (Phase::Flatten, false));
        assert!(control.phase().is_ending() && control.phase().is_stopped());
        control.end_halt();
        assert_eq!(control.phase(), Phase::Drain);
        control.halt();
        assert_eq!(control.phase(), Phase::Kill, "the old wish does not come back");
        control.flatten();
        control.kill();
        assert_eq!(control.phase(), Phase::Kill);
        for raw in 0..5 {
            assert_eq!(Phase::from_raw(raw).map(Phase::raw), Some(raw));
        }
    }

    #[test]
    fn a_halt_falls_and_leaves_the_rest() {
        let control = Control::new();
        control.pause();
        control.halt();
        assert_eq!((control.phase(), control.has_failed()), (Phase::Kill, false));
        control.end_halt();
        assert_eq!(control.phase(), Phase::Pause);
        control.halt();
        control.kill();
        control.end_halt();
        assert_eq!((control.phase(), control.has_failed()), (Phase::Kill, true));
    }
}
