//! A few words that belong together, such as a book's levels: a reader gets all of one writing or
//! none. A sequence lock over shared words.
//!
//! ```text
//! word 0: odd while the writer writes, two more after each writing     words 1..: the values
//! ```
//!
//! Ordering: the writer makes word 0 odd, then a release fence, the values relaxed, and word 0
//! even by a release store. A reader loads word 0, an acquire fence, the values relaxed, an acquire
//! fence, word 0 again: a value of a later writing brings the odd number before it along (fence to
//! fence), an even number all values before it (store to fence). One writer, any number of readers,
//! in any process; the writer never waits for them. Cost of a writing: a store a word and two.

use crate::metrics::Counters;
use crate::sync::{AtomicU64, Ordering, acquire, fence, release};

/// The writing side of a block.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    words: &'static [AtomicU64],
}

impl Block {
    pub(crate) const fn new(words: &'static [AtomicU64]) -> Self {
        Self { words }
    }

    /// Words beside the sequence.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.words.len() - 1
    }

    /// It has no room for a value.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes `values`, as many as there is room for. Single writer.
    #[inline]
    pub fn write(&self, values: &[u64]) {
        let (sequence, rest) = self.words.split_at(1);
        let sequence = &sequence[0];
        let before = sequence.load(Ordering::Relaxed); // own word
        sequence.store(before.wrapping_add(1), Ordering::Relaxed);
        fence(release());
        for (word, value) in rest.iter().zip(values) {
            word.store(*value, Ordering::Relaxed);
        }
        sequence.store(before.wrapping_add(2), release());
    }

    /// What was written last, into `out`; false while it is being written.
    pub fn read(&self, out: &mut [u64]) -> bool {
        read(|at| self.words.get(at).map(|word| word.load(Ordering::Relaxed)), out)
    }
}

/// Reads a block through `load`, which gives its word of an index by a relaxed load, into `out`.
/// False when the writer was at it, or the block has fewer words: then `out` holds nonsense.
pub fn read(load: impl Fn(usize) -> Option<u64>, out: &mut [u64]) -> bool {
    let Some(before) = load(0) else { return false };
    if before % 2 == 1 {
        return false;
    }
    fence(acquire());
    for (at, value) in out.iter_mut().enumerate() {
        let Some(word) = load(at + 1) else { return false };
        *value = word;
    }
    fence(acquire());
    load(0) == Some(before)
}

/// How deep a link was at its deepest, as one of its ends saw it: a counter that only grows.
#[derive(Clone, Copy, Debug)]
pub struct Depth {
    highest: Counters,
}

impl Depth {
    /// Kept in the first counter of `highest`.
    #[must_use]
    pub const fn new(highest: Counters) -> Self {
        Self { highest }
    }

    /// So many messages were seen to wait. Single writer. A load of the end's own line and a
    /// comparison; a store when it was never so deep.
    #[inline]
    pub fn note(&self, waiting: usize) {
        if waiting as u64 > self.highest.value(0) {
            self.highest.set(0, waiting as u64);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn a_block_reads_as_it_was_written_and_not_while_it_is_written() {
        let block = Metrics::in_memory().block("book.0", "BTCUSDT", 3);
        assert_eq!(block.len(), 3);
        let mut seen = [9; 3];
        assert!(block.read(&mut seen));
        assert_eq!(seen, [0; 3]);
        block.write(&[1, 2, 3, 4]);
        assert!(block.read(&mut seen));
        assert_eq!(seen, [1, 2, 3], "what has no room is left out");
        block.words[0].store(3, Ordering::Relaxed);
        assert!(!block.read(&mut seen), "a writing is under way");
        let words = [2, 7];
        assert!(!read(|at| words.get(at).copied(), &mut [0; 2]), "too short");
    }

    #[test]
    fn a_torn_writing_is_never_taken_for_one() {
        let block = Metrics::in_memory().block("book.0", "BTCUSDT", 8);
        std::thread::scope(|scope| {
            scope.spawn(|| (1..20_000u64).for_each(|n| block.write(&[n; 8])));
            let mut seen = [0; 8];
            let mut taken = 0;
            while seen[0] < 19_999 {
                if block.read(&mut seen) {
                    assert!(seen.iter().all(|v| *v == seen[0]), "{seen:?}");
                    taken += 1;
                } else {
                    seen = [0; 8];
                }
            }
            assert!(taken > 0);
        });
    }
}
