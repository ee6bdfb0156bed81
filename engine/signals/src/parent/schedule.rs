//! How much of a parent should be done by now.
//!
//! Targets never exceed the total and are rounded down: a schedule is at most ahead by what rests,
//! never by rounding. A parent keeps the highest it saw, for an expected volume may grow. TWAP: a
//! straight line from where the plan began. VWAP: the line of the volume, that is, what the stream
//! told since the beginning against what is still expected: the curve's remaining weight at the
//! pace of the volume so far and of late. POV: a share of what the stream told.

use bot4_types::parent::CURVE_BUCKETS;
use bot4_types::{Nanos, Qty};

/// Weights of a curve are cumulated in these units for exactness.
const UNIT: i128 = 1 << 32;

/// Where a plan begins: what was done then, and the time. After an interruption it begins anew, so
/// that what is left is spread over the time that is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// When the parent began: its curve lies over all of its time.
    pub began: Nanos,
    /// When this plan begins.
    pub from: Nanos,
    /// Deadline; zero: none.
    pub until: Nanos,
    /// Done by then.
    pub done: Qty,
    /// The market's volume by then.
    pub volume: Qty,
}

impl Plan {
    /// Time is over.
    #[must_use]
    pub fn is_over(&self, now: Nanos) -> bool {
        self.until.0 > 0 && now >= self.until
    }

    /// What should be done at `now` on a straight line to `total` at the deadline.
    #[must_use]
    pub fn twap(&self, total: Qty, now: Nanos) -> Qty {
        self.share(total, now.since(self.from).0.into(), self.until.since(self.from).0.into())
    }

    /// What should be done after `volume` of the market when the whole order is `rate_e4` of it.
    #[must_use]
    pub fn pov(&self, total: Qty, volume: Qty, rate_e4: u32) -> Qty {
        let since = i128::from((volume.0 - self.volume.0).max(0));
        let share = since * i128::from(rate_e4) / 10_000;
        let done = i64::try_from(i128::from(self.done.0) + share).unwrap_or(i64::MAX);
        Qty(done.min(total.0))
    }

    /// What should be done at `now` by the market's `volume`, whose `curve` lies over all the time
    /// of the parent.
    #[must_use]
    pub fn vwap(&self, total: Qty, volume: Volume, curve: &Curve, now: Nanos) -> Qty {
        if self.is_over(now) {
            return total;
        }
        let by = |time: Nanos| curve.cumulated(self.began, self.until, time);
        let (gone, rest) = (by(now) - by(self.from), UNIT - by(now));
        let seen = i128::from((volume.seen.0 - self.volume.0).max(0));
        // What is to come at the pace of the plan so far, and at that of late: the mean of both.
        let by_curve = if gone > 0 { seen * rest / gone } else { 0 };
        let (since, late) = (by(now) - by(volume.lately.0), i128::from(volume.lately.1.0));
        let by_pace = if since > 0 { late * rest / since } else { by_curve };
        let to_come = (by_curve + by_pace) / 2;
        match seen {
            // Nobody traded yet: by the curve alone.
            0 => self.share(total, gone, gone + rest),
            _ => self.share(total, seen, seen + to_come),
        }
    }

    /// `part / whole` of what was left when the plan began, beside what was done then.
    fn share(&self, total: Qty, part: i128, whole: i128) -> Qty {
        if part >= whole || whole <= 0 {
            return total;
        }
        let left = i128::from((total.0 - self.done.0).max(0));
        Qty(self.done.0 + (left * part.max(0) / whole) as i64)
    }
}

/// The market's volume as a parent saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Since the parent began.
    pub seen: Qty,
    /// Volume since a time not long ago.
    pub lately: (Nanos, Qty),
}

/// How volume is expected to lie over an interval of [`CURVE_BUCKETS`] equal parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Curve([u16; CURVE_BUCKETS]);

impl Curve {
    /// The curve with these weights; even, when all are zero.
    #[must_use]
    pub fn new(weights: [u16; CURVE_BUCKETS]) -> Self {
        let even = weights.iter().all(|w| *w == 0);
        Self(if even { [1; CURVE_BUCKETS] } else { weights })
    }

