//! How much of its work the engine gives up under pressure: one word, the rung of the ladder that
//! the engine's table of shedding declares.
//!
//! Declared exception to "only rings". Written by the control lane; read by those who give
//! something up: who copies frames or turns, the dumps, the parsers. No decision about an order
//! reads it: what concerns orders goes to risk as a command. Relaxed: it orders nothing, and who
//! reads it a turn late sheds a turn late. Cost: one load.

use crate::sync::{Arc, AtomicU8, Ordering};

/// From this rung on: captures, histogram dumps, the live line.
pub const HISTORY: u8 = 1;
/// From this rung on: market data of instruments of low priority, too.
pub const LOW_PRIORITY: u8 = 2;

/// A handle to the word. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Shedding(Arc<Word>);

/// Alone on its cache line: its readers never wait for another word's writer.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Word(AtomicU8);

impl Shedding {
    /// The rung that holds; zero: nothing is given up.
    #[must_use]
    #[inline]
    pub fn rung(&self) -> u8 {
        self.0.0.load(Ordering::Relaxed)
    }

    /// Captures, dumps and the live line are given up.
    #[must_use]
    #[inline]
    pub fn history(&self) -> bool {
        self.rung() >= HISTORY
    }

    /// Market data of instruments of low priority is given up.
    #[must_use]
    #[inline]
    pub fn low_priority(&self) -> bool {
        self.rung() >= LOW_PRIORITY
    }

    /// `rung` holds from now on. Control lane only.
    pub fn set(&self, rung: u8) {
        self.0.0.store(rung, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_handle_sees_the_rung_and_what_it_gives_up() {
        let word = Shedding::default();
        let reader = word.clone();
        let seen = |rung| {
            word.set(rung);
            (reader.rung(), reader.history(), reader.low_priority())
        };
        assert_eq!(seen(0), (0, false, false));
        assert_eq!(seen(HISTORY), (1, true, false));
        assert_eq!(seen(LOW_PRIORITY), (2, true, true));
    }
}
