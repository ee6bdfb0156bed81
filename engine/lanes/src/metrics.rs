//! Counters and histograms in shared words, one writer each, readable from any thread and, when
//! backed by a file, from any process. Declared exception to "only rings".
//!
//! Ordering: every word has one writer, which adds by a relaxed load and a relaxed store (no
//! locked instruction). A gauge is set by a release store, which pairs with the acquire load of
//! [`Counters::value`]: who sees it sees all that its writer wrote before, so a writer tells what
//! belongs to a gauge first. Beyond that a snapshot is consistent per word, not across words, which
//! is all a counter promises.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bot4_alloc::mapped::SharedWords;

use crate::block::Block;
use crate::sync::{AtomicU64, Ordering, acquire, release};

/// Counters of one agent, by index into the agent's own table of names.
#[derive(Clone, Copy, Debug)]
pub struct Counters {
    words: &'static [AtomicU64],
}

impl Counters {
    /// Adds `n` to counter `index`. Single writer.
    ///
    /// # Panics
    /// When `index` is not in the agent's table of names.
    #[inline]
    pub fn add(&self, index: usize, n: u64) {
        let word = &self.words[index];
        word.store(word.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Sets counter `index`, for gauges, after everything written before it. Single writer.
    ///
    /// # Panics
    /// When `index` is not in the agent's table of names.
    #[inline]
    pub fn set(&self, index: usize, value: u64) {
        // Release: pairs with the acquire of `value`.
        self.words[index].store(value, release());
    }

    /// The value of counter `index`, before everything read after it.
    ///
    /// # Panics
    /// When `index` is not in the agent's table of names.
    #[must_use]
    pub fn value(&self, index: usize) -> u64 {
        // Acquire: pairs with the release of `set`.
        self.words[index].load(acquire())
    }
}

/// Sub-buckets per power of two: 256, a relative error of at most 1/256 of the value.
const SUB_BITS: u32 = 8;
const SUB: usize = 1 << SUB_BITS;
/// Largest power of two told apart: 2^36 ns is 69 s, above the 60 s bound of the dumps.
const TOP_BITS: u32 = 36;
/// Buckets of a histogram.
pub const BUCKETS: usize = SUB * (TOP_BITS - SUB_BITS + 1) as usize;

/// A log-linear latency histogram in shared words: [`BUCKETS`] counts, then the exact maximum.
/// One writer. Cost of a value in a loop: 1.0 ns where they are as stages have them or always the
/// same, 1.2 where they are spread over all buckets or over 32 histograms in turn, a third of what
/// the hdrhistogram crate's take (EPYC of family 26, 2026-11-30, `latency --only histogram`).
#[derive(Clone, Copy, Debug)]
pub struct Histogram {
    words: &'static [AtomicU64; BUCKETS + 1],
}

/// The bucket of `value` (nanoseconds); values above the bound fall into the last. No branch:
/// below [`SUB`] the shift is zero, and the value its own bucket.
#[must_use]
#[inline]
pub const fn bucket_of(value: u64) -> usize {
    const HIGHEST: u64 = (1 << TOP_BITS) - 1;
    let value = if value < HIGHEST { value } else { HIGHEST };
    let shift = 63 - SUB_BITS - (value | SUB as u64).leading_zeros();
    ((shift as usize) << SUB_BITS) + (value >> shift) as usize
}

/// Lowest value of `bucket`.
#[must_use]
pub const fn bucket_low(bucket: usize) -> u64 {
    if bucket < 2 * SUB {
        return bucket as u64;
    }
    let shift = (bucket >> SUB_BITS) as u32 - 1;
    (((bucket & (SUB - 1)) + SUB) as u64) << shift
}

/// The value a bucket stands for: the middle of its range.
#[must_use]
pub const fn bucket_value(bucket: usize) -> u64 {
    if bucket < 2 * SUB {
        return bucket as u64;
    }
    let shift = (bucket >> SUB_BITS) as u32 - 1;
    bucket_low(bucket) + (1 << shift) / 2
}

impl Histogram {
    /// Counts one `value` in nanoseconds. Single writer.
    #[inline]
    pub fn record(&self, value: u64) {
        let word = &self.words[bucket_of(value)];
        word.store(word.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        let max = &self.words[BUCKETS];
        if value > max.load(Ordering::Relaxed) {
            max.store(value, Ordering::Relaxed);
        }
    }

    /// The count in `bucket`.
    ///
    /// # Panics
    /// When `bucket` is not below [`BUCKETS`].
    #[must_use]
    pub fn count(&self, bucket: usize) -> u64 {
        assert!(bucket < BUCKETS, "no such bucket");
        self.words[bucket].load(Ordering::Relaxed)
    }

    /// The largest value recorded.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.words[BUCKETS].load(Ordering::Relaxed)
    }
}

/// What lies where in the words.
#[derive(Clone, Debug)]
pub enum Entry {
    /// An agent's counters with their names.
    Counters {
        /// The agent's role.
        role: &'static str,
        /// Names by index.
        names: &'static [&'static str],
        /// The words.
        counters: Counters,
    },
    /// A histogram.
    Histogram {
        /// Its tag in reports and dumps.
        tag: &'static str,
        /// The words.
        histogram: Histogram,
    },
    /// Words that belong together.
    Block {
        /// The role of the agent that writes them.
        role: &'static str,
        /// What they tell of.
        tag: &'static str,
        /// The words.
        block: Block,
    },
}

/// An entry and the place of its first word in the file.
#[derive(Clone, Debug)]
pub struct Placed {
    /// Index of the first word.
    pub at: usize,
    /// Words that belong to it.
    pub len: usize,
    /// What lies there.
    pub entry: Entry,
}

/// Hands out counters and histograms while the engine is wired; afterwards a directory of them.
/// Cheap to clone. The lock guards the directory only, never a count.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Mutex<Directory>>,
}

