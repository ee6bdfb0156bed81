//! The equity curve: what the account was worth, its peak, its day, and how far it fell.
//!
//! Equity is taken in at most once a turn, by the turn's journaled time, so that a replay draws
//! the same curve. The day is the UTC day of that time by the run's journaled wall clock; it only
//! goes on. Peak and day begin with what the account's last run left ([`EquityStart`]): a loss is
//! not forgotten by a restart. Money that came or went between two runs moves peak and day open
//! by its worth at the first marks, so that it is neither profit nor drawdown.
//!
//! Cost of a sample: a few comparisons and two stores. No allocation after construction.

use bot4_types::instrument::Amount;
use bot4_types::{AssetId, Nanos, Wall};
use serde::{Deserialize, Serialize};

use crate::money::{mul_div_ceil, mul_div_floor};

/// Samples kept, one a second: the last hour.
pub const SAMPLES_KEPT: usize = 3_600;
/// Days kept.
pub const DAYS_KEPT: usize = 32;
/// Nanoseconds between two samples of the grid.
pub const GRID_NS: u64 = 1_000_000_000;
const DAY_NS: i64 = 86_400 * 1_000_000_000;

/// What a curve starts from. The default is an account without a past at the epoch of Unix time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EquityStart {
    /// The wall clock: decides the UTC day.
    pub wall: Wall,
    /// Highest equity of the account so far; zero without a past.
    pub peak: Amount,
    /// UTC day of `day_open`, days since 1970-01-01.
    pub day: i64,
    /// Equity at the beginning of `day`; counts only when the run begins on that day.
    pub day_open: Amount,
    /// What came to (positive) or left the account since its last run, by asset.
    pub flows: Vec<(AssetId, Amount)>,
}

/// The curve's newest point, for limits and reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EquityPoint {
    /// Value of all balances in the reporting asset; `None` until it was known once.
    pub equity: Option<Amount>,
    /// Highest equity of the account, of earlier runs too.
    pub peak: Amount,
    /// UTC day, days since 1970-01-01.
    pub day: i64,
    /// Equity at the beginning of the day, or at the account's first sample on it.
    pub day_open: Amount,
    /// Fall from the peak, 10^-4 of the peak, rounded up.
    pub drawdown_e4: i64,
    /// What the day has lost so far, never negative.
    pub daily_loss: Amount,
}

impl EquityPoint {
    /// A person has accepted the fall: the peak counts anew from the present equity.
    fn accept(&mut self) {
        if let Some(equity) = self.equity {
            self.peak = equity;
            self.take(equity);
        }
    }

    /// Takes in another value on the same day; the first opens the day unless it is open.
    pub fn take(&mut self, equity: Amount) {
        if self.equity.is_none() && self.day_open == 0 {
            self.day_open = equity;
        }
        self.equity = Some(equity);
        self.peak = self.peak.max(equity);
        self.drawdown_e4 = drawdown_e4(self.peak, equity);
        self.daily_loss = self.day_open.saturating_sub(equity).max(0);
    }
}

/// A sample of the grid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The turn's time.
    pub at: Nanos,
    /// Equity then.
    pub equity: Amount,
}

/// One day of the curve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    /// UTC day, days since 1970-01-01.
    pub day: i64,
    /// First equity; that of an earlier run when it began the day.
    pub open: Amount,
    /// Highest.
    pub high: Amount,
    /// Lowest.
    pub low: Amount,
    /// Newest.
    pub close: Amount,
}

/// The curve. See the module's text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EquityCurve {
    start: EquityStart,
    rebased: bool,
    point: EquityPoint,
    at: Nanos,
    open: Amount,
    drawdown_e4_max: i64,
    samples: Box<[Sample]>,
    sampled: usize,
    days: Box<[Day]>,
    days_begun: usize,
}

impl EquityCurve {
    /// A curve without points. Allocates everything it will ever need.
    #[must_use]
    pub fn new(start: EquityStart) -> Self {
        let point = EquityPoint {
            peak: start.peak.max(0),
            day: start.day,
            day_open: start.day_open.max(0),
            ..EquityPoint::default()
        };
        Self {
            rebased: start.flows.is_empty(),
            start,
            point,
            at: Nanos::ZERO,
            open: 0,
            drawdown_e4_max: 0,
            samples: vec![Sample::default(); SAMPLES_KEPT].into_boxed_slice(),
            sampled: 0,
            days: vec![Day::default(); DAYS_KEPT].into_boxed_slice(),
            days_begun: 0,
        }
    }

    /// The newest point.
    #[must_use]
    pub const fn point(&self) -> &EquityPoint {
        &self.point
    }

    /// A person has accepted the fall: the peak counts anew from the present equity.
    pub fn accept(&mut self) {
        self.point.accept();
    }

    /// When equity was last known.
    #[must_use]
    pub const fn at(&self) -> Nanos {
        self.at
    }

