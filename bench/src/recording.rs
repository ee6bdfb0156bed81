//! What it costs a lane to be seen: a value in its histogram, a count, a link's depth, a block of
//! words that belong together.
//!
//! A stage's values lie close together and find their words in the first cache. How it is where
//! they do not is measured beside it: values spread over every bucket, and a lane that comes back
//! to each of its histograms only after many others.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use bot4_lanes::{Block, Clock, Counters, Depth, Histogram, Metrics, Rx, Tx, ring};
use bot4_types::Nanos;
use bot4_types::rng::SplitMix64;
use bot4_types::shown::BOOK_WORDS;

use crate::case::{Case, histogram};
use crate::ring::{CAPACITY, Message};

/// Values in turn.
const VALUES: usize = 4_096;
/// Histograms of a lane that comes back to none of them soon: 1.9 MB of words.
pub const MANY: usize = 32;

/// The same value again and again.
#[must_use]
pub fn same() -> Vec<u64> {
    vec![300; VALUES]
}

/// Latencies as stages have them: mostly some hundred nanoseconds, now and then far more.
#[must_use]
pub fn usual() -> Vec<u64> {
    let mut rng = SplitMix64::new(11);
    let value = |rng: &mut SplitMix64| match rng.below(100) {
        0 => 10_000 + rng.below(1_000_000),
        1..10 => 1_000 + rng.below(9_000),
        _ => 80 + rng.below(400),
    };
    (0..VALUES).map(|_| value(&mut rng)).collect()
}

/// Any power of two from 64 ns to 17 s as often as another: no two values share a line.
#[must_use]
pub fn spread() -> Vec<u64> {
    let mut rng = SplitMix64::new(12);
    let value = |rng: &mut SplitMix64| {
        let low = 64 << rng.below(28);
        low + rng.below(low)
    };
    (0..VALUES).map(|_| value(&mut rng)).collect()
}

/// Something that counts values.
pub trait Record: Sized {
    /// So many of them, empty.
    fn several<const N: usize>() -> [Self; N];
    /// Counts `value`.
    fn note(&mut self, value: u64);
}

impl Record for Histogram {
    fn several<const N: usize>() -> [Self; N] {
        let metrics = Metrics::in_memory();
        std::array::from_fn(|_| metrics.histogram("bench"))
    }

    #[inline]
    fn note(&mut self, value: u64) {
        self.record(value);
    }
}

/// The baseline.
impl Record for hdrhistogram::Histogram<u64> {
    fn several<const N: usize>() -> [Self; N] {
        std::array::from_fn(|_| histogram())
    }

    #[inline]
    fn note(&mut self, value: u64) {
        assert!(self.record(value).is_ok(), "all values are within its bounds");
    }
}

/// A value into the next of `N` histograms.
pub struct Recorded<R, const N: usize> {
    into: [R; N],
    values: Vec<u64>,
    n: usize,
}

impl<R: Record, const N: usize> Recorded<R, N> {
    /// Of `values` in turn, as many as a power of two.
    #[must_use]
    pub fn of(values: Vec<u64>) -> Self {
        Self { into: R::several(), values, n: 0 }
    }
}

impl<R: Record, const N: usize> Case for Recorded<R, N> {
    #[inline]
    fn call(&mut self) {
        self.n = (self.n + 1) % VALUES;
        self.into[self.n % N].note(black_box(self.values[self.n]));
    }
}

/// A stage and its end: dependent multiplications, so many, and the stamp.
pub struct Stamp {
    steps: u32,
    clock: Clock,
    before: Nanos,
}

impl Stamp {
    /// Of so many steps, each of two thirds of a nanosecond or so.
    #[must_use]
    pub fn after(steps: u32) -> Self {
        let clock = Clock::start();
        let before = clock.now();
        Self { steps, clock, before }
    }

    #[inline]
    fn span(&mut self) -> u64 {
        let mut x = self.before.0 | 1;
        for _ in 0..self.steps {
            x = black_box(x.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        }
        let now = self.clock.now();
        let span = now.since(self.before).0;
        self.before = now;
        span
    }
}

impl Case for Stamp {
    /// What was measured meanwhile is no span.
    fn enter(&mut self) {
        self.before = self.clock.now();
    }

