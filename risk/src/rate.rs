//! Order rates as token buckets in integers: exact, and the same in replay.

use bot4_types::{Nanos, StrategyId};

use crate::limits::RiskLimits;

/// One order in the bucket's unit: a billionth of a token is gained per nanosecond and unit rate.
const TOKEN: u64 = 1_000_000_000;

/// A token bucket. Reading it is pure; only [`take`](Self::take) changes it.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    level: u64,
    at: Nanos,
    per_s: u64,
    full: u64,
}

impl Bucket {
    /// A full bucket of `burst` tokens that gains `per_s` a second.
    #[must_use]
    pub fn new(per_s: u32, burst: u32) -> Self {
        let full = u64::from(burst) * TOKEN;
        Self { level: full, at: Nanos::ZERO, per_s: u64::from(per_s), full }
    }

    fn level_at(&self, now: Nanos) -> u64 {
        let gained = now.since(self.at).0.saturating_mul(self.per_s);
        self.level.saturating_add(gained).min(self.full)
    }

    /// A token is there at `now`.
    #[must_use]
    pub fn is_ready(&self, now: Nanos) -> bool {
        self.level_at(now) >= TOKEN
    }

    /// Takes a token at `now`; an empty bucket stays empty.
    pub fn take(&mut self, now: Nanos) {
        self.level = self.level_at(now).saturating_sub(TOKEN);
        self.at = self.at.max(now);
    }
}

/// The buckets of the gate.
#[derive(Clone, Debug)]
pub struct Rates {
    strategies: Box<[Bucket]>,
    total: Bucket,
    cancels: Bucket,
}

impl Rates {
    /// Full buckets by `limits` for `strategies` strategies. Allocates once.
    #[must_use]
    pub fn new(limits: &RiskLimits, strategies: usize) -> Self {
        let one = Bucket::new(limits.strategy_orders_per_s, limits.strategy_orders_burst);
        Self {
            strategies: vec![one; strategies].into_boxed_slice(),
            total: Bucket::new(limits.orders_per_s, limits.orders_burst),
            cancels: Bucket::new(limits.cancels_per_s, limits.cancels_burst),
        }
    }

    /// `strategy` may place an order at `now`.
    #[must_use]
    pub fn allows_order(&self, strategy: StrategyId, now: Nanos) -> bool {
        let own = self.strategies.get(usize::from(strategy.0));
        self.total.is_ready(now) && own.is_some_and(|bucket| bucket.is_ready(now))
    }

    /// A cancel may be sent at `now`.
    #[must_use]
    pub fn allows_cancel(&self, now: Nanos) -> bool {
        self.cancels.is_ready(now)
    }

    /// Counts an approved order.
    pub fn take_order(&mut self, strategy: StrategyId, now: Nanos) {
        self.total.take(now);
        if let Some(bucket) = self.strategies.get_mut(usize::from(strategy.0)) {
            bucket.take(now);
        }
    }

    /// Counts an approved cancel.
    pub fn take_cancel(&mut self, now: Nanos) {
        self.cancels.take(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn burst_then_rate() {
        let mut bucket = Bucket::new(10, 3);
        let now = Nanos::from_secs(1);
        for _ in 0..3 {
            assert!(bucket.is_ready(now));
            bucket.take(now);
        }
        assert!(!bucket.is_ready(now));
        assert!(!bucket.is_ready(now + Nanos::from_millis(99)));
        assert!(bucket.is_ready(now + Nanos::from_millis(100)));
    }

    proptest! {
        /// In any window of any length no more than burst + rate * length pass.
        #[test]
        fn never_more_than_burst_plus_rate(
            steps in proptest::collection::vec(0u64..300_000_000, 1..200),
        ) {
            let (rate, burst) = (20u32, 5u32);
            let mut bucket = Bucket::new(rate, burst);
            let mut now = Nanos::ZERO;
            let mut passed: Vec<Nanos> = Vec::new();
            for step in steps {
                now = now + Nanos(step);
                if bucket.is_ready(now) {
                    bucket.take(now);
                    passed.push(now);
                }
            }
            for (i, first) in passed.iter().enumerate() {
                for (j, last) in passed.iter().enumerate().skip(i) {
                    let window = u128::from(last.since(*first).0);
                    let allowed = u128::from(burst) * 1_000_000_000 + window * u128::from(rate);
                    prop_assert!((j - i + 1) as u128 * 1_000_000_000 <= allowed);
                }
            }
        }
    }
}