struct Directory {
    words: &'static [AtomicU64],
    used: usize,
    entries: Vec<Placed>,
    /// Other processes may read the words.
    shared: bool,
}

/// Words reserved: 56 histograms, 64 agents of 64 counters, both ends of 256 links.
const WORDS: usize = 56 * (BUCKETS + 8) + 64 * 64 + 2 * 256 * LINE_WORDS;
/// Words reserved beside in a file: its head and table, and a block for every instrument twice.
const SHARED_WORDS: usize = WORDS + 2 * 256 * 64 + (1 << 16);
/// Words at the start of a file that nobody is handed: its head.
pub const HEAD_WORDS: usize = 2 * LINE_WORDS;
/// Words are handed out in whole cache-line pairs, so two writers never share a line.
const LINE_WORDS: usize = 16;

impl Metrics {
    /// Counters in plain memory: for tests, the simulator and runs without a counters file.
    ///
    /// # Panics
    /// When the memory cannot be mapped: nothing can run then.
    #[must_use]
    pub fn in_memory() -> Self {
        let words = SharedWords::anonymous(WORDS).expect("anonymous memory for the counters");
        Self::over(words, 0, false)
    }

    /// Counters in a file mapped `MAP_SHARED`, so that other processes can read them. Its first
    /// [`HEAD_WORDS`] are the head, for [`head`](Self::head).
    ///
    /// # Errors
    /// When the file cannot be created, sized or mapped.
    pub fn at(path: &Path) -> std::io::Result<Self> {
        Ok(Self::over(SharedWords::create(path, SHARED_WORDS)?, HEAD_WORDS, true))
    }

