//! The shared breakers' atomics behind one seam: the standard library's in the engine, loom's
//! model under `--cfg loom`, where a test may plant a mistake to show that the model finds it.
//!
//! What each word pairs with is said where it stands. Statistics and the event queue stay the
//! real ones in the model too: they order nothing.

use std::sync::Arc;

use crossbeam_queue::ArrayQueue;

#[cfg(loom)]
pub(crate) use loom::sync::atomic::AtomicU64;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::AtomicU64;
pub(crate) use std::sync::atomic::Ordering;

/// A mistake that a model test plants into this crate's own code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// The code as it is.
    #[cfg_attr(not(loom), expect(dead_code, reason = "only a model plants"))]
    None,
    /// The state word is written relaxed.
    RelaxedStore,
    /// The state word is read relaxed.
    RelaxedLoad,
    /// A failure is not published before the window is looked at.
    RelaxedPublish,
    /// The state word is overwritten, whatever it has become meanwhile.
    StoreForExchange,
    /// A permit that is dropped keeps its token.
    TokenKept,
    /// Who lost the exchange tells the event too.
    LoserTells,
    /// A decision loads the configuration twice.
    LoadsTwice,
}

/// Whether `mistake` is planted: never in the engine.
#[cfg(not(loom))]
#[inline(always)]
pub(crate) const fn planted(_mistake: Mistake) -> bool {
    false
}

#[cfg(loom)]
pub use model::plant;
#[cfg(loom)]
pub(crate) use model::planted;

/// For the compare-exchange that moves the state word: pairs with [`acquire`] and with itself.
#[inline(always)]
pub(crate) fn exchange() -> Ordering {
    match (planted(Mistake::RelaxedStore), planted(Mistake::RelaxedLoad)) {
        (false, false) => Ordering::AcqRel,
        (true, _) => Ordering::Acquire,
        (_, true) => Ordering::Release,
    }
}

/// For reading the state word: pairs with [`exchange`].
#[inline(always)]
pub(crate) fn acquire() -> Ordering {
    if planted(Mistake::RelaxedLoad) { Ordering::Relaxed } else { Ordering::Acquire }
}

/// For publishing a failure: pairs with itself, see `window.rs`.
#[inline(always)]
pub(crate) fn publish() -> Ordering {
    if planted(Mistake::RelaxedPublish) { Ordering::Relaxed } else { Ordering::AcqRel }
}

/// A value that is replaced as a whole while others read it.
#[cfg(not(loom))]
#[derive(Debug)]
pub(crate) struct Swap<T>(arc_swap::ArcSwap<T>);

#[cfg(not(loom))]
impl<T: Copy> Swap<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(arc_swap::ArcSwap::from_pointee(value))
    }

    /// One whole value: whoever decides loads once.
    #[inline]
    pub(crate) fn load(&self) -> T {
        **self.0.load()
    }

    pub(crate) fn store(&self, value: T) {
        self.0.store(Arc::new(value));
    }
}

/// What the crate `arc-swap` promises, as the model can follow it: a load is one whole value.
#[cfg(loom)]
#[derive(Debug)]
pub(crate) struct Swap<T>(loom::sync::Mutex<T>);

#[cfg(loom)]
impl<T: Copy> Swap<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn load(&self) -> T {
        *self.0.lock().expect("no panic inside")
    }

    pub(crate) fn store(&self, value: T) {
        *self.0.lock().expect("no panic inside") = value;
    }
}

/// A bounded queue that never makes anybody wait. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Queue<T>(Arc<ArrayQueue<T>>);

impl<T> Queue<T> {
    pub(crate) fn bounded(capacity: usize) -> Self {
        Self(Arc::new(ArrayQueue::new(capacity)))
    }

    pub(crate) fn capacity(&self) -> usize {
        self.0.capacity()
    }

    pub(crate) fn is_half_full(&self) -> bool {
        self.0.len() * 2 >= self.0.capacity()
    }

    /// False when it is full.
    pub(crate) fn push(&self, value: T) -> bool {
        self.0.push(value).is_ok()
    }

    pub(crate) fn pop(&self) -> Option<T> {
        self.0.pop()
    }
}

#[cfg(loom)]
mod model {
    use std::cell::Cell;

    use super::Mistake;

    thread_local! {
        // The model runs all its threads on the test's own thread, so this reaches them all.
        static PLANTED: Cell<Mistake> = const { Cell::new(Mistake::None) };
    }

    /// Plants `mistake` for the models that run on this thread from now on.
    pub fn plant(mistake: Mistake) {
        PLANTED.set(mistake);
    }

    pub(crate) fn planted(mistake: Mistake) -> bool {
        PLANTED.get() == mistake
    }
}
