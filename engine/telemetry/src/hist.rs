//! From the lanes' histograms to HdrHistograms and summaries.
//!
//! A lane counts into log-linear buckets (256 a power of two); here each bucket's count goes to
//! an HdrHistogram at the bucket's middle, and the one largest value at its exact place.

use std::collections::BTreeMap;

use bot4_lanes::Metrics;
use bot4_lanes::metrics::{BUCKETS, Entry, Histogram, bucket_of, bucket_value};
use serde::{Deserialize, Serialize};

/// An HdrHistogram as this crate uses it.
pub type Hdr = hdrhistogram::Histogram<u64>;

/// Lowest value that dumps tell apart, nanoseconds.
pub const VALUE_NS_MIN: u64 = 1;
/// Highest value of dumps, nanoseconds; longer ones count here.
pub const VALUE_NS_MAX: u64 = 60_000_000_000;
/// Significant decimal digits of dumps.
pub const DIGITS: u8 = 3;

/// Quantiles and maximum of a histogram, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Values.
    pub count: u64,
    /// Median.
    pub p50: u64,
    /// 90 of 100 are at or below.
    pub p90: u64,
    /// 99 of 100.
    pub p99: u64,
    /// 999 of 1000.
    pub p999: u64,
    /// The largest.
    pub max: u64,
    /// The mean, rounded: unlike quantiles, the means of an order's stages sum to that of its way.
    #[serde(default)]
    pub mean: u64,
}

impl Summary {
    /// Of `hdr`, whose largest value is `max`.
    #[must_use]
    pub fn of(hdr: &Hdr, max: u64) -> Self {
        let at = |q| hdr.value_at_quantile(q).min(max);
        let (p50, p90, p99, p999) = (at(0.5), at(0.9), at(0.99), at(0.999));
        let mean = (hdr.mean().round() as u64).min(max);
        Self { count: hdr.len(), p50, p90, p99, p999, max, mean }
    }

    /// All values together, nanoseconds.
    #[must_use]
    pub const fn total(&self) -> u128 {
        self.mean as u128 * self.count as u128
    }

    /// The columns of tables in order, with their names.
    #[must_use]
    pub const fn fields(&self) -> [(&'static str, u64); 6] {
        [
            ("count", self.count),
            ("p50", self.p50),
            ("p90", self.p90),
            ("p99", self.p99),
            ("p999", self.p999),
            ("max", self.max),
        ]
    }
}

/// Upper bounds of [`Coarse`] buckets, nanoseconds: 1, 2 and 5 a decade from 100 ns to 10 s.
pub const BOUNDS_NS: [u64; 25] = bounds();

const fn bounds() -> [u64; 25] {
    let mut bounds = [100; 25];
    let mut at = 1;
    while at < bounds.len() {
        bounds[at] = bounds[at - 1] * 2 + if at % 3 == 2 { bounds[at - 1] / 2 } else { 0 };
        at += 1;
    }
    bounds
}

/// A histogram in the few buckets that graphs over days can afford.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coarse {
    /// Values at or below each of [`BOUNDS_NS`] and above the one before; then those above all.
    pub counts: Vec<u64>,
    /// All values together, nanoseconds.
    pub total_ns: u64,
}

/// An empty HdrHistogram of the dumps' bounds.
#[must_use]
pub fn empty() -> Hdr {
    // Invariant: these constants satisfy the constructor (high >= 2 * low, digits <= 5).
    Hdr::new_with_bounds(VALUE_NS_MIN, VALUE_NS_MAX, DIGITS).expect("constant bounds are valid")
}

/// The counts of a lane's histogram at one time.
#[derive(Clone, Debug)]
pub struct Counts {
    buckets: Vec<u64>,
    max: u64,
}

impl Default for Counts {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS], max: 0 }
    }
}

impl Counts {
    /// The counts of `histogram` now.
    #[must_use]
    pub fn of(histogram: &Histogram) -> Self {
        let buckets = (0..BUCKETS).map(|b| histogram.count(b)).collect();
        Self { buckets, max: histogram.max() }
    }

    /// The counts of a histogram in another process: its words, then its largest value.
    #[must_use]
    pub fn from_words(words: impl Iterator<Item = u64>, max: u64) -> Self {
        let mut buckets: Vec<u64> = words.take(BUCKETS).collect();
        buckets.resize(BUCKETS, 0);
        Self { buckets, max }
    }

    /// The largest value.
    #[must_use]
    pub const fn max(&self) -> u64 {
        self.max
    }