    /// Share of the interval's volume expected by `now`, in units of 2^-32.
    fn cumulated(&self, from: Nanos, until: Nanos, now: Nanos) -> i128 {
        let whole = i128::from(until.since(from).0);
        let gone = i128::from(now.since(from).0).min(whole);
        if whole == 0 {
            return UNIT;
        }
        let buckets = gone * CURVE_BUCKETS as i128;
        let bucket = ((buckets / whole) as usize).min(CURVE_BUCKETS - 1);
        let inside = buckets - bucket as i128 * whole;
        let before: i128 = self.0[..bucket].iter().map(|w| i128::from(*w)).sum();
        let all: i128 = self.0.iter().map(|w| i128::from(*w)).sum();
        (before * whole + i128::from(self.0[bucket]) * inside) * UNIT / (all * whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn plan(until: u64, done: i64) -> Plan {
        let (from, until) = (Nanos(1_000), Nanos(1_000 + until));
        Plan { began: from, from, until, done: Qty(done), volume: Qty(0) }
    }

    proptest! {
        #[test]
        fn a_line_is_never_ahead_and_ends_at_the_total(
            total in 1i64..1 << 60, done in 0i64..1 << 59, until in 1u64..1 << 50,
            share in 0.0f64..1.0,
        ) {
            let done = done.min(total);
            let (plan, now) = (plan(until, done), Nanos(1_000 + (until as f64 * share) as u64));
            let target = plan.twap(Qty(total), now);
            let line = (total - done) as f64 * now.since(plan.from).0 as f64 / until as f64;
            let exact = done as f64 + line;
            prop_assert!((target.0 as f64 - exact).abs() <= 1.0 + exact * 1e-9);
            prop_assert!(target.0 >= done && target.0 <= total);
            prop_assert_eq!(plan.twap(Qty(total), Nanos(1_000 + until)), Qty(total));
            prop_assert_eq!(plan.twap(Qty(total), plan.from), Qty(done));
        }

        #[test]
        fn volume_targets_stay_inside_and_reach_the_total_in_time(
            weights in any::<[u16; CURVE_BUCKETS]>(),
            seen in 0i64..1 << 40, late in 0i64..1 << 40, share in 0.0f64..1.0,
        ) {
            let (plan, total, curve) = (plan(1 << 40, 10), Qty(1 << 40), Curve::new(weights));
            let now = Nanos(1_000 + ((1u64 << 40) as f64 * share) as u64);
            let lately = (Nanos(now.0 / 2), Qty(late.min(seen)));
            let volume = Volume { seen: Qty(seen), lately };
            let target = plan.vwap(total, volume, &curve, now);
            prop_assert!(target.0 >= 10 && target <= total);
            prop_assert_eq!(plan.vwap(total, volume, &curve, plan.until), total);
        }

        #[test]
        fn a_share_of_the_volume_is_a_share(seen in 0i64..1 << 50, rate in 1u32..5_000) {
            let plan = Plan { volume: Qty(7), ..plan(0, 0) };
            let target = plan.pov(Qty(i64::MAX), Qty(seen + 7), rate);
            prop_assert_eq!(i128::from(target.0), i128::from(seen) * i128::from(rate) / 10_000);
        }
    }

    #[test]
    fn even_volume_makes_a_straight_line_and_a_burst_brings_it_forward() {
        let (plan, total, even) = (plan(24_000, 0), Qty(24_000), Curve::new([0; CURVE_BUCKETS]));
        let at = |seen: i64, late: i64, ns: u64| {
            let lately = (Nanos(1_000 + ns - 1_000), Qty(late));
            plan.vwap(total, Volume { seen: Qty(seen), lately }, &even, Nanos(1_000 + ns)).0
        };
        // Ten a nanosecond all the time.
        for ns in [2_000, 6_000, 12_000, 23_000] {
            let target = at(10 * ns as i64, 10_000, ns);
            assert!((target - ns as i64).abs() <= 1, "{target} at {ns}");
        }
        assert!(at(60_000, 1_000, 6_000) > 6_000, "less is to come than the average says");
        assert!(at(60_000, 40_000, 6_000) < 6_000, "more is to come");
    }

    #[test]
    fn a_curve_puts_the_volume_where_it_says() {
        let mut weights = [0; CURVE_BUCKETS];
        (weights[0], weights[23]) = (1, 3);
        let (plan, curve) = (plan(24_000, 0), Curve::new(weights));
        let at = |ns: u64| plan.vwap(Qty(400), Volume::default(), &curve, Nanos(1_000 + ns)).0;
        let by = [at(0), at(500), at(1_000), at(12_000), at(23_000), at(23_500), at(24_000)];
        assert_eq!(by, [0, 50, 100, 100, 100, 250, 400]);
    }
}