    /// First equity of this run; zero before it.
    #[must_use]
    pub const fn open(&self) -> Amount {
        self.open
    }

    /// Deepest drawdown seen in this run, 10^-4.
    #[must_use]
    pub const fn drawdown_e4_max(&self) -> i64 {
        self.drawdown_e4_max
    }

    /// The samples kept, oldest first.
    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        newest(&self.samples, self.sampled)
    }

    /// The days kept, oldest first.
    pub fn days(&self) -> impl Iterator<Item = &Day> {
        newest(&self.days, self.days_begun)
    }

    /// What came or went since the last run and is not worked in yet.
    #[must_use]
    pub fn flows(&self) -> &[(AssetId, Amount)] {
        if self.rebased { &[] } else { &self.start.flows }
    }

    /// Works the worth of [`flows`](Self::flows) into peak and day open; once.
    pub fn rebase(&mut self, worth: Amount) {
        if self.rebased {
            return;
        }
        self.rebased = true;
        self.flowed(worth);
    }

    /// Money worth `worth` came, or went (negative), while the run went on.
    pub fn flowed(&mut self, worth: Amount) {
        self.point.peak = self.point.peak.saturating_add(worth).max(0);
        self.point.day_open = self.point.day_open.saturating_add(worth).max(0);
    }

    /// The grid has a line between the newest sample and `now`.
    #[must_use]
    pub const fn is_due(&self, now: Nanos) -> bool {
        let newest = match self.sampled {
            0 => 0,
            n => self.samples[(n - 1) % SAMPLES_KEPT].at.0,
        };
        now.0 / GRID_NS > newest / GRID_NS
    }

    /// Equity is `equity` at `now`.
    pub fn take(&mut self, now: Nanos, equity: Amount) {
        let day = self.start.wall.unix_ns(now).div_euclid(DAY_NS);
        if self.point.equity.is_none() {
            self.open = equity;
        }
        // A clock set back does not begin a day again.
        if day > self.point.day {
            (self.point.day, self.point.day_open) = (day, equity);
        }
        self.point.take(equity);
        self.drawdown_e4_max = self.drawdown_e4_max.max(self.point.drawdown_e4);
        self.at = now;
        self.note_day(equity);
    }

    /// Keeps the newest point as a sample of the grid, if equity is known.
    pub fn sample(&mut self, now: Nanos) {
        let equity = self.point.equity.unwrap_or(0);
        self.samples[self.sampled % SAMPLES_KEPT] = Sample { at: now, equity };
        self.sampled += 1;
    }

    fn note_day(&mut self, equity: Amount) {
        let (day, open) = (self.point.day, self.point.day_open);
        let newest = (self.days_begun + DAYS_KEPT - 1) % DAYS_KEPT;
        if self.days_begun == 0 || self.days[newest].day != day {
            let fresh = Day { day, open, high: open.max(equity), low: open.min(equity), close: 0 };
            self.days[self.days_begun % DAYS_KEPT] = fresh;
            self.days_begun += 1;
        }
        let newest = (self.days_begun + DAYS_KEPT - 1) % DAYS_KEPT;
        let row = &mut self.days[newest];
        row.high = row.high.max(equity);
        row.low = row.low.min(equity);
        row.close = equity;
    }
}

/// Fall of `equity` from `peak` in 10^-4 of the peak, rounded up; zero without a peak.
fn drawdown_e4(peak: Amount, equity: Amount) -> i64 {
    if peak <= 0 {
        return 0;
    }
    let fall = peak.saturating_sub(equity).max(0);
    i64::try_from(mul_div_ceil(fall, 10_000, peak)).unwrap_or(i64::MAX)
}

/// `amount` in 10^-8 for a counter, rounded down or up.
#[must_use]
pub fn in_e8(amount: Amount, up: bool) -> u64 {
    const UNIT: Amount = 100_000_000;
    let round = if up { mul_div_ceil } else { mul_div_floor };
    u64::try_from(round(amount.max(0), 1, UNIT)).unwrap_or(u64::MAX)
}

