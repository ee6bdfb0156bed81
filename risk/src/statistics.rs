//! The portfolio of this run: what of ledger and marks goes into [`Portfolio`], and when.
//!
//! Here, and nowhere else, integer exposures become floating-point values: `quantity * value of a
//! quantity unit`, where the latter is the newest mark's price in the reporting asset. Positions
//! count by fills; open orders count by what they may still fill, both sides.
//!
//! Time is that of turns that the journal holds. A second of the grid is sampled by the first turn
//! that can; what is exact but costs more than an order may wait for is done at most every ten
//! milliseconds ([`Upkeep`]). Both are records of the journal, so a replay does them at the same
//! place among the inputs.

use bot4_portfolio::{HISTORY, Portfolio, PortfolioConfig};
use bot4_types::instrument::{AMOUNT_DECIMALS, Amount};
use bot4_types::{AssetId, BookState, InstrumentId, InstrumentTable, Mark, Nanos, OrderIntent};
use serde::{Deserialize, Serialize};

use crate::exposure::Exposure;
use crate::ledger::Ledger;
use crate::limits::units;
use crate::money::power_of_ten;
use crate::valuation::{Valuation, mark_price};

/// Nanoseconds of a step of the grid of returns.
const STEP_NS: u64 = 1_000_000_000;
/// Shortest time between two exact computations of the tail.
const REFRESH_NS: u64 = 10_000_000;
/// After so long it is done even while intents wait.
const REFRESH_NS_MAX: u64 = 100_000_000;

/// Limits over what the book can lose, and what is assumed while that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatisticsLimits {
    /// Largest correlation of an order's P&L with the held book, 10^-4; 10,000: no such limit.
    pub correlation_e4: i64,
    /// The correlation counts where the book after the order would vary over one hour by more than
    /// this share of equity, 10^-6.
    pub correlation_from_e6: i64,
    /// Largest expected shortfall at 99 % over one hour as a share of equity, 10^-6; zero: no such
    /// limit.
    pub shortfall_equity_e6: i64,
    /// Largest portfolio heat over one hour as a share of equity, 10^-6; zero: no such limit.
    pub heat_equity_e6: i64,
    /// Volatility over one hour that is assumed of an instrument without history, 10^-6.
    pub fallback_volatility_e6: i64,
    /// One-second returns of an instrument before its own tail is believed.
    pub history_min: u32,
}

impl Default for StatisticsLimits {
    /// A one per cent volatility is about twice that of a quiet major pair, so what is not known
    /// counts double.
    fn default() -> Self {
        Self {
            correlation_e4: 7_000,
            correlation_from_e6: 1_000,
            shortfall_equity_e6: 10_000,
            heat_equity_e6: 10_000,
            fallback_volatility_e6: 10_000,
            history_min: 300,
        }
    }
}

impl StatisticsLimits {
    /// Checks every field.
    ///
    /// # Errors
    /// What the first field that cannot be meant must be.
    pub fn validate(&self) -> Result<(), &'static str> {
        let share = |value: i64| (0..=1_000_000).contains(&value);
        let rules = [
            (
                (0..=10_000).contains(&self.correlation_e4),
                "correlation_e4 must be within 0..=10000",
            ),
            (share(self.correlation_from_e6), "correlation_from_e6 must be within 0..=1000000"),
            (share(self.shortfall_equity_e6), "shortfall_equity_e6 must be within 0..=1000000"),
            (share(self.heat_equity_e6), "heat_equity_e6 must be within 0..=1000000"),
            (
                (1..=1_000_000).contains(&self.fallback_volatility_e6),
                "fallback_volatility_e6 must be within 1..=1000000",
            ),
            (self.history_min as usize <= HISTORY, "history_min must be within 0..=1024"),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, rule)| Err(rule))
    }
}

/// Work on the statistics that a turn does beside its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Upkeep {
    /// The returns of a second of the grid.
    Sample = 0,
    /// The exact tail, and sums and lists put in order.
    Refresh = 1,
}

