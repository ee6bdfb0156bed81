//! The seam over the SPSC ring: `rtrb` in the engine, a small model ring under loom.
//!
//! Ordering: the producer publishes a slot with a release store of its index, the consumer
//! takes it with an acquire load, and the other way round for freed slots (inside `rtrb`).
//! A chunk costs one such pair however many messages it holds. Only rings of a run that is
//! captured or replayed ([`gated_ring`]) add shared state: see [`crate::gate`].

use crate::block::Depth;
use crate::gate::{End, Meter, Port};
#[cfg(loom)]
use crate::ring_model as rtrb;
use crate::sync::Arc;

/// Makes a ring of exactly `capacity` messages: the writing end and the reading end.
/// Allocates twice; nothing later.
#[must_use]
pub fn ring<T>(capacity: usize) -> (Tx<T>, Rx<T>) {
    let (tx, rx) = rtrb::RingBuffer::new(capacity);
    let tx = Tx { inner: tx, capacity, places: capacity, port: None, depth: None };
    (tx, Rx { inner: rx, port: None, depth: None })
}

/// A ring whose ends can be gated: see [`crate::gate`].
#[must_use]
pub fn gated_ring<T>(capacity: usize) -> (Tx<T>, Rx<T>) {
    roomy_ring(capacity, capacity)
}

/// A gated ring that says `capacity` and holds `places`: a replay runs whole turns, and the
/// machine that it repeats may have held more of a link's messages than the ring itself.
#[must_use]
pub fn roomy_ring<T>(capacity: usize, places: usize) -> (Tx<T>, Rx<T>) {
    let (mut tx, mut rx) = ring(places);
    tx.capacity = capacity;
    let meter = Meter::new(places);
    tx.port = Some(Port::new(meter.clone(), End::Writes));
    rx.port = Some(Port::new(meter, End::Reads));
    (tx, rx)
}

/// The writing end.
#[derive(Debug)]
pub struct Tx<T> {
    inner: rtrb::Producer<T>,
    capacity: usize,
    /// What the ring really holds: more than the capacity in a replay.
    places: usize,
    port: Option<Arc<Port>>,
    depth: Option<Depth>,
}

impl<T> Tx<T> {
    /// Messages that can be pushed now without failing.
    #[must_use]
    #[inline]
    pub fn room(&self) -> usize {
        match &self.port {
            None => self.free(),
            Some(port) => port.left(|| self.free()),
        }
    }

    /// The ring's free places now. Who asks for room sees how deep the link is.
    #[inline]
    fn free(&self) -> usize {
        let free = self.inner.slots();
        if let Some(depth) = &self.depth {
            depth.note(self.places - free);
        }
        free
    }

    /// The end notes in `depth` how deep it sees the link.
    #[must_use]
    pub const fn with_depth(mut self, depth: Depth) -> Self {
        self.depth = Some(depth);
        self
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
        let full = |rtrb::PushError::Full(message)| {
            if let Some(depth) = &self.depth {
                depth.note(self.places);
            }
            message
        };
        let Some(port) = &self.port else { return self.inner.push(message).map_err(full) };
        if port.left(|| 1) == 0 {
            return Err(message);
        }
        let pushed = self.inner.push(message).map_err(full);
        port.book(usize::from(pushed.is_ok()), 1);
        pushed
    }

    /// Pushes messages until `messages` ends or the ring is full, and publishes them at once.
    /// Returns how many; those that found no room are still in `messages`. A panic of the
    /// iterator publishes nothing of this chunk.
    #[inline]
    pub fn push_all<I: ExactSizeIterator<Item = T>>(&mut self, messages: &mut I) -> usize {
        let asked = messages.len().min(self.room());
        let count = asked.min(self.inner.slots());
        // Invariant: a chunk of at most the free slots is always granted.
        let chunk = self.inner.write_chunk_uninit(count);
        let pushed = chunk.map_or(0, |chunk| chunk.fill_from_iter(messages));
        if let Some(port) = &self.port {
            port.book(pushed, asked);
        }
        pushed
    }

    /// Pushes copies of the first messages of `messages`, as many as there is room for, and
    /// publishes them at once. Returns how many.
    #[inline]
    pub fn push_slice(&mut self, messages: &[T]) -> usize
    where
        T: Copy,
    {
        let Some(port) = &self.port else { return self.inner.push_partial_slice(messages).0.len() };
        let asked = messages.len().min(port.left(|| self.inner.slots()));
        let pushed = self.inner.push_partial_slice(&messages[..asked]).0.len();
        port.book(pushed, asked);
        pushed
    }

    pub(crate) const fn port(&self) -> Option<&Arc<Port>> {
        self.port.as_ref()
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
    port: Option<Arc<Port>>,
    depth: Option<Depth>,
}

impl<T> Rx<T> {
    /// Takes the oldest message.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        let Some(port) = &self.port else { return self.inner.pop().ok() };
        if port.left(|| self.inner.slots()) == 0 {
            return None;
        }
        let popped = self.inner.pop().ok();
        port.book(usize::from(popped.is_some()), 1);
        popped
    }

    /// Takes up to `max` messages, oldest first, and frees their places at once. Returns how
    /// many. If `take` panics, what it was given counts as taken.
    #[inline]
    pub fn pop_into(&mut self, max: usize, take: impl FnMut(T)) -> usize {
        let asked = max.min(self.waiting());
        let count = asked.min(self.inner.slots());
        if let Ok(chunk) = self.inner.read_chunk(count) {
            chunk.into_iter().for_each(take);
        }
        if let Some(port) = &self.port {
            port.book(count, asked);
        }
        count
    }

