//! The trait that a strategy implements, and the roster.

mod ema_cross;
mod market_maker;
mod worked;

pub use ema_cross::{EmaCross, EmaCrossParams};
pub use market_maker::{MarketMaker, MarketMakerParams};
pub use worked::{Worked, WorkedParams};

use bot4_types::{AccountReport, Algo, InstrumentId, InstrumentTable, StaleReason, TradePrint};

use crate::actions::Actions;
use crate::market::View;

/// A strategy: one value that sees every instrument, one call at a time.
///
/// All calls come from the signal lane's thread. A strategy keeps what it must remember in tables
/// by instrument made in [`start`](Self::start); no other method may allocate, lock, read a clock
/// or use randomness without a seed: equal inputs must give equal wishes, or replay is worthless.
/// Floats are fine: the way from a float to an order leads through directed rounding.
///
/// A complete strategy, in one file:
///
/// ```
/// use bot4_signals::{Actions, Strategy, View};
/// use bot4_types::{Price, Side};
///
/// /// Joins the best bid with 100 USDT while the book leans to the bid and the position is flat,
/// /// and asks to get out one tick above the best bid once it is long.
/// #[derive(Default)]
/// struct Leaner;
///
/// impl Strategy for Leaner {
///     fn name(&self) -> &'static str {
///         "leaner"
///     }
///
///     fn on_top(&mut self, view: &View<'_>, orders: &mut Actions<'_>) {
///         let (bid, position) = (Price(view.bid().price), view.position());
///         if position.0 > 0 {
///             orders.pull(Side::Buy);
///             orders.quote(Side::Sell, Price(bid.0 + view.instrument().tick), position);
///         } else if view.features().updates > 20 && view.features().imbalance > 0.3 {
///             orders.quote(Side::Buy, bid, view.qty_worth(100.0));
///         } else {
///             orders.cancel_all();
///         }
///     }
/// }
///
/// // Runs it: one line in the roster, or handed to the agent's configuration directly.
/// let config = bot4_signals::SignalConfig::new(vec![Box::new(Leaner)], bot4_types::OrderId(1));
/// assert_eq!(config.strategies[0].name(), "leaner");
/// ```
pub trait Strategy: Send {
    /// The name used in configuration and reports.
    fn name(&self) -> &'static str;

    /// Called once before the first turn: the place to allocate tables by instrument.
    fn start(&mut self, table: &InstrumentTable) {
        let _ = table;
    }

    /// The top of an instrument changed; its features are up to date.
    fn on_top(&mut self, view: &View<'_>, orders: &mut Actions<'_>);

    /// Somebody traded.
    fn on_trade(&mut self, view: &View<'_>, trade: &TradePrint, orders: &mut Actions<'_>) {
        let _ = (view, trade, orders);
    }

    /// An own order was reported on or refused; positions and slots are booked already. Reports
    /// are facts and come at any time: `view` is `None` while the book may not be traded on.
    fn on_report(
        &mut self,
        report: &AccountReport,
        view: Option<&View<'_>>,
        orders: &mut Actions<'_>,
    ) {
        let _ = (report, view, orders);
    }

    /// Time passed (see [`SignalConfig::timer`](crate::SignalConfig::timer)); called for every
    /// instrument that may be traded on.
    fn on_timer(&mut self, view: &View<'_>, orders: &mut Actions<'_>) {
        let _ = (view, orders);
    }

    /// The book of `instrument` stopped being live: its features restart and its quotes are being
    /// cancelled. The only call about a book that is not live.
    fn on_stale(&mut self, instrument: InstrumentId, reason: StaleReason) {
        let _ = (instrument, reason);
    }
}

/// Makes a strategy with its default parameters.
pub type Make = fn() -> Box<dyn Strategy>;

/// Every strategy that a configuration can name. A new one is one file and one line here.
pub const ROSTER: &[(&str, Make)] = &[
    ("market_maker", || Box::new(MarketMaker::new(MarketMakerParams::default()))),
    ("ema_cross", || Box::new(EmaCross::new(EmaCrossParams::default()))),
    ("twap", || Box::new(Worked::new(WorkedParams::of(Algo::Twap)))),
    ("vwap", || Box::new(Worked::new(WorkedParams::of(Algo::Vwap)))),
    ("pov", || Box::new(Worked::new(WorkedParams::of(Algo::Pov)))),
    ("iceberg", || Box::new(Worked::new(WorkedParams::of(Algo::Iceberg)))),
    ("pegged", || Box::new(Worked::new(WorkedParams::of(Algo::Pegged)))),
];

/// The strategy called `name` with its default parameters, if there is one.
#[must_use]
pub fn make(name: &str) -> Option<Box<dyn Strategy>> {
    ROSTER.iter().find(|(n, _)| *n == name).map(|(_, make)| make())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roster_names_its_strategies_once() {
        for (n, (name, make)) in ROSTER.iter().enumerate() {
            assert_eq!(make().name(), *name);
            assert!(ROSTER[..n].iter().all(|(other, _)| other != name));
        }
        assert!(make("no_such_thing").is_none());
    }
}