    #[inline]
    fn call(&mut self) {
        black_box(self.span());
    }
}

/// The same, and the span since the stamp before into a histogram. Without steps a value comes
/// while the one before is still on its way into the same word or the next, which costs several
/// nanoseconds; no stage is that short.
pub struct Stage<R> {
    stamp: Stamp,
    into: [R; 1],
}

impl<R: Record> Stage<R> {
    /// Of so many steps.
    #[must_use]
    pub fn of(steps: u32) -> Self {
        Self { stamp: Stamp::after(steps), into: R::several() }
    }
}

impl<R: Record> Case for Stage<R> {
    fn enter(&mut self) {
        self.stamp.enter();
    }

    #[inline]
    fn call(&mut self) {
        let span = self.stamp.span();
        self.into[0].note(span);
    }
}

/// A count by a locked instruction, as of words with several writers: the baseline.
#[derive(Default)]
pub struct LockedCount(AtomicU64);

impl Case for LockedCount {
    #[inline]
    fn call(&mut self) {
        // Nobody else looks at it.
        self.0.fetch_add(black_box(1), Ordering::Relaxed);
    }
}

/// A count of an agent.
pub struct Count(Counters);

impl Default for Count {
    fn default() -> Self {
        Self(Metrics::in_memory().counters("bench", &["a", "b", "c"]))
    }
}

impl Case for Count {
    #[inline]
    fn call(&mut self) {
        self.0.add(black_box(1), black_box(1));
    }
}

/// As an agent uses a link: room, push; how many wait, pop.
pub struct Link {
    tx: Tx<Message>,
    rx: Rx<Message>,
    n: u64,
}

impl Link {
    /// Nobody notes how deep it is: the baseline.
    #[must_use]
    pub fn plain() -> Self {
        let (tx, rx) = ring(CAPACITY);
        Self { tx, rx, n: 0 }
    }

    /// Both ends note it.
    #[must_use]
    pub fn noted() -> Self {
        let (metrics, Self { tx, rx, n }) = (Metrics::in_memory(), Self::plain());
        let depth = |end| Depth::new(metrics.counters("link bench", end));
        Self { tx: tx.with_depth(depth(&["written"])), rx: rx.with_depth(depth(&["read"])), n }
    }
}

impl Case for Link {
    #[inline]
    fn call(&mut self) {
        self.n += 1;
        assert!(self.tx.room() > 0);
        let pushed = self.tx.push(black_box([self.n; 8]));
        assert!(pushed.is_ok() && black_box(self.rx.waiting()) == 1);
        assert!(black_box(self.rx.pop()).is_some_and(|m| m[0] == self.n));
    }
}

/// The words of a block into plain memory: the baseline.
pub struct WordsCopy {
    words: [u64; BOOK_WORDS],
    to: [u64; BOOK_WORDS],
}

impl Default for WordsCopy {
    fn default() -> Self {
        Self { words: [7; BOOK_WORDS], to: [0; BOOK_WORDS] }
    }
}

impl Case for WordsCopy {
    #[inline]
    fn call(&mut self) {
        self.to = *black_box(&self.words);
        black_box(&self.to);
    }
}

/// The words of a block into a block, which a reader gets all of or none.
pub struct BlockWrite {
    words: [u64; BOOK_WORDS],
    block: Block,
}

impl Default for BlockWrite {
    fn default() -> Self {
        let block = Metrics::in_memory().block("bench", "words", BOOK_WORDS);
        Self { words: [7; BOOK_WORDS], block }
    }
}

impl Case for BlockWrite {
    #[inline]
    fn call(&mut self) {
        self.block.write(black_box(&self.words));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_values_fill_most_of_the_histogram_and_usual_ones_a_part_of_it() {
        let buckets = |values: Vec<u64>| {
            let mut buckets: Vec<_> =
                values.into_iter().map(bot4_lanes::metrics::bucket_of).collect();
            buckets.sort_unstable();
            buckets.dedup();
            buckets.len()
        };
        assert_eq!(buckets(same()), 1);
        assert!((100..1_500).contains(&buckets(usual())));
        assert!(buckets(spread()) > 2_500);
        let mut both = (
            Recorded::<Histogram, 2>::of(spread()),
            Recorded::<hdrhistogram::Histogram<u64>, 2>::of(spread()),
        );
        for _ in 0..VALUES {
            both.0.call();
            both.1.call();
        }
        let longest = spread().into_iter().max().expect("values");
        assert_eq!(both.0.into[0].max().max(both.0.into[1].max()), longest);
        assert_eq!(both.1.into[0].len() + both.1.into[1].len(), VALUES as u64);
    }

    #[test]
    fn a_noted_link_notes() {
        let mut link = Link::noted();
        (0..10).for_each(|_| link.call());
        assert_eq!(link.n, 10);
    }
}