    /// Shows up to `max` messages in their places, oldest first, until `take` refuses one; those
    /// before it are dropped and their places freed at once. Returns how many. If `take` panics,
    /// all stay.
    #[inline]
    pub fn pop_while(&mut self, max: usize, mut take: impl FnMut(&T) -> bool) -> usize {
        let asked = max.min(self.waiting());
        let count = asked.min(self.inner.slots());
        if count == 0 {
            return 0;
        }
        // Invariant: a chunk of at most the full slots is always granted.
        let Ok(chunk) = self.inner.read_chunk(count) else { return 0 };
        let (first, second) = chunk.as_slices();
        let taken = first.iter().chain(second).take_while(|message| take(message)).count();
        chunk.commit(taken);
        if let Some(port) = &self.port {
            port.book(taken, if taken == count { asked } else { taken });
        }
        taken
    }

    /// Looks at the oldest message.
    #[must_use]
    #[inline]
    pub fn peek(&self) -> Option<&T> {
        match &self.port {
            Some(port) if port.left(|| 1) == 0 => None,
            _ => self.inner.peek().ok(),
        }
    }

    /// Messages that can be popped now.
    #[must_use]
    #[inline]
    pub fn waiting(&self) -> usize {
        match &self.port {
            None => self.full(),
            Some(port) => port.left(|| self.full()),
        }
    }

    /// The ring's messages now. Who asks how many wait sees how deep the link is.
    #[inline]
    fn full(&self) -> usize {
        let full = self.inner.slots();
        if let Some(depth) = &self.depth {
            depth.note(full);
        }
        full
    }

    /// The end notes in `depth` how deep it sees the link.
    #[must_use]
    pub const fn with_depth(mut self, depth: Depth) -> Self {
        self.depth = Some(depth);
        self
    }

    pub(crate) const fn port(&self) -> Option<&Arc<Port>> {
        self.port.as_ref()
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

    #[derive(Clone, Debug)]
    enum Op {
        Push(u8),
        PushAll(Vec<u8>),
        PushSlice(Vec<u8>),
        Pop,
        PopInto(usize),
        /// Until so many were shown, or the first above a hundred.
        PopWhile(usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        let some = || proptest::collection::vec(any::<u8>(), 0..12);
        prop_oneof![
            any::<u8>().prop_map(Op::Push),
            some().prop_map(Op::PushAll),
            some().prop_map(Op::PushSlice),
            Just(Op::Pop),
            (0usize..12).prop_map(Op::PopInto),
            (0usize..12).prop_map(Op::PopWhile),
        ]
    }

    proptest! {
        /// The naive twin is a queue with a bound.
        #[test]
        fn behaves_like_a_bounded_queue(
            capacity in 1usize..9, ops in proptest::collection::vec(op(), 0..200)
        ) {
            let (mut tx, mut rx) = ring(capacity);
            let mut twin = VecDeque::new();
            for op in ops {
                let room = capacity - twin.len();
                match op {
                    Op::Push(v) if room > 0 => {
                        prop_assert_eq!(tx.push(v), Ok(()));
                        twin.push_back(v);
                    }
                    Op::Push(v) => prop_assert_eq!(tx.push(v), Err(v)),
                    Op::PushAll(all) => {
                        let fits = room.min(all.len());
                        let mut messages = all.iter().copied();
                        prop_assert_eq!(tx.push_all(&mut messages), fits);
                        prop_assert!(messages.eq(all[fits..].iter().copied()));
                        twin.extend(&all[..fits]);
                    }
                    Op::PushSlice(all) => {
                        let fits = room.min(all.len());
                        prop_assert_eq!(tx.push_slice(&all), fits);
                        twin.extend(&all[..fits]);
                    }
                    Op::Pop => {
                        prop_assert_eq!(rx.peek().copied(), twin.front().copied());
                        prop_assert_eq!(rx.pop(), twin.pop_front());
                    }
                    Op::PopInto(max) => {
                        let expected: Vec<_> = twin.drain(..max.min(twin.len())).collect();
                        let mut seen = Vec::new();
                        prop_assert_eq!(rx.pop_into(max, |v| seen.push(v)), expected.len());
                        prop_assert_eq!(seen, expected);
                    }
                    Op::PopWhile(max) => {
                        let taken = twin.iter().take(max).take_while(|v| **v <= 100).count();
                        let expected: Vec<_> = twin.drain(..taken).collect();
                        let mut seen = Vec::new();
                        let take = |v: &u8| *v <= 100 && { seen.push(*v); true };
                        prop_assert_eq!(rx.pop_while(max, take), taken);
                        prop_assert_eq!(seen, expected);
                    }
                }
                prop_assert_eq!(rx.waiting(), twin.len());
                prop_assert_eq!(tx.room(), capacity - twin.len());
            }
        }
    }

    /// Every owned message is dropped once, whichever way it leaves.
    #[test]
    fn owned_messages_are_neither_lost_nor_doubled() {
        use std::rc::Rc;
        let counted = Rc::new(());
        let (mut tx, mut rx) = ring(4);
        let mut six = std::iter::repeat_n((), 6).map(|()| counted.clone());
        assert_eq!(tx.push_all(&mut six), 4);
        assert_eq!((six.len(), Rc::strong_count(&counted)), (2, 5), "two were never made");
        let mut shown = 0;
        let taken = rx.pop_while(4, |_| {
            shown += 1;
            shown < 2
        });
        assert_eq!((taken, Rc::strong_count(&counted)), (1, 4));
        let mut held = Vec::new();
        assert_eq!(rx.pop_into(2, |message| held.push(message)), 2);
        assert_eq!((rx.waiting(), Rc::strong_count(&counted)), (1, 4));
        drop((tx, rx, held));
        assert_eq!(Rc::strong_count(&counted), 1);
    }
}
