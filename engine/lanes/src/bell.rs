//! A bell: a person asks an agent for something it does once, such as a new journal segment.
//!
//! Declared exception to "only rings". Rung by the thread that serves people, looked at by the one
//! agent it is for, once a turn. No decision about an order hears it. Relaxed: the count alone is
//! the message, and who hears it a turn late acts a turn late. Rings that come before the agent
//! looks are answered together. Cost: one load.

use crate::sync::{Arc, AtomicU64, Ordering};

/// A handle to the bell. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Bell(Arc<Word>);

/// Alone on its cache line: its reader never waits for another word's writer.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Word(AtomicU64);

impl Bell {
    /// Rings it.
    pub fn ring(&self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it was rung.
    #[must_use]
    #[inline]
    pub fn rung(&self) -> u64 {
        self.0.0.load(Ordering::Relaxed)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_handle_hears_every_ring() {
        let bell = Bell::default();
        let other = bell.clone();
        assert_eq!(other.rung(), 0);
        bell.ring();
        other.ring();
        assert_eq!((bell.rung(), other.rung()), (2, 2));
    }
}
