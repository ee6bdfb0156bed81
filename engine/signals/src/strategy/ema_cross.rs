//! Trend following by taking: when the fast average of the microprice crosses the slow one by
//! more than a band, be long (or short) by a fixed worth; trade the difference by IOC.
//!
//! The band is a share of the spread, so that the bounce between bid and ask is no cross. After a
//! take the strategy rests for `pause`; what an IOC left unfilled is asked for again after it.

use bot4_types::{InstrumentId, InstrumentTable, Nanos, Price, Qty, Side, StaleReason};

use super::Strategy;
use crate::actions::{Actions, Verdict};
use crate::features::FeatureRow;
use crate::market::View;

/// Parameters of [`EmaCross`]. The averages' spans are in [`crate::FeatureConfig`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EmaCrossParams {
    /// Worth of the position held after a cross, in whole units of the quote asset.
    pub position_worth: f64,
    /// Distance between the averages that counts as a cross, as a share of the spread.
    pub band_share: f64,
    /// The limit lies this many ticks through the quote.
    pub slip_ticks: i64,
    /// It lies at least this far through the quote, in hundredths of a percent of the price.
    pub slip_bps: f64,
    /// How long an instrument rests after a take.
    pub pause: Nanos,
    /// Updates of the features before the first decision.
    pub warm_up: u32,
    /// Short positions are allowed; otherwise a cross downwards goes flat.
    pub short: bool,
    /// Hold no more than a quarter of Kelly's fraction under risk's caps: see [`EmaCross::edge`].
    pub kelly: bool,
    /// Over which the distance of the averages is expected to be gained again.
    pub horizon: Nanos,
    /// Least worth of a position sized by `kelly`, in the reporting asset.
    pub worth_min: f64,
}

impl Default for EmaCrossParams {
    fn default() -> Self {
        Self {
            position_worth: 300.0,
            band_share: 0.1,
            slip_ticks: 2,
            slip_bps: 1.0,
            pause: Nanos::from_millis(250),
            warm_up: 60,
            short: true,
            kelly: false,
            horizon: Nanos::from_secs(10),
            worth_min: 10.0,
        }
    }
}

/// What is remembered of an instrument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Memory {
    /// Sign of the newest cross, zero before the first.
    trend: i8,
    /// Side of the slow average on which the fast one was first seen, zero before.
    first: i8,
    ready_at: Nanos,
}

/// See the module's page.
#[derive(Debug)]
pub struct EmaCross {
    params: EmaCrossParams,
    memory: Vec<Memory>,
}

impl EmaCross {
    /// An EMA-cross taker with these parameters.
    #[must_use]
    pub const fn new(params: EmaCrossParams) -> Self {
        Self { params, memory: Vec::new() }
    }

    /// Follows the averages; the trend after it. The side on which the averages are found after
    /// the warm-up is no cross: the first trade waits for a real one.
    fn follow(&self, memory: &mut Memory, features: &FeatureRow, spread: f64) -> i8 {
        let apart = features.fast - features.slow;
        let band = self.params.band_share * spread;
        let side = i8::from(apart > band) - i8::from(apart < -band);
        if features.updates >= self.params.warm_up && side != 0 {
            if memory.first == 0 {
                memory.first = side;
            }
            if memory.trend != 0 || side != memory.first {
                memory.trend = side;
            }
        }
        memory.trend
    }

    /// What is expected of a position with the trend over the horizon: that the price goes as far
    /// again as the averages lie apart. A share of the price.
    fn edge(features: &FeatureRow) -> f64 {
        (features.fast - features.slow).abs() / features.slow
    }

    /// The quantity to hold with `trend`, never more than the worth configured.
    fn size(&self, trend: i8, view: &View<'_>) -> i64 {
        let most = view.qty_worth(self.params.position_worth).0;
        if !self.params.kelly {
            return most;
        }
        let side = if trend < 0 { Side::Sell } else { Side::Buy };
        let (edge, variance) =
            (Self::edge(&view.features()), view.variance_over(self.params.horizon));
        most.min(view.kelly_qty(side, edge, variance, self.params.worth_min).0)
    }

