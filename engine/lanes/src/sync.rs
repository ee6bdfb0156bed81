//! Atomics and their orderings, behind one seam: the standard library's in the engine, loom's
//! model under `--cfg loom`, where a test may also weaken the orderings to show that the model
//! finds the mistake.
//!
//! Every shared word of this crate publishes with [`release`] and observes with [`acquire`]; what
//! orders nothing (counts, heartbeat) says `Relaxed` where it stands.

#[cfg(loom)]
pub(crate) use loom::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, fence as model_fence},
};
pub(crate) use std::sync::atomic::Ordering;
#[cfg(not(loom))]
pub(crate) use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, fence},
};

/// For the store that publishes what was written before it.
#[cfg(not(loom))]
#[inline(always)]
pub(crate) const fn release() -> Ordering {
    Ordering::Release
}

/// For the load that wants to see what was written before the store it reads from.
#[cfg(not(loom))]
#[inline(always)]
pub(crate) const fn acquire() -> Ordering {
    Ordering::Acquire
}

#[cfg(loom)]
pub use model::{Mistake, plant};
#[cfg(loom)]
pub(crate) use model::{acquire, release};

/// A fence of `ordering`; none where a planted mistake leaves nothing to order.
#[cfg(loom)]
pub(crate) fn fence(ordering: Ordering) {
    if ordering != Ordering::Relaxed {
        model_fence(ordering);
    }
}

#[cfg(loom)]
mod model {
    use std::cell::Cell;

    use super::Ordering;

    /// A mistake that a model test plants into this crate's own code.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Mistake {
        /// The code as it is.
        None,
        /// Publishing stores are relaxed.
        RelaxedStore,
        /// Observing loads are relaxed.
        RelaxedLoad,
    }

    thread_local! {
        // The model runs all its threads on the test's own thread, so this reaches them all.
        static PLANTED: Cell<Mistake> = const { Cell::new(Mistake::None) };
    }

    /// Plants `mistake` for the models that run on this thread from now on.
    pub fn plant(mistake: Mistake) {
        PLANTED.set(mistake);
    }

    pub(crate) fn release() -> Ordering {
        if PLANTED.get() == Mistake::RelaxedStore { Ordering::Relaxed } else { Ordering::Release }
    }

    pub(crate) fn acquire() -> Ordering {
        if PLANTED.get() == Mistake::RelaxedLoad { Ordering::Relaxed } else { Ordering::Acquire }
    }
}
