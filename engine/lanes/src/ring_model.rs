//! The ring that stands in for `rtrb` under loom: the same algorithm (two indices, each with one
//! writer) over loom's atomics and cells, so that the model sees every access.

use std::fmt;

use loom::cell::UnsafeCell;

use crate::sync::{Arc, AtomicU64, Ordering, acquire, release};

/// Makes rings.
pub(crate) struct RingBuffer;

impl RingBuffer {
    pub(crate) fn new<T>(capacity: usize) -> (Producer<T>, Consumer<T>) {
        let slots = (0..capacity).map(|_| UnsafeCell::new(None)).collect();
        let shared = Arc::new(Shared { head: AtomicU64::new(0), tail: AtomicU64::new(0), slots });
        (Producer(shared.clone()), Consumer(shared))
    }
}

struct Shared<T> {
    /// Messages taken; written by the consumer.
    head: AtomicU64,
    /// Messages published; written by the producer.
    tail: AtomicU64,
    slots: Vec<UnsafeCell<Option<T>>>,
}

// SAFETY: a slot is accessed by the producer when `tail` has not passed it and by the consumer
// when it has: by one thread at a time, which is what the model checks.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    fn slot(&self, index: u64) -> &UnsafeCell<Option<T>> {
        &self.slots[index as usize % self.slots.len()]
    }
}

/// The writing end.
pub(crate) struct Producer<T>(Arc<Shared<T>>);

/// The reading end.
pub(crate) struct Consumer<T>(Arc<Shared<T>>);

/// As rtrb's.
pub(crate) enum PushError<T> {
    Full(T),
}

impl<T> Producer<T> {
    pub(crate) fn slots(&self) -> usize {
        let tail = self.0.tail.load(Ordering::Relaxed); // own word
        self.0.slots.len() - (tail - self.0.head.load(acquire())) as usize
    }

    pub(crate) fn push(&mut self, message: T) -> Result<(), PushError<T>> {
        if self.slots() == 0 {
            return Err(PushError::Full(message));
        }
        let tail = self.0.tail.load(Ordering::Relaxed); // own word
        // SAFETY: the slot is free: the acquire load of `head` saw the consumer leave it.
        self.0.slot(tail).with_mut(|slot| unsafe { *slot = Some(message) });
        self.0.tail.store(tail + 1, release());
        Ok(())
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.0) < 2
    }
}

impl<T> Consumer<T> {
    pub(crate) fn slots(&self) -> usize {
        let head = self.0.head.load(Ordering::Relaxed); // own word
        (self.0.tail.load(acquire()) - head) as usize
    }

    pub(crate) fn pop(&mut self) -> Result<T, ()> {
        if self.slots() == 0 {
            return Err(());
        }
        let head = self.0.head.load(Ordering::Relaxed); // own word
        // SAFETY: the slot is full: the acquire load of `tail` saw the producer leave it.
        let message = self.0.slot(head).with_mut(|slot| unsafe { (*slot).take() });
        self.0.head.store(head + 1, release());
        message.ok_or(())
    }

    pub(crate) fn peek(&self) -> Result<&T, ()> {
        if self.slots() == 0 {
            return Err(());
        }
        let head = self.0.head.load(Ordering::Relaxed); // own word
        // SAFETY: as in `pop`; the reference lives as long as `&self`, and only `pop` with
        // `&mut self` gives the slot back to the producer.
        self.0.slot(head).with(|slot| unsafe { &*slot }).as_ref().ok_or(())
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.0) < 2
    }
}

impl<T> fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Producer")
    }
}

impl<T> fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Consumer")
    }
}
