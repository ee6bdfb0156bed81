//! Carves a range from its front, from any thread, without a lock.
//!
//! Invariant: the ranges handed out lie inside, are aligned as asked and never overlap. Nothing
//! is ever given back (jemalloc keeps and reuses what it was given), so one word is all the
//! state: how many bytes are gone. Cost: one compare-and-swap.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Addresses `start..start + len`, of which the front is gone.
#[derive(Debug)]
pub(crate) struct Bump {
    start: usize,
    len: usize,
    gone: AtomicUsize,
}

impl Bump {
    pub(crate) const fn new(start: usize, len: usize) -> Self {
        Self { start, len, gone: AtomicUsize::new(0) }
    }

    /// Takes `size` bytes aligned to `align` (a power of two); the offset from the start, or
    /// `None` when they do not fit any more. The bytes skipped for alignment are gone too.
    pub(crate) fn carve(&self, size: usize, align: usize) -> Option<usize> {
        // Relaxed: disjointness comes from the compare-and-swap alone. The bytes themselves were
        // mapped before this Bump was shared, and jemalloc orders their use by its own locks.
        let mut gone = self.gone.load(Ordering::Relaxed);
        loop {
            let (offset, end) = self.place(gone, size, align)?;
            let swap =
                self.gone.compare_exchange_weak(gone, end, Ordering::Relaxed, Ordering::Relaxed);
            match swap {
                Ok(_) => return Some(offset),
                Err(now) => gone = now,
            }
        }
    }

    /// Where `size` bytes would lie: offset and end, from the start.
    fn place(&self, gone: usize, size: usize, align: usize) -> Option<(usize, usize)> {
        let at = (self.start + gone).checked_next_multiple_of(align)?;
        let offset = at - self.start;
        let end = offset.checked_add(size)?;
        (end <= self.len).then_some((offset, end))
    }

    /// Bytes gone, alignment included.
    pub(crate) fn gone(&self) -> usize {
        self.gone.load(Ordering::Relaxed)
    }

    /// Bytes left.
    pub(crate) fn left(&self) -> usize {
        self.len - self.gone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The naive twin: walks byte by byte to the next aligned place behind the last range.
    fn naive(start: usize, len: usize, asks: &[(usize, u32)]) -> Vec<Option<usize>> {
        let mut next = 0;
        let place = |&(size, shift): &(usize, u32)| {
            let mut offset = next;
            while (start + offset) & ((1 << shift) - 1) != 0 {
                offset += 1;
            }
            if offset + size > len {
                return None;
            }
            next = offset + size;
            Some(offset)
        };
        asks.iter().map(place).collect()
    }

    proptest! {
        #[test]
        fn carves_like_its_twin(
            start in 0usize..4096,
            len in 0usize..20_000,
            asks in prop::collection::vec((0usize..3000, 0u32..10), 0..40),
        ) {
            let bump = Bump::new(start, len);
            let ours: Vec<_> =
                asks.iter().map(|&(size, shift)| bump.carve(size, 1 << shift)).collect();
            prop_assert_eq!(ours, naive(start, len, &asks));
            prop_assert!(bump.gone() + bump.left() == len);
        }
    }

    #[test]
    fn threads_never_get_the_same_byte() {
        const LEN: usize = 1 << 20;
        let bump = Bump::new(0, LEN);
        let worker = |seed: usize| {
            let mut mine = Vec::new();
            while let Some(at) = bump.carve(1 + (mine.len() * 7 + seed) % 100, 8) {
                mine.push((at, 1 + (mine.len() * 7 + seed) % 100));
            }
            mine
        };
        let mut all: Vec<(usize, usize)> = std::thread::scope(|s| {
            let threads: Vec<_> = (0..4).map(|seed| s.spawn(move || worker(seed))).collect();
            threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
        });
        all.sort_unstable();
        assert!(all.len() > LEN / 110, "the whole range was handed out");
        for pair in all.windows(2) {
            assert!(pair[0].0 + pair[0].1 <= pair[1].0, "{pair:?} overlap");
        }
    }

    #[test]
    fn absurd_requests_do_not_fit() {
        let bump = Bump::new(0x7000, 100);
        assert_eq!(bump.carve(usize::MAX, 1), None);
        assert_eq!(bump.carve(1, 1 << 63), None);
        assert_eq!((bump.gone(), bump.carve(100, 1)), (0, Some(0)));
    }
}
