//! What a strategy did lately, and whether it was too much: losses in a row, loss, rejects,
//! errors, slow answers.
//!
//! The window is eight buckets wide, so it looks back between 7/8 and 8/8 of `window_ns`; sums
//! are kept, so that recording and judging cost O(1). The 99th percentile needs no histogram: by
//! nearest rank it lies above a limit exactly when fewer than 99 % of the samples are within it.

use bot4_types::Nanos;
use bot4_types::instrument::Amount;
use serde::{Deserialize, Serialize};

use super::limits::BreakerLimits;

/// Parts of the window.
const BUCKETS: usize = 8;

/// Why a strategy's breaker opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TripCause {
    /// Too many losing orders in a row.
    Losses,
    /// Too much lost within the window.
    Loss,
    /// Too large a share of rejected orders.
    Rejects,
    /// Too large a share of lost and unsendable orders.
    Errors,
    /// Answers too slow.
    Latency,
}

impl TripCause {
    /// Every cause, in order.
    pub const ALL: [Self; 5] =
        [Self::Losses, Self::Loss, Self::Rejects, Self::Errors, Self::Latency];
}

/// How an order went, for its strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fate {
    Answered,
    Rejected,
    Failed,
}

/// Counts of a bucket, or of the whole window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sums {
    calls: u32,
    rejects: u32,
    errors: u32,
    acks: u32,
    slow: u32,
    net: Amount,
}

impl Sums {
    const fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.rejects += other.rejects;
        self.errors += other.errors;
        self.acks += other.acks;
        self.slow += other.slow;
        self.net = self.net.saturating_add(other.net);
    }
}

/// One strategy's record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Monitor {
    buckets: [Sums; BUCKETS],
    /// Number of the bucket that time is in.
    current: u64,
    /// All buckets together.
    total: Sums,
    losses: u32,
}

impl Default for Monitor {
    fn default() -> Self {
        let sums = Sums::default();
        Self { buckets: [sums; BUCKETS], current: 0, total: sums, losses: 0 }
    }
}

impl Monitor {
    /// An order that closed something has ended; it earned `net` after fees.
    pub fn on_closed(&mut self, net: Amount, limits: &BreakerLimits) {
        let loses = net < 0 && net <= -limits.loss_min;
        self.losses = if loses { self.losses.saturating_add(1) } else { 0 };
    }

    /// Something was earned or, below zero, lost at `now`.
    pub fn on_profit(&mut self, net: Amount, now: Nanos, limits: &BreakerLimits) {
        self.record(now, limits, Sums { net, ..Sums::default() });
    }

    /// An answer came `ns` after the order was sent. True when that is longer than a limit allows
    /// the 99th percentile.
    pub fn on_ack(&mut self, ns: u64, now: Nanos, limits: &BreakerLimits) -> bool {
        let slow = ns > limits.ack_p99_ns_max;
        self.record(now, limits, Sums { acks: 1, slow: u32::from(slow), ..Sums::default() });
        slow && limits.ack_p99_ns_max > 0
    }

    pub(crate) fn on_fate(&mut self, fate: Fate, now: Nanos, limits: &BreakerLimits) {
        let rejects = u32::from(fate == Fate::Rejected);
        let errors = u32::from(fate == Fate::Failed);
        self.record(now, limits, Sums { calls: 1, rejects, errors, ..Sums::default() });
    }

    /// The first rule that is broken now.
    #[must_use]
    pub fn verdict(&self, limits: &BreakerLimits) -> Option<TripCause> {
        let sums = &self.total;
        let share = |part: u32, e4_max: u32| {
            e4_max > 0
                && sums.calls >= limits.calls_min
                && u64::from(part) * 10_000 >= u64::from(e4_max) * u64::from(sums.calls)
        };
        let within = u64::from(sums.acks - sums.slow);
        let rank = (u64::from(sums.acks) * 99).div_ceil(100);
        let slow = limits.ack_p99_ns_max > 0 && sums.acks >= limits.calls_min && within < rank;
        let rules = [
            limits.losses_max > 0 && self.losses >= limits.losses_max,
            limits.loss_max > 0 && sums.net <= -limits.loss_max,
            share(sums.rejects, limits.reject_e4_max),
            share(sums.errors, limits.error_e4_max),
            slow,
        ];
        rules.into_iter().zip(TripCause::ALL).find(|(broken, _)| *broken).map(|(_, cause)| cause)
    }

    /// Begins anew: what opened the breaker does not open it twice.
    pub fn clear(&mut self) {
        *self = Self { current: self.current, ..Self::default() };
    }

    /// Forgets how long answers took: another limit judges those to come alone.
    pub fn forget_answers(&mut self) {
        for sums in self.buckets.iter_mut().chain([&mut self.total]) {
            (sums.acks, sums.slow) = (0, 0);
        }
    }

    fn record(&mut self, now: Nanos, limits: &BreakerLimits, sums: Sums) {
        let bucket = now.0 / (limits.window_ns / BUCKETS as u64).max(1);
        if bucket > self.current {
            self.turn_to(bucket);
        }
        self.buckets[self.current as usize % BUCKETS].add(&sums);
        self.total.add(&sums);
    }

