//! The slots of a wire agent: free ones by size, and how old the oldest message is that the
//! parser has not given back. Invariant: free + out + held by links = allocated.

use std::collections::VecDeque;

use bot4_types::{Nanos, Slot};

/// Free slots of two sizes.
#[derive(Debug, Default)]
pub struct SlotPool {
    small: Vec<Slot>,
    large: Vec<Slot>,
    small_len: usize,
    large_len: usize,
    /// Receive stamps of messages whose slots are out, oldest first. The parser works and
    /// returns in order, so a returned slot is the oldest one.
    out: VecDeque<Nanos>,
    total: usize,
}

impl SlotPool {
    /// Allocates `small` slots of `small_len` bytes and `large` of `large_len`.
    pub fn new(small: usize, small_len: usize, large: usize, large_len: usize) -> Self {
        Self {
            small: (0..small).map(|_| Slot::new(small_len)).collect(),
            large: (0..large).map(|_| Slot::new(large_len)).collect(),
            small_len,
            large_len,
            out: VecDeque::with_capacity(small + large),
            total: small + large,
        }
    }

    /// A free slot for `needed` bytes, small where that is enough.
    pub fn take(&mut self, needed: usize) -> Option<Slot> {
        if needed <= self.small_len { self.small.pop() } else { self.large.pop() }
    }

    /// Whether any slot could hold `needed` bytes.
    pub const fn can_hold(&self, needed: usize) -> bool {
        needed <= self.large_len
    }

    /// Puts back a slot that was not sent.
    pub fn put(&mut self, slot: Slot) {
        match slot.capacity() {
            0 => {}
            n if n == self.small_len => self.small.push(slot),
            _ => self.large.push(slot),
        }
    }

    /// A slot left with a message received at `t0`.
    pub fn sent(&mut self, t0: Nanos) {
        self.out.push_back(t0);
    }

    /// A slot came back from the parser.
    pub fn returned(&mut self, slot: Slot) {
        if slot.capacity() > 0 {
            self.out.pop_front();
        }
        self.put(slot);
    }

    /// Receive stamp of the oldest message that is not back yet.
    pub fn oldest_out(&self) -> Option<Nanos> {
        self.out.front().copied()
    }

    /// Slots the parser holds or that wait in the ring.
    pub fn out(&self) -> usize {
        self.out.len()
    }

    /// Free slots.
    pub fn free(&self) -> usize {
        self.small.len() + self.large.len()
    }

    /// All slots.
    pub const fn total(&self) -> usize {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_go_out_by_size_and_come_back() {
        let mut pool = SlotPool::new(2, 64, 1, 256);
        let small = pool.take(64).expect("free");
        let large = pool.take(65).expect("free");
        assert_eq!((small.capacity(), large.capacity()), (64, 256));
        assert!(pool.take(100).is_none());
        assert!(pool.can_hold(256) && !pool.can_hold(257));
        pool.sent(Nanos(5));
        pool.sent(Nanos(9));
        assert_eq!((pool.oldest_out(), pool.free(), pool.out()), (Some(Nanos(5)), 1, 2));
        pool.returned(small);
        assert_eq!(pool.oldest_out(), Some(Nanos(9)));
        pool.returned(Slot::empty());
        assert_eq!(pool.out(), 1, "frames without bytes do not count");
        pool.returned(large);
        assert_eq!((pool.free(), pool.out(), pool.total()), (3, 0, 3));
    }
}
