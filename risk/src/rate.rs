//! Order rates as token buckets in integers: exact, and the same in replay.

use bot4_types::{InstrumentId, Nanos, StrategyId};
use serde::{Deserialize, Serialize};

use crate::limits::RATE_MAX;
use crate::scopes::{LimitBook, ScopeLimits, tightest};

/// One order in the bucket's unit: a billionth of a token is gained per nanosecond and unit rate.
const TOKEN: u64 = 1_000_000_000;

/// A token bucket. Reading it is pure; only [`take`](Self::take) changes it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
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
    #[inline]
    pub fn is_ready(&self, now: Nanos) -> bool {
        self.holds(1, now)
    }

    /// So many tokens are there at `now`.
    #[must_use]
    #[inline]
    pub fn holds(&self, tokens: u32, now: Nanos) -> bool {
        self.level_at(now) >= u64::from(tokens) * TOKEN
    }

    /// Takes a token at `now`; an empty bucket stays empty.
    pub fn take(&mut self, now: Nanos) {
        self.take_many(1, now);
    }

    /// Takes so many tokens at `now`, at most what is there.
    pub fn take_many(&mut self, tokens: u32, now: Nanos) {
        self.level = self.level_at(now).saturating_sub(u64::from(tokens) * TOKEN);
        self.at = self.at.max(now);
    }

    /// Another rate and burst from `now` on. A larger burst begins empty: what was taken is not
    /// given back.
    pub fn change(&mut self, per_s: u32, burst: u32, now: Nanos) {
        let full = u64::from(burst) * TOKEN;
        self.level = self.level_at(now).min(full);
        self.at = self.at.max(now);
        (self.per_s, self.full) = (u64::from(per_s), full);
    }
}

/// The buckets of the gate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rates {
    strategies: Box<[Bucket]>,
    instruments: Box<[Bucket]>,
    total: Bucket,
    cancels: Bucket,
    weight: Bucket,
    weights: Weights,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Weights {
    place: u32,
    cancel: u32,
}

impl Rates {
    /// Full buckets by `book`. Allocates once.
    #[must_use]
    pub fn new(book: &LimitBook) -> Self {
        let empty = Bucket::new(0, 0);
        let mut rates = Self {
            strategies: vec![empty; book.strategies.len()].into_boxed_slice(),
            instruments: vec![empty; book.instruments.len()].into_boxed_slice(),
            total: empty,
            cancels: empty,
            weight: empty,
            weights: Weights { place: 0, cancel: 0 },
        };
        rates.configure(book, |bucket, per_s, burst| *bucket = Bucket::new(per_s, burst));
        rates
    }

    /// Other rates and bursts from `now` on; what was taken stays taken.
    pub fn reconfigure(&mut self, book: &LimitBook, now: Nanos) {
        self.configure(book, |bucket, per_s, burst| bucket.change(per_s, burst, now));
    }

    /// Gives each bucket its rate and burst: the tighter of the scopes it belongs to.
    fn configure(&mut self, book: &LimitBook, mut set: impl FnMut(&mut Bucket, u32, u32)) {
        let account = &book.account;
        let both = |per_s, burst, row: &ScopeLimits| {
            let own = row.orders_per_s;
            (tightest(&[per_s, own]), tightest(&[burst, own]))
        };
        for (bucket, row) in self.strategies.iter_mut().zip(&book.strategies) {
            let (per_s, burst) =
                both(account.strategy_orders_per_s, account.strategy_orders_burst, row);
            set(bucket, per_s, burst);
        }
        for (bucket, row) in self.instruments.iter_mut().zip(&book.instruments) {
            let (per_s, burst) = both(RATE_MAX, RATE_MAX, row);
            set(bucket, per_s, burst);
        }
        let (per_s, burst) = both(account.orders_per_s, account.orders_burst, &book.venue);
        set(&mut self.total, per_s, burst);
        set(&mut self.cancels, account.cancels_per_s, account.cancels_burst);
        set(&mut self.weight, account.weight_per_s, account.weight_burst);
        self.weights = Weights { place: account.weight_place, cancel: account.weight_cancel };
    }

    /// `strategy` may place an order of `instrument` at `now`.
    #[must_use]
    #[inline]
    pub fn allows_order(&self, strategy: StrategyId, instrument: InstrumentId, now: Nanos) -> bool {
        let own = self.strategies.get(usize::from(strategy.0));
        let here = self.instruments.get(instrument.index());
        self.total.is_ready(now)
            && own.is_some_and(|bucket| bucket.is_ready(now))
            && here.is_some_and(|bucket| bucket.is_ready(now))
    }

    /// A cancel may be sent at `now`.
    #[must_use]
    pub fn allows_cancel(&self, now: Nanos) -> bool {
        self.cancels.is_ready(now)
    }

    /// So much weight is there at `now`.
    #[must_use]
    #[inline]
    pub fn allows_weight(&self, weight: u32, now: Nanos) -> bool {
        self.weight.holds(weight, now)
    }

    /// Counts an approved order.
    pub fn take_order(&mut self, strategy: StrategyId, instrument: InstrumentId, now: Nanos) {
        self.total.take(now);
        self.weight.take_many(self.weights.place, now);
        if let Some(bucket) = self.strategies.get_mut(usize::from(strategy.0)) {
            bucket.take(now);
        }
        if let Some(bucket) = self.instruments.get_mut(instrument.index()) {
            bucket.take(now);
        }
    }

    /// Counts an approved cancel.
    pub fn take_cancel(&mut self, now: Nanos) {
        self.cancels.take(now);
        self.weight.take_many(self.weights.cancel, now);
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

    #[test]
    fn a_change_gives_nothing_back() {
        let mut bucket = Bucket::new(10, 3);
        let now = Nanos::from_secs(1);
        (0..3).for_each(|_| bucket.take(now));
        bucket.change(20, 100, now);
        assert!(!bucket.is_ready(now) && bucket.is_ready(now + Nanos::from_millis(50)));
        bucket.change(20, 1, now + Nanos::from_secs(10));
        assert!(bucket.holds(1, now + Nanos::from_secs(20)));
        assert!(!bucket.holds(2, now + Nanos::from_secs(20)));
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