/// The last entries of a ring into which `written` were put, oldest first.
fn newest<T>(ring: &[T], written: usize) -> impl Iterator<Item = &T> {
    let kept = written.min(ring.len());
    (written - kept..written).map(move |i| &ring[i % ring.len()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::units;
    use proptest::prelude::*;

    fn start(peak: i64, day: i64, day_open: i64) -> EquityStart {
        let wall = Wall { origin_unix_ns: 20_000 * DAY_NS };
        EquityStart { wall, peak: units(peak), day, day_open: units(day_open), flows: Vec::new() }
    }

    #[test]
    fn the_fall_is_counted_from_the_peak_of_all_runs() {
        let mut curve = EquityCurve::new(start(200, 20_000, 150));
        assert_eq!(curve.point().equity, None);
        curve.take(Nanos(1), units(150));
        let p = *curve.point();
        assert_eq!((p.drawdown_e4, p.daily_loss, p.peak), (2_500, 0, units(200)));
        curve.take(Nanos(2), units(140));
        assert_eq!((curve.point().drawdown_e4, curve.point().daily_loss), (3_000, units(10)));
        curve.take(Nanos(3), units(210));
        let p = *curve.point();
        assert_eq!((p.drawdown_e4, p.daily_loss, p.peak), (0, 0, units(210)));
        assert_eq!((curve.drawdown_e4_max(), curve.open()), (3_000, units(150)));
        curve.take(Nanos(4), units(210) - 1);
        assert_eq!(curve.point().drawdown_e4, 1, "rounded up");
    }

    #[test]
    fn a_day_begins_at_midnight_and_does_not_begin_again() {
        let mut curve = EquityCurve::new(start(0, 0, 0));
        let day = |n: i64| Nanos((n * DAY_NS) as u64);
        curve.take(Nanos(5), units(100));
        curve.take(day(1) - Nanos(1), units(90));
        assert_eq!((curve.point().day, curve.point().daily_loss), (20_000, units(10)));
        curve.take(day(1), units(80));
        assert_eq!((curve.point().day, curve.point().daily_loss), (20_001, 0));
        curve.take(day(1) + Nanos(9), units(85));
        let days: Vec<Day> = curve.days().copied().collect();
        let first = [100, 100, 90, 90].map(units);
        let second = [80, 85, 80, 85].map(units);
        assert_eq!(days.len(), 2);
        assert_eq!([days[0].open, days[0].high, days[0].low, days[0].close], first);
        assert_eq!([days[1].open, days[1].high, days[1].low, days[1].close], second);
        curve.take(day(0), units(70));
        assert_eq!((curve.point().day, curve.point().daily_loss), (20_001, units(10)));
    }

    #[test]
    fn money_that_came_or_went_is_neither_profit_nor_loss() {
        for (worth, equity) in [(50, 140), (-50, 40)] {
            let flows = vec![(AssetId(0), units(worth))];
            let mut curve = EquityCurve::new(EquityStart { flows, ..start(100, 20_000, 95) });
            assert_eq!(curve.flows().len(), 1);
            curve.rebase(units(worth));
            curve.rebase(units(worth));
            assert!(curve.flows().is_empty(), "worked in once");
            curve.take(Nanos(1), units(equity));
            let p = curve.point();
            assert_eq!((p.peak, p.daily_loss), (units(100 + worth), units(5)));
        }
    }

    #[test]
    fn the_grid_is_due_once_a_second() {
        let mut curve = EquityCurve::new(start(0, 0, 0));
        assert!(!curve.is_due(Nanos(GRID_NS - 1)));
        assert!(curve.is_due(Nanos(GRID_NS)));
        curve.take(Nanos(GRID_NS), units(1));
        curve.sample(Nanos(GRID_NS + 7));
        assert!(!curve.is_due(Nanos(2 * GRID_NS - 1)) && curve.is_due(Nanos(2 * GRID_NS)));
        for n in 2..=2 * SAMPLES_KEPT as u64 {
            curve.sample(Nanos(n * GRID_NS));
        }
        let kept: Vec<u64> = curve.samples().map(|s| s.at.0 / GRID_NS).collect();
        assert_eq!((kept.len(), kept[0]), (SAMPLES_KEPT, SAMPLES_KEPT as u64 + 1));
    }

    #[test]
    fn counters_never_show_too_little_risk() {
        let more = units(1) + 1;
        assert_eq!((in_e8(more, false), in_e8(more, true)), (100_000_000, 100_000_001));
        assert_eq!((in_e8(-5, false), in_e8(Amount::MAX, false)), (0, u64::MAX));
    }

    proptest! {
        /// Against the whole list of equities.
        #[test]
        fn peak_fall_and_loss_follow_from_all_points(
            points in proptest::collection::vec((0u64..10, 0i64..1_000), 1..60), peak in 0i64..900,
        ) {
            let mut curve = EquityCurve::new(start(peak, 0, 0));
            let (mut now, mut seen) = (0u64, Vec::new());
            for (hours, equity) in points {
                now += hours * 3_600_000_000_000;
                curve.take(Nanos(now), units(equity));
                seen.push((20_000 + now as i64 / DAY_NS, units(equity)));
                let p = *curve.point();
                let highest = seen.iter().map(|s| s.1).chain([units(peak)]).max();
                prop_assert_eq!(Some(p.peak), highest);
                let today = seen[seen.len() - 1].0;
                let open = seen.iter().find(|s| s.0 == today).map(|s| s.1);
                prop_assert_eq!(Some(p.day_open), open);
                prop_assert_eq!(p.daily_loss, (p.day_open - units(equity)).max(0));
                let fall = p.peak - units(equity);
                let e4 = Amount::from(p.drawdown_e4);
                prop_assert!(e4 * p.peak >= fall * 10_000 && (e4 - 1) * p.peak < fall * 10_000
                    || p.peak == 0 && e4 == 0);
            }
        }
    }
}