impl Upkeep {
    /// The work with this raw value.
    #[must_use]
    pub const fn from_raw(raw: u8) -> Option<Self> {
        match raw {
            0 => Some(Self::Sample),
            1 => Some(Self::Refresh),
            _ => None,
        }
    }
}

/// The portfolio and its feed. See the module's page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Statistics {
    book: Portfolio,
    /// Quantities whose values the book holds.
    held: Box<[i128]>,
    /// Value of one quantity unit, not a number before the first mark.
    unit_values: Box<[f64]>,
    /// One price unit of one quantity unit, in the quote asset.
    scales: Box<[f64]>,
    quotes: Box<[AssetId]>,
    /// Not a number while it is not known.
    equity: f64,
    /// The step of the grid that was sampled last.
    step: u64,
    refreshed_at: Nanos,
}

impl Statistics {
    /// An empty portfolio over `table`. Allocates.
    #[must_use]
    pub fn new(table: &InstrumentTable, limits: &StatisticsLimits) -> Self {
        let instruments = table.all();
        let scale = |decimals: u8| 1.0 / power_of_ten(decimals) as f64;
        Self {
            book: Portfolio::new(PortfolioConfig {
                history_min: limits.history_min,
                fallback_volatility: limits.fallback_volatility_e6 as f64 / 1e6,
                ..PortfolioConfig::new(instruments.len())
            }),
            held: vec![0; instruments.len()].into_boxed_slice(),
            unit_values: vec![f64::NAN; instruments.len()].into_boxed_slice(),
            scales: instruments.iter().map(|i| scale(i.price_decimals + i.qty_decimals)).collect(),
            quotes: instruments.iter().map(|i| i.quote).collect(),
            equity: f64::NAN,
            step: 0,
            refreshed_at: Nanos::ZERO,
        }
    }

    /// What the book can lose.
    #[must_use]
    pub const fn book(&self) -> &Portfolio {
        &self.book
    }

    /// Value of the order of `intent` in the reporting asset, negative for a sale; not a number
    /// where it cannot be valued.
    #[must_use]
    pub fn value_of(&self, intent: &OrderIntent) -> f64 {
        let unit = self.unit_value(intent.instrument);
        intent.side.sign() as f64 * intent.qty.0 as f64 * unit
    }

    /// Value of one quantity unit of `instrument`, not a number where that is not known.
    #[must_use]
    pub fn unit_value(&self, instrument: InstrumentId) -> f64 {
        self.unit_values.get(instrument.index()).copied().unwrap_or(f64::NAN)
    }

    /// `share_e6` of equity; not a number, which no comparison passes, while equity is not known.
    #[must_use]
    pub fn share(&self, share_e6: i64) -> f64 {
        self.equity * (share_e6 as f64 / 1e6)
    }

    /// What of a limit of `max_e6` of equity an increase may use, where the control mode grants
    /// `share_e4` of every limit.
    #[must_use]
    pub fn allowed(&self, max_e6: i64, share_e4: i64) -> f64 {
        self.share(max_e6) * (share_e4 as f64 / 1e4)
    }

    /// Takes in a new equity.
    pub fn on_equity(&mut self, equity: Option<Amount>) {
        self.equity = equity.map_or(f64::NAN, whole);
    }

    /// Takes in a mark that `valuation` has taken in already.
    pub fn on_mark(&mut self, mark: &Mark, valuation: &Valuation) {
        let i = mark.instrument.index();
        let (Some(price), Some(scale)) = (mark_price(mark), self.scales.get(i)) else { return };
        // A rate of a million, so that the integer it is read from has digits enough.
        let rate = valuation.value(self.quotes[i], units(1_000_000));
        let rate = rate.map_or(f64::NAN, |rate| whole(rate) / 1e6);
        self.unit_values[i] = price.0 as f64 * scale * rate;
    }