    /// Other processes may read these: they lie in a file.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).shared
    }

    /// Words there are, handed out or not.
    #[must_use]
    pub fn words(&self) -> usize {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).words.len()
    }

    /// The head of the file; none where there is no file. One writer.
    #[must_use]
    pub fn head(&self) -> Option<Head> {
        let dir = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        dir.shared.then(|| Head { words: &dir.words[..HEAD_WORDS] })
    }

    /// Puts `text` into words of its own, its length apart; the index of the first of them. None
    /// when it is longer than what is left.
    #[must_use]
    pub fn text(&self, text: &[u8]) -> Option<usize> {
        let mut dir = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, count) = (dir.used, text.len().div_ceil(8));
        if at + count > dir.words.len() {
            return None;
        }
        for (word, bytes) in dir.take(count).iter().zip(text.chunks(8)) {
            let mut whole = [0; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(whole), Ordering::Relaxed);
        }
        Some(at)
    }

    /// A block of `len` words that the agent `role` writes about `tag`.
    ///
    /// # Panics
    /// When the reserved words are used up (a bug in the wiring).
    #[must_use]
    pub fn block(&self, role: &'static str, tag: &str, len: usize) -> Block {
        // The words live as long as the process, and so may their name.
        let tag: &'static str = Box::leak(tag.to_owned().into_boxed_str());
        let mut dir = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let at = dir.used;
        let block = Block::new(dir.take(len + 1));
        let entry = Entry::Block { role, tag, block };
        dir.entries.push(Placed { at, len: len + 1, entry });
        block
    }

    /// The block that the agent `role` writes about `tag`.
    #[must_use]
    pub fn block_of(&self, role: &str, tag: &str) -> Option<Block> {
        let dir = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        dir.entries.iter().find_map(|placed| match placed.entry {
            Entry::Block { role: of, tag: about, block } if (of, about) == (role, tag) => {
                Some(block)
            }
            _ => None,
        })
    }

    /// The same memory as new: every word zero, nothing handed out. For programs that build many
    /// machines one after the other, because the words of each live as long as the process. Only
    /// when nobody writes what was handed out before.
    pub fn renew(&self) {
        let mut dir = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        dir.words[..dir.used].iter().for_each(|word| word.store(0, Ordering::Relaxed));
        dir.used = if dir.shared { HEAD_WORDS } else { 0 };
        dir.entries.clear();
    }

    fn over(words: SharedWords, used: usize, shared: bool) -> Self {
        let words = words_of(words);
        Self { inner: Arc::new(Mutex::new(Directory { words, used, entries: Vec::new(), shared })) }
    }

    /// Counters for the agent `role`, one per name.
    ///
    /// # Panics
    /// When the reserved words are used up (a bug in the wiring).
    #[must_use]
    pub fn counters(&self, role: &'static str, names: &'static [&'static str]) -> Counters {
        let mut dir = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let at = dir.used;
        let counters = Counters { words: dir.take(names.len()) };
        let entry = Entry::Counters { role, names, counters };
        dir.entries.push(Placed { at, len: names.len(), entry });
        counters
    }

    /// A histogram with this tag.
    ///
    /// # Panics
    /// When the reserved words are used up (a bug in the wiring).
    #[must_use]
    pub fn histogram(&self, tag: &'static str) -> Histogram {
        let mut dir = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let at = dir.used;
        // Invariant: as many words as were asked for, or it has panicked.
        let words = dir.take(BUCKETS + 1).first_chunk().expect("as many as asked for");
        let histogram = Histogram { words };
        let entry = Entry::Histogram { tag, histogram };
        dir.entries.push(Placed { at, len: BUCKETS + 1, entry });
        histogram
    }

    /// The histogram with this tag, made when there is none yet: for agents that always share a
    /// lane, and with it the one writer that a histogram may have.
    ///
    /// # Panics
    /// As [`histogram`](Self::histogram).
    #[must_use]
    pub fn shared_histogram(&self, tag: &'static str) -> Histogram {
        let found = self.entries().into_iter().find_map(|entry| match entry {
            Entry::Histogram { tag: of, histogram } if of == tag => Some(histogram),
            _ => None,
        });
        found.unwrap_or_else(|| self.histogram(tag))
    }

    /// Everything handed out so far, in order.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.placed().into_iter().map(|placed| placed.entry).collect()
    }

    /// Everything handed out so far with its place, in order.
    #[must_use]
    pub fn placed(&self) -> Vec<Placed> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).entries.clone()
    }

    /// The sum over all agents of the counter called `name`.
    #[must_use]
    pub fn total(&self, name: &str) -> u64 {
        self.total_of("", name)
    }

    /// The sum of the counter called `name` over all agents whose role starts with `role`; an
    /// empty `role` means all.
    #[must_use]
    pub fn total_of(&self, role: &str, name: &str) -> u64 {
        self.find(role, name).value()
    }

    /// The counter called `name` of the agent whose role is exactly `role`.
    #[must_use]
    pub fn of_role(&self, role: &str, name: &str) -> u64 {
        let entries = self.entries();
        let named = entries.iter().filter_map(|entry| match entry {
            Entry::Counters { role: of, names, counters } if *of == role => {
                Some(counters.value(names.iter().position(|n| *n == name)?))
            }
            _ => None,
        });
        named.sum()
    }

    /// The counters that [`total_of`](Self::total_of) adds up, found once: for those who look
    /// often. Agents that register later are not among them.
    #[must_use]
    pub fn find(&self, role: &str, name: &str) -> Total {
        let dir = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut parts = Vec::new();
        for placed in &dir.entries {
            if let Entry::Counters { role: of, names, counters } = &placed.entry
                && of.starts_with(role)
            {
                let named = names.iter().enumerate().filter(|(_, n)| **n == name);
                parts.extend(named.map(|(i, _)| (*counters, i)));
            }
        }
        Total { parts }
    }
}

