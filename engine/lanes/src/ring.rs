//! The seam over the SPSC ring: `rtrb` in the engine, a small model ring under loom.
//!
//! Ordering: the producer publishes a slot with a release store of its index, the consumer
//! takes it with an acquire load, and the other way round for freed slots (inside `rtrb`).
//! Nothing here adds shared state.

#[cfg(loom)]
use crate::ring_model as rtrb;

/// Makes a ring of exactly `capacity` messages: the writing end and the reading end.
/// Allocates twice; nothing later.
#[must_use]
pub fn ring<T>(capacity: usize) -> (Tx<T>, Rx<T>) {
    let (tx, rx) = rtrb::RingBuffer::new(capacity);
    (Tx { inner: tx, capacity }, Rx { inner: rx })
}

/// The writing end.
#[derive(Debug)]
pub struct Tx<T> {
    inner: rtrb::Producer<T>,
    capacity: usize,
}

impl<T> Tx<T> {
    /// Messages that can be pushed now without failing.
    #[must_use]
    #[inline]
    pub fn room(&self) -> usize {
        self.inner.slots()
    }

    /// The ring's capacity.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Pushes `message`.
    ///
    /// # Errors
    /// Hands the message back when the ring is full.
    #[inline]
    pub fn push(&mut self, message: T) -> Result<(), T> {
        self.inner.push(message).map_err(|rtrb::PushError::Full(message)| message)
    }

    /// The reading end is gone.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.inner.is_abandoned()
    }
}

/// The reading end.
#[derive(Debug)]
pub struct Rx<T> {
    inner: rtrb::Consumer<T>,
}

impl<T> Rx<T> {
    /// Takes the oldest message.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        self.inner.pop().ok()
    }

    /// Looks at the oldest message.
    #[must_use]
    #[inline]
    pub fn peek(&self) -> Option<&T> {
        self.inner.peek().ok()
    }

    /// Messages that can be popped now.
    #[must_use]
    #[inline]
    pub fn waiting(&self) -> usize {
        self.inner.slots()
    }

    /// The writing end is gone; what it wrote can still be popped.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.inner.is_abandoned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    proptest! {
        /// The naive twin is a queue with a bound.
        #[test]
        fn behaves_like_a_bounded_queue(
            capacity in 1usize..9, ops in proptest::collection::vec(any::<Option<u8>>(), 0..200)
        ) {
            let (mut tx, mut rx) = ring(capacity);
            let mut twin = VecDeque::new();
            for op in ops {
                match op {
                    Some(v) if twin.len() < capacity => {
                        prop_assert_eq!(tx.push(v), Ok(()));
                        twin.push_back(v);
                    }
                    Some(v) => prop_assert_eq!(tx.push(v), Err(v)),
                    None => {
                        prop_assert_eq!(rx.peek().copied(), twin.front().copied());
                        prop_assert_eq!(rx.pop(), twin.pop_front());
                    }
                }
                prop_assert_eq!(rx.waiting(), twin.len());
                prop_assert_eq!(tx.room(), capacity - twin.len());
            }
        }
    }
}
