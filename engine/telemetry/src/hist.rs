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
                out.saturating_record_n(bucket_value(bucket), count - u64::from(is_exact));
                if is_exact {
                    out.saturating_record(self.max);
                }
            }
        }
    }
}

/// What `histogram` holds now.
#[must_use]
pub fn summary(histogram: &Histogram) -> Summary {
    let (counts, mut hdr) = (Counts::of(histogram), empty());
    counts.since_into(&Counts::default(), &mut hdr);
    Summary::of(&hdr, counts.max)
}

/// The summaries of all histograms of `metrics` that hold values, by tag. Histograms of the same
/// tag are taken together.
#[must_use]
pub fn latency_summaries(metrics: &Metrics) -> BTreeMap<String, Summary> {
    let mut merged: BTreeMap<&'static str, (Hdr, u64)> = BTreeMap::new();
    let mut one = empty();
    for (tag, histogram) in histograms(metrics) {
        let counts = Counts::of(&histogram);
        counts.since_into(&Counts::default(), &mut one);
        let (sum, max) = merged.entry(tag).or_insert_with(|| (empty(), 0));
        // Same bounds: adding cannot fail.
        let _ = sum.add(&one);
        *max = (*max).max(counts.max);
    }
    let held = merged.into_iter().filter(|(_, (hdr, _))| !hdr.is_empty());
    held.map(|(tag, (hdr, max))| (tag.to_owned(), Summary::of(&hdr, max))).collect()
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
