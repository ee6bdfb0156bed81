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

    /// As rtrb's: free slots that are written first and published at once. `n` is at most what
    /// [`slots`](Self::slots) last told, as rtrb remembers: no second load.
    pub(crate) fn write_chunk_uninit(&mut self, n: usize) -> Result<WriteChunk<'_, T>, ()> {
        let tail = self.0.tail.load(Ordering::Relaxed); // own word
        Ok(WriteChunk { ring: &self.0, tail, n })
    }

    pub(crate) fn push_partial_slice<'a>(&mut self, all: &'a [T]) -> (&'a [T], &'a [T])
    where
        T: Copy,
    {
        let n = all.len().min(self.slots());
        let filled = self.write_chunk_uninit(n).map(|c| c.fill_from_iter(&mut all.iter().copied()));
        all.split_at(filled.unwrap_or(0))
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.0) < 2
    }
}

/// Free slots; as rtrb's.
pub(crate) struct WriteChunk<'a, T> {
    ring: &'a Shared<T>,
    tail: u64,
    n: usize,
}

impl<T> WriteChunk<'_, T> {
    pub(crate) fn fill_from_iter(self, messages: &mut impl Iterator<Item = T>) -> usize {
        let mut filled = 0;
        for message in messages.take(self.n) {
            // SAFETY: the slot is free: the acquire load of `head` saw the consumer leave it.
            let put = |slot: *mut Option<T>| unsafe { *slot = Some(message) };
            self.ring.slot(self.tail + filled).with_mut(put);
            filled += 1;
        }
        self.ring.tail.store(self.tail + filled, release());
        filled as usize
    }
}

/// Full slots; as rtrb's, but shown one by one: loom's cells make no slice.
pub(crate) struct ReadChunk<'a, T> {
    ring: &'a Shared<T>,
    head: u64,
    n: usize,
}

impl<T> ReadChunk<'_, T> {
    /// The references live as long as the chunk, which alone gives the slots back.
    pub(crate) fn as_slices(&self) -> (Vec<&T>, &[&T]) {
        let shown = (0..self.n as u64).filter_map(|i| {
            // SAFETY: the slot is full: the acquire load of `tail` saw the producer leave it.
            self.ring.slot(self.head + i).with(|slot| unsafe { &*slot }).as_ref()
        });
        (shown.collect(), &[])
    }

    pub(crate) fn commit(self, n: usize) {
        let _ = self.into_iter().take(n).count();
    }
}

impl<'a, T> IntoIterator for ReadChunk<'a, T> {
    type Item = T;
    type IntoIter = ReadChunkIntoIter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        ReadChunkIntoIter { next: self.head, chunk: self }
    }
}

/// Moves messages out and gives their slots back at once when dropped; as rtrb's.
pub(crate) struct ReadChunkIntoIter<'a, T> {
    chunk: ReadChunk<'a, T>,
    next: u64,
}

impl<T> Iterator for ReadChunkIntoIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if self.next == self.chunk.head + self.chunk.n as u64 {
            return None;
        }
        self.next += 1;
        // SAFETY: as in `as_slices`.
        self.chunk.ring.slot(self.next - 1).with_mut(|slot| unsafe { (*slot).take() })
    }
}

impl<T> Drop for ReadChunkIntoIter<'_, T> {
    fn drop(&mut self) {
        self.chunk.ring.head.store(self.next, release());
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

    /// As rtrb's: full slots that are read first and given back at once. `n` is at most what
    /// [`slots`](Self::slots) last told, as rtrb remembers: no second load.
    pub(crate) fn read_chunk(&mut self, n: usize) -> Result<ReadChunk<'_, T>, ()> {
        let head = self.0.head.load(Ordering::Relaxed); // own word
        Ok(ReadChunk { ring: &self.0, head, n })
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