    /// The limit of a take on `side`.
    fn limit(&self, side: Side, view: &View<'_>) -> Price {
        let quote = match side {
            Side::Buy => view.ask().price,
            Side::Sell => view.bid().price,
        };
        let ticks = self.params.slip_ticks.saturating_mul(view.instrument().tick.max(1));
        let slip = ticks.max((quote as f64 * self.params.slip_bps / 10_000.0) as i64);
        Price(quote.saturating_add(side.sign() * slip))
    }
}

impl Strategy for EmaCross {
    fn name(&self) -> &'static str {
        "ema_cross"
    }

    fn start(&mut self, table: &InstrumentTable) {
        self.memory = vec![Memory::default(); table.all().len()];
    }

    fn on_top(&mut self, view: &View<'_>, orders: &mut Actions<'_>) {
        let at = view.instrument().id.index();
        let Some(mut memory) = self.memory.get(at).copied() else { return };
        let spread = (view.ask().price - view.bid().price) as f64;
        let trend = self.follow(&mut memory, &view.features(), spread);
        let size = self.size(trend, view);
        let held = if self.params.short { i64::from(trend) } else { i64::from(trend.max(0)) };
        let missing = (held * size).saturating_sub(view.position().0);
        // Half a position: the size moves with the price and is not traded after.
        if trend != 0 && missing.saturating_abs() > size / 2 && view.now() >= memory.ready_at {
            let side = if missing > 0 { Side::Buy } else { Side::Sell };
            let limit = self.limit(side, view);
            if orders.take(side, Qty(missing).abs(), limit) == Verdict::Accepted {
                memory.ready_at = view.now() + self.params.pause;
            }
        }
        self.memory[at] = memory;
    }

    fn on_stale(&mut self, instrument: InstrumentId, _: StaleReason) {
        if let Some(memory) = self.memory.get_mut(instrument.index()) {
            *memory = Memory::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(apart: f64, updates: u32) -> FeatureRow {
        FeatureRow { fast: 1_000.0 + apart, slow: 1_000.0, updates, ..FeatureRow::default() }
    }

    fn follow(memory: &mut Memory, apart: f64, updates: u32) -> i8 {
        EmaCross::new(EmaCrossParams::default()).follow(memory, &row(apart, updates), 100.0)
    }

    #[test]
    fn nothing_happens_before_the_warm_up_or_within_the_band() {
        let mut memory = Memory::default();
        assert_eq!(follow(&mut memory, 50.0, 59), 0);
        assert_eq!(follow(&mut memory, -50.0, 59), 0);
        assert_eq!(memory, Memory::default());
        assert_eq!(follow(&mut memory, 9.0, 60), 0);
        assert_eq!(follow(&mut memory, -9.0, 61), 0);
        assert_eq!(memory, Memory::default());
    }

    #[test]
    fn the_first_side_is_no_cross_and_crosses_need_the_band() {
        let mut memory = Memory::default();
        assert_eq!(follow(&mut memory, 11.0, 60), 0);
        assert_eq!(follow(&mut memory, 50.0, 61), 0);
        assert_eq!(follow(&mut memory, -9.0, 62), 0);
        assert_eq!(follow(&mut memory, -11.0, 63), -1);
        assert_eq!(follow(&mut memory, 9.0, 64), -1);
        assert_eq!(follow(&mut memory, 11.0, 65), 1);
        assert_eq!(follow(&mut memory, f64::NAN, 66), 1);
    }

    #[test]
    fn a_stale_book_starts_over() {
        let mut strategy = EmaCross::new(EmaCrossParams::default());
        strategy.memory = vec![Memory { trend: 1, first: -1, ready_at: Nanos(5) }; 2];
        strategy.on_stale(InstrumentId(1), StaleReason::Gap);
        strategy.on_stale(InstrumentId(9), StaleReason::Gap);
        assert_eq!(strategy.memory[0].trend, 1);
        assert_eq!(strategy.memory[1], Memory::default());
    }
}