    /// Nothing was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buckets.iter().all(|count| *count == 0)
    }

    /// Takes the counts of `other` in.
    pub fn add(&mut self, other: &Self) {
        for (sum, count) in self.buckets.iter_mut().zip(&other.buckets) {
            *sum = sum.wrapping_add(*count);
        }
        self.max = self.max.max(other.max);
    }

    /// All of it as an HdrHistogram.
    #[must_use]
    pub fn hdr(&self) -> Hdr {
        let mut hdr = empty();
        self.since_into(&Self::default(), &mut hdr);
        hdr
    }

    /// All of it in few buckets. A value counts as its own bucket's middle does: one within 1/256
    /// of a bound may stand on the other side of it. Counts and total never fall while a lane
    /// records.
    #[must_use]
    pub fn coarse(&self) -> Coarse {
        let mut coarse = Coarse { counts: vec![0; BOUNDS_NS.len() + 1], total_ns: 0 };
        let held = self.buckets.iter().enumerate().filter(|(_, count)| **count > 0);
        for (bucket, count) in held {
            let value = bucket_value(bucket);
            coarse.counts[BOUNDS_NS.partition_point(|bound| *bound < value)] += count;
            coarse.total_ns = coarse.total_ns.saturating_add(value.saturating_mul(*count));
        }
        coarse
    }

    /// Fills `out` with what was recorded from `before` to `self`.
    pub fn since_into(&self, before: &Self, out: &mut Hdr) {
        out.reset();
        let delta = |b: usize| self.buckets[b].wrapping_sub(before.buckets[b]);
        let highest = (0..BUCKETS).rev().find(|b| delta(*b) > 0);
        // The maximum belongs to this span when it rose within it. A lane may have counted a
        // value while the words were read; then bucket and maximum do not fit and the middle
        // stands.
        let exact = highest.filter(|h| self.max > before.max && bucket_of(self.max) == *h);
        for bucket in 0..BUCKETS {
            let count = delta(bucket);
            if count > 0 {
                let is_exact = exact == Some(bucket);
                if is_exact {
                    out.saturating_record(self.max.min(VALUE_NS_MAX));
                }
                // A count of nothing would still raise the largest value to the bucket's middle.
                let rest = count - u64::from(is_exact);
                if rest > 0 {
                    out.saturating_record_n(bucket_value(bucket).min(VALUE_NS_MAX), rest);
                }
            }
        }
    }
}

/// What `histogram` holds now.
#[must_use]
pub fn summary(histogram: &Histogram) -> Summary {
    let counts = Counts::of(histogram);
    Summary::of(&counts.hdr(), counts.max)
}

/// The summaries of all histograms of `metrics` that hold values, by tag.
#[must_use]
pub fn latency_summaries(metrics: &Metrics) -> BTreeMap<String, Summary> {
    let each = histograms(metrics).into_iter().map(|(tag, h)| (tag, Counts::of(&h)));
    by_tag(each)
        .into_iter()
        .map(|(tag, c)| (tag.to_owned(), Summary::of(&c.hdr(), c.max)))
        .collect()
}

/// Histograms by tag, those of the same tag taken together, those without values left out.
pub fn by_tag<'a>(each: impl Iterator<Item = (&'a str, Counts)>) -> BTreeMap<&'a str, Counts> {
    let mut merged = BTreeMap::<&str, Counts>::new();
    for (tag, counts) in each.filter(|(_, counts)| !counts.is_empty()) {
        merged.entry(tag).or_default().add(&counts);
    }
    merged
}

