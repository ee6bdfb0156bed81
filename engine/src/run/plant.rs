//! Planted mistakes. A test aid: a replay that does not find a strategy that depends on something
//! no journal holds, and a risk lane that does not stop one that has run away, prove nothing. And a
//! strategy that is none, but asks for what the others do not ([`every`]).

mod every;

use std::hash::BuildHasher as _;

use bot4_lanes::Clock;
use bot4_signals::{Actions, Strategy, View};
use bot4_types::{
    AccountReport, InstrumentId, InstrumentTable, Nanos, Price, Side, StaleReason, TradePrint,
};

/// What is planted into every strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// It reads a clock and sits out a market message in every second microsecond.
    Clock,
    /// It sits out the instrument that a map in random order lists first.
    Order,
    /// After some seconds it asks at every change, over and over, for sizes far above every limit,
    /// and takes from both sides at once: five hundred wishes a change.
    Runaway,
    /// No mistake: instead of making a market it uses every kind of order in turn.
    Every,
}

impl Plant {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Clock, Self::Order, Self::Runaway, Self::Every];

    /// The name on the command line and in a journal.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Order => "order",
            Self::Runaway => "runaway",
            Self::Every => "every",
        }
    }

    /// The plant called `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.name() == name)
    }

    /// `strategy` with this mistake.
    #[must_use]
    pub fn into_strategy(self, strategy: Box<dyn Strategy>) -> Box<dyn Strategy> {
        if self == Self::Every {
            let makes_a_market = strategy.name() == "market_maker";
            return if makes_a_market { Box::new(every::Every::new()) } else { strategy };
        }
        Box::new(Planted { plant: self, strategy, clock: Clock::start(), left_out: None })
    }
}

/// A strategy that runs away behaves until then.
const RUNS_AWAY_AFTER: Nanos = Nanos::from_secs(3);
/// Value of its orders, quote units.
const FAR_TOO_MUCH: f64 = 250_000.0;
/// Times that it asks at a change, for four things each.
const OVER_AND_OVER: usize = 125;

struct Planted {
    plant: Plant,
    strategy: Box<dyn Strategy>,
    clock: Clock,
    left_out: Option<InstrumentId>,
}

impl Planted {
    fn sits_out(&self, view: &View<'_>) -> bool {
        match self.plant {
            Plant::Clock => (self.clock.now().0 / 1_000).is_multiple_of(2),
            Plant::Order => self.left_out == Some(view.instrument().id),
            Plant::Runaway | Plant::Every => false,
        }
    }
}

/// The instrument with the least hash under random keys: the first in a map that iterates by them.
fn first_in_random_order(table: &InstrumentTable) -> Option<InstrumentId> {
    #[expect(clippy::disallowed_types, reason = "the random order is what is planted")]
    let keys = std::hash::RandomState::new();
    table.all().iter().map(|i| i.id).min_by_key(|id| keys.hash_one(id.0))
}

impl Strategy for Planted {
    fn name(&self) -> &'static str {
        self.strategy.name()
    }

    fn start(&mut self, table: &InstrumentTable) {
        self.left_out = first_in_random_order(table);
        self.strategy.start(table);
    }

    fn on_top(&mut self, view: &View<'_>, orders: &mut Actions<'_>) {
        if self.plant == Plant::Runaway && self.clock.now() > RUNS_AWAY_AFTER {
            let (bid, much) = (Price(view.bid().price), view.qty_worth(FAR_TOO_MUCH));
            for _ in 0..OVER_AND_OVER {
                for side in [Side::Buy, Side::Sell] {
                    orders.quote(side, bid, much);
                    orders.take(side, much, bid);
                }
            }
        } else if !self.sits_out(view) {
            self.strategy.on_top(view, orders);
        }
    }

    fn on_trade(&mut self, view: &View<'_>, trade: &TradePrint, orders: &mut Actions<'_>) {
        self.strategy.on_trade(view, trade, orders);
    }

    fn on_report(
        &mut self,
        report: &AccountReport,
        view: Option<&View<'_>>,
        orders: &mut Actions<'_>,
    ) {
        self.strategy.on_report(report, view, orders);
    }

    fn on_timer(&mut self, view: &View<'_>, orders: &mut Actions<'_>) {
        self.strategy.on_timer(view, orders);
    }

    fn on_stale(&mut self, instrument: InstrumentId, reason: StaleReason) {
        self.strategy.on_stale(instrument, reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for plant in Plant::ALL {
            assert_eq!(Plant::from_name(plant.name()), Some(plant));
        }
        assert_eq!(Plant::from_name("weather"), None);
    }
}