    /// Empties what is too old, and adds up the rest.
    fn turn_to(&mut self, bucket: u64) {
        let old = (bucket - self.current).min(BUCKETS as u64);
        for n in 1..=old {
            self.buckets[(self.current.wrapping_add(n)) as usize % BUCKETS] = Sums::default();
        }
        self.current = bucket;
        self.total = Sums::default();
        self.buckets.iter().for_each(|bucket| self.total.add(bucket));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: BreakerLimits = BreakerLimits {
        losses_max: 5,
        loss_min: 2,
        loss_max: 100,
        reject_e4_max: 5_000,
        error_e4_max: 2_000,
        ack_p99_ns_max: 1_000,
        calls_min: 4,
        errors_max: 5,
        window_ns: 8_000,
        open_ns: 5_000_000_000,
        jitter_e4: 0,
        successes_to_close: 3,
        probes_max: 3,
        seed: 0,
    };

    #[test]
    fn five_losses_in_a_row_and_a_win_between() {
        let mut monitor = Monitor::default();
        let close = |monitor: &mut Monitor, nets: &[Amount]| {
            nets.iter().for_each(|net| monitor.on_closed(*net, &LIMITS));
            monitor.verdict(&LIMITS)
        };
        for between in [0, 1, -1] {
            let nets = [-2, -3, -2, -2, between, -2, -2, -2, -2];
            assert_eq!(close(&mut monitor, &nets), None, "{between} is no loss that counts");
            monitor.clear();
        }
        let _fifth = close(&mut monitor, &[-2; 5]);
        assert_eq!(monitor.verdict(&LIMITS), Some(TripCause::Losses));
        monitor.clear();
        assert_eq!(monitor.verdict(&LIMITS), None);
    }

    #[test]
    fn the_loss_is_that_of_the_window() {
        let mut monitor = Monitor::default();
        monitor.on_profit(-60, Nanos(500), &LIMITS);
        monitor.on_profit(20, Nanos(1_500), &LIMITS);
        monitor.on_profit(-59, Nanos(7_999), &LIMITS);
        assert_eq!(monitor.verdict(&LIMITS), None);
        monitor.on_profit(-1, Nanos(7_999), &LIMITS);
        assert_eq!(monitor.verdict(&LIMITS), Some(TripCause::Loss));
        monitor.on_profit(0, Nanos(8_000), &LIMITS);
        assert_eq!(monitor.verdict(&LIMITS), None, "the first bucket is too old");
        monitor.on_profit(-1_000, Nanos(9_000_000), &LIMITS);
        assert_eq!(monitor.verdict(&LIMITS), Some(TripCause::Loss));
    }

    #[test]
    fn shares_wait_for_enough_orders() {
        let with = |fates: &[Fate]| {
            let mut monitor = Monitor::default();
            fates.iter().for_each(|f| monitor.on_fate(*f, Nanos(1), &LIMITS));
            monitor.verdict(&LIMITS)
        };
        use Fate::{Answered as A, Failed as F, Rejected as R};
        assert_eq!(with(&[R, R, R]), None);
        assert_eq!(with(&[R, R, A, A]), Some(TripCause::Rejects));
        assert_eq!(with(&[R, A, A, A]), None);
        assert_eq!(with(&[F, A, A, A]), Some(TripCause::Errors));
        assert_eq!(with(&[F, A, A, A, A, A]), None);
    }

    /// Another limit does not judge what came before it.
    #[test]
    fn answers_that_are_forgotten_count_no_more() {
        let mut monitor = Monitor::default();
        (0..4).for_each(|_| assert!(monitor.on_ack(2_000, Nanos(1), &LIMITS)));
        assert_eq!(monitor.verdict(&LIMITS), Some(TripCause::Latency));
        monitor.forget_answers();
        assert_eq!(monitor.verdict(&LIMITS), None);
    }

    proptest! {
        /// The percentile's rule is the sorted samples' by nearest rank.
        #[test]
        fn the_percentile_is_exact(samples in proptest::collection::vec(990u64..1_005, 4..400)) {
            let mut monitor = Monitor::default();
            for ns in &samples {
                let slow = monitor.on_ack(*ns, Nanos(1), &LIMITS);
                prop_assert_eq!(slow, *ns > LIMITS.ack_p99_ns_max);
            }
            let mut sorted = samples.clone();
            sorted.sort_unstable();
            let p99 = sorted[(sorted.len() * 99).div_ceil(100) - 1];
            let slow = monitor.verdict(&LIMITS) == Some(TripCause::Latency);
            prop_assert_eq!(slow, p99 > LIMITS.ack_p99_ns_max);
        }

        /// The sums are those of the buckets that a plain list would keep.
        #[test]
        fn sums_are_those_of_the_window(
            steps in proptest::collection::vec((0u64..3_000, -50i128..50), 1..200),
        ) {
            let mut monitor = Monitor::default();
            let (mut now, mut list) = (0u64, Vec::new());
            for (step, net) in steps {
                now += step;
                monitor.on_profit(net, Nanos(now), &LIMITS);
                list.push((now / 1_000, net));
                let kept = list.iter().filter(|(b, _)| now / 1_000 - b < BUCKETS as u64);
                prop_assert_eq!(monitor.total.net, kept.map(|(_, n)| *n).sum::<i128>());
            }
        }
    }
}