    /// Brings position and open orders of `instrument` up to date with the ledger. A position keeps
    /// its value until its quantity changes or the next sample.
    pub fn follow(&mut self, ledger: &Ledger, instrument: InstrumentId) {
        let Some(exposure) = ledger.total(instrument) else { return };
        if self.held[instrument.index()] != exposure.position.qty {
            self.revalue(exposure, instrument);
        }
        let [bought, sold] = exposure.leaves.map(|qty| self.value(instrument, qty));
        self.book.open(instrument, bought, sold);
    }

    /// What is due at `now`; a refresh waits for a turn without intents, but not for long.
    #[must_use]
    pub fn due(&self, now: Nanos, intents_wait: bool) -> Option<Upkeep> {
        if now.0 / STEP_NS > self.step {
            return Some(Upkeep::Sample);
        }
        let patience = if intents_wait { REFRESH_NS_MAX } else { REFRESH_NS };
        let due = now.since(self.refreshed_at).0 >= patience && self.book.is_due();
        due.then_some(Upkeep::Refresh)
    }

    /// Does the work that was due at `now`.
    pub fn maintain(&mut self, upkeep: Upkeep, now: Nanos, ledger: &Ledger, marks: &Valuation) {
        match upkeep {
            Upkeep::Sample => {
                self.step = now.0 / STEP_NS;
                let count = self.scales.len();
                let ids = (0..count).map(|i| InstrumentId(i as u16));
                self.book.sample(ids.clone().map(|id| live_price(marks.mark(id))));
                for id in ids {
                    let Some(exposure) = ledger.total(id) else { continue };
                    self.revalue(exposure, id);
                    self.follow(ledger, id);
                }
                self.book.refresh();
            }
            Upkeep::Refresh => self.book.refresh(),
        }
        self.refreshed_at = now;
    }

    fn revalue(&mut self, exposure: &Exposure, instrument: InstrumentId) {
        let qty = exposure.position.qty;
        self.held[instrument.index()] = qty;
        self.book.hold(instrument, self.value(instrument, qty));
    }

    /// Nothing is worth nothing, whatever its price.
    fn value(&self, instrument: InstrumentId, qty: i128) -> f64 {
        if qty == 0 { 0.0 } else { qty as f64 * self.unit_value(instrument) }
    }
}

/// The price of a live book, else not a number.
fn live_price(mark: Option<&Mark>) -> f64 {
    let live = mark.filter(|mark| mark.state == BookState::Live);
    live.and_then(mark_price).map_or(f64::NAN, |price| price.0 as f64)
}

/// `amount` in whole units of its asset.
fn whole(amount: Amount) -> f64 {
    amount as f64 / power_of_ten(AMOUNT_DECIMALS) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(StatisticsLimits::default().validate(), Ok(()));
        let bad = |change: fn(&mut StatisticsLimits)| {
            let mut limits = StatisticsLimits::default();
            change(&mut limits);
            limits.validate().expect_err("refused").split(' ').next().expect("a field")
        };
        assert_eq!(bad(|l| l.correlation_e4 = 10_001), "correlation_e4");
        assert_eq!(bad(|l| l.correlation_from_e6 = -1), "correlation_from_e6");
        assert_eq!(bad(|l| l.shortfall_equity_e6 = -1), "shortfall_equity_e6");
        assert_eq!(bad(|l| l.heat_equity_e6 = 1_000_001), "heat_equity_e6");
        assert_eq!(bad(|l| l.fallback_volatility_e6 = 0), "fallback_volatility_e6");
        assert_eq!(bad(|l| l.history_min = 1_025), "history_min");
    }

    #[test]
    fn raw_values_read_back() {
        for upkeep in [Upkeep::Sample, Upkeep::Refresh] {
            assert_eq!(Upkeep::from_raw(upkeep as u8), Some(upkeep));
        }
        assert_eq!(Upkeep::from_raw(2), None);
    }
}