/// All histograms of `metrics` with their tags.
#[must_use]
pub fn histograms(metrics: &Metrics) -> Vec<(&'static str, Histogram)> {
    let of = |entry| match entry {
        Entry::Histogram { tag, histogram } => Some((tag, histogram)),
        Entry::Counters { .. } | Entry::Block { .. } => None,
    };
    metrics.entries().into_iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The naive twin: sort and take by rank.
    fn ranked(values: &[u64], q: f64) -> u64 {
        let mut sorted = values.to_vec();
        sorted.sort_unstable();
        sorted[((q * values.len() as f64).ceil() as usize).clamp(1, values.len()) - 1]
    }

    fn near(ours: u64, naive: u64) -> bool {
        ours.abs_diff(naive) <= naive / 180 + 2
    }

    /// The sum of the intervals is the whole: bucket by bucket, and in its largest value.
    fn sums_to_the_whole(parts: &[Vec<u64>]) {
        let h = Metrics::in_memory().histogram("x");
        let (mut before, mut sum, mut part) = (Counts::default(), empty(), empty());
        for values in parts {
            values.iter().for_each(|v| h.record(*v));
            let now = Counts::of(&h);
            now.since_into(&before, &mut part);
            sum.add(&part).expect("same bounds");
            before = now;
        }
        let whole = before.hdr();
        let by_bucket = |hdr: &Hdr| {
            let mut buckets = BTreeMap::new();
            for v in hdr.iter_recorded() {
                let count = buckets.entry(bucket_of(v.value_iterated_to())).or_insert(0);
                *count += v.count_since_last_iteration();
            }
            buckets
        };
        assert_eq!(by_bucket(&sum), by_bucket(&whole));
        assert_eq!((sum.max(), sum.len()), (whole.max(), whole.len()));
    }

    /// The library tells values a little above its bound apart.
    #[test]
    fn above_the_bound_intervals_sum_to_the_whole_too() {
        sums_to_the_whole(&[vec![60_632_858_624], vec![1 << 36]]);
    }

    proptest! {
        #[test]
        fn summaries_equal_sorting(
            values in proptest::collection::vec(0u64..50_000_000_000, 1..300)
        ) {
            let h = Metrics::in_memory().histogram("x");
            values.iter().for_each(|v| h.record(*v));
            let s = summary(&h);
            prop_assert_eq!((s.count, s.max), (values.len() as u64, ranked(&values, 1.0)));
            for (ours, q) in [(s.p50, 0.5), (s.p90, 0.9), (s.p99, 0.99), (s.p999, 0.999)] {
                prop_assert!(near(ours, ranked(&values, q)), "{} for {} at {}", ours, ranked(&values, q), q);
            }
        }

        #[test]
        fn intervals_sum_to_the_whole(
            parts in proptest::collection::vec(
                proptest::collection::vec(0u64..70_000_000_000, 0..20), 1..6),
        ) {
            sums_to_the_whole(&parts);
        }

        /// Intervals add up to the whole.
        #[test]
        fn deltas_add_up(
            a in proptest::collection::vec(0u64..1_000_000, 0..50),
            b in proptest::collection::vec(0u64..1_000_000, 1..50),
        ) {
            let h = Metrics::in_memory().histogram("x");
            a.iter().for_each(|v| h.record(*v));
            let middle = Counts::of(&h);
            b.iter().for_each(|v| h.record(*v));
            let mut delta = empty();
            Counts::of(&h).since_into(&middle, &mut delta);
            prop_assert_eq!(delta.len(), b.len() as u64);
            prop_assert!(near(delta.max(), ranked(&b, 1.0)));
            prop_assert!(near(delta.value_at_quantile(0.5), ranked(&b, 0.5)));
        }
    }

    proptest! {
        /// The naive twin counts the values themselves; near a bound a bucket may stand beyond it.
        #[test]
        fn coarse_buckets_hold_what_is_below_their_bounds(
            values in proptest::collection::vec(0u64..15_000_000_000, 1..200)
        ) {
            let h = Metrics::in_memory().histogram("x");
            values.iter().for_each(|v| h.record(*v));
            let coarse = Counts::of(&h).coarse();
            let mut at_or_below = 0;
            for (bound, count) in BOUNDS_NS.iter().zip(&coarse.counts) {
                at_or_below += count;
                let naive = |bound: u64| values.iter().filter(|v| **v <= bound).count() as u64;
                let (low, high) = (naive(bound - bound / 256 - 1), naive(bound + bound / 256 + 1));
                prop_assert!((low..=high).contains(&at_or_below), "{at_or_below} to {bound}");
            }
            prop_assert_eq!(coarse.counts.iter().sum::<u64>(), values.len() as u64);
            let total = values.iter().sum::<u64>();
            prop_assert!(total.abs_diff(coarse.total_ns) <= total / 256 + values.len() as u64);
        }
    }

    #[test]
    fn bounds_are_one_two_and_five_a_decade() {
        assert_eq!(BOUNDS_NS[..4], [100, 200, 500, 1_000]);
        assert_eq!(BOUNDS_NS[22..], [2_000_000_000, 5_000_000_000, 10_000_000_000]);
    }

    /// 99 850 ns lies below the middle of its bucket, 99 968 ns, and apart from it in a dump.
    #[test]
    fn one_value_alone_is_the_largest_and_nothing_is_above_it() {
        let h = Metrics::in_memory().histogram("x");
        h.record(99_850);
        let hdr = Counts::of(&h).hdr();
        assert_eq!((hdr.len(), hdr.max()), (1, hdr.highest_equivalent(99_850)));
    }

    #[test]
    fn values_above_the_bound_are_kept_at_it_and_the_maximum_is_exact() {
        let metrics = Metrics::in_memory();
        let (h, same_tag) = (metrics.histogram("ack"), metrics.histogram("ack"));
        h.record(123);
        same_tag.record(100_000_000_000);
        let all = latency_summaries(&metrics);
        let ack = all["ack"];
        assert_eq!((ack.count, ack.max), (2, 100_000_000_000));
        assert!(near(ack.p99, VALUE_NS_MAX), "{ack:?}");
        let _empty = metrics.histogram("empty");
        assert_eq!(latency_summaries(&metrics).len(), 1);
    }
}
