//! Planted mistakes. A test aid: a replay that does not find a strategy that depends on something
//! no journal holds, and a risk lane that does not stop one that has run away, prove nothing. And a
//! strategy that is none, but asks for what the others do not ([`every`]).

mod any_order;
mod every;

use std::hash::BuildHasher as _;

use bot4_lanes::Clock;
use bot4_signals::{Actions, Strategy, View};
use bot4_types::rng::SplitMix64;
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
    /// No mistake: now and then it asks for an order of any type there is, near the touch.
    AnyOrder,
}

impl Plant {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Clock, Self::Order, Self::Runaway, Self::Every, Self::AnyOrder];

    /// The name on the command line and in a journal.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Order => "order",
            Self::Runaway => "runaway",
            Self::Every => "every",
            Self::AnyOrder => "any_order",
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
        // Strategies throw differently.
        let name = strategy.name().bytes().fold(DICE, |n, byte| n.rotate_left(8) ^ u64::from(byte));
        let dice = SplitMix64::new(name);
        Box::new(Planted { plant: self, strategy, clock: Clock::start(), left_out: None, dice })
    }
}

/// Seed of the dice.
const DICE: u64 = 0x4F52_4445;
/// One change of the market in so many is answered with some order.
const ANY_IN: u64 = 12;
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
    /// Thrown once a change of the market: a function of what the journal has.
    dice: SplitMix64,
}

impl Planted {
    fn sits_out(&self, view: &View<'_>) -> bool {
        match self.plant {
            Plant::Clock => (self.clock.now().0 / 1_000).is_multiple_of(2),
            Plant::Order => self.left_out == Some(view.instrument().id),
            Plant::Runaway | Plant::Every | Plant::AnyOrder => false,
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
        if self.plant == Plant::AnyOrder {
            // The market of each seed has its own throws.
            self.dice = SplitMix64::new(self.dice.next_u64() ^ view.bid().price as u64);
            if self.dice.below(ANY_IN) == 0 {
                any_order::ask(&mut self.dice, view, orders);
            }
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