/// The head of a counters file. What it means is the business of who writes and reads it.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    words: &'static [AtomicU64],
}

impl Head {
    /// Sets word `index`.
    ///
    /// # Panics
    /// When `index` is not below [`HEAD_WORDS`].
    pub fn set(&self, index: usize, value: u64) {
        self.words[index].store(value, Ordering::Relaxed);
    }

    /// Sets word `index` after everything written before it: a reader that sees it and then
    /// fences (acquire) sees that, too.
    ///
    /// # Panics
    /// When `index` is not below [`HEAD_WORDS`].
    pub fn publish(&self, index: usize, value: u64) {
        self.words[index].store(value, release());
    }
}

/// Counters of one name over agents. See [`Metrics::find`].
#[derive(Clone, Debug, Default)]
pub struct Total {
    parts: Vec<(Counters, usize)>,
}

impl Total {
    /// Their sum now. No lock, no allocation.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.parts.iter().map(|(counters, i)| counters.value(*i)).sum()
    }
}

/// Touched now, so that no lane faults on its first count.
#[cfg(not(loom))]
fn words_of(words: SharedWords) -> &'static [AtomicU64] {
    let _ = words.populate();
    words.leak()
}

/// The model sees its own words only; a few will do.
#[cfg(loom)]
fn words_of(_: SharedWords) -> &'static [AtomicU64] {
    (0..4 * LINE_WORDS).map(|_| AtomicU64::new(0)).collect::<Vec<_>>().leak()
}

impl Directory {
    fn take(&mut self, count: usize) -> &'static [AtomicU64] {
        let words = &self.words[self.used..self.used + count];
        self.used += count.div_ceil(LINE_WORDS) * LINE_WORDS;
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The naive twin: power of two by power of two.
    fn searched(value: u64) -> usize {
        let Some(power) = (SUB_BITS + 1..=TOP_BITS).find(|p| value >> p == 0) else {
            return BUCKETS - 1;
        };
        let shift = power - SUB_BITS - 1;
        (shift as usize) * SUB + (value / (1 << shift)) as usize
    }

    proptest! {
        #[test]
        fn buckets_are_those_of_the_search(value: u64, shift in 0u32..64) {
            for v in [value, value >> shift, 1 << shift, (1 << shift) - 1] {
                prop_assert_eq!(bucket_of(v), searched(v), "{}", v);
            }
        }

        #[test]
        fn buckets_cover_every_value_within_their_error(v in 0u64..60_000_000_000) {
            let b = bucket_of(v);
            prop_assert!(bucket_low(b) <= v && (b + 1 == BUCKETS || v < bucket_low(b + 1)));
            let mid = bucket_value(b);
            prop_assert!(mid.abs_diff(v) <= v / 256 + 1, "{v} stands as {mid}");
        }
    }

    #[test]
    fn counters_and_histograms_are_found_again() {
        let metrics = Metrics::in_memory();
        let a = metrics.counters("a", &["in", "out"]);
        let b = metrics.counters("b", &["in"]);
        let h = metrics.histogram("parse");
        a.add(0, 2);
        b.add(0, 3);
        a.set(1, 9);
        h.record(300);
        h.record(u64::MAX);
        assert_eq!((metrics.total("in"), metrics.total_of("a", "out")), (5, 9));
        assert_eq!((h.count(bucket_of(300)), h.count(BUCKETS - 1), h.max()), (1, 1, u64::MAX));
        assert_eq!(metrics.entries().len(), 3);
    }
}
