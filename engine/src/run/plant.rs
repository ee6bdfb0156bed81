//! Planted mistakes. A test aid: a replay that does not find a strategy that depends on something
//! no journal holds, a risk lane that does not stop one that has run away, and an engine that
//! sheds nothing when a lane cannot keep up, prove nothing. And a strategy that is none, but asks
//! for what the others do not ([`every`]).

mod any_order;
mod every;

use std::any::Any;
use std::hash::BuildHasher as _;
use std::time::Duration;

use bot4_lanes::{Agent, Clock, Fault, Probe};
use bot4_signals::{Actions, Strategy, View};
use bot4_types::rng::SplitMix64;
use bot4_types::{
    AccountReport, InstrumentId, InstrumentTable, Nanos, Price, Side, StaleReason, TradePrint,
};

/// What is planted, into every strategy unless it says otherwise.
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
    /// The second book lane is far too slow for some seconds: whoever feeds it has to wait.
    SlowBook,
    /// After some seconds order entry, which holds the account's keys, panics on its lane.
    Panic,
}

impl Plant {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Clock,
        Self::Order,
        Self::Runaway,
        Self::Every,
        Self::AnyOrder,
        Self::SlowBook,
        Self::Panic,
    ];

    /// The name on the command line and in a journal.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Order => "order",
            Self::Runaway => "runaway",
            Self::Every => "every",
            Self::AnyOrder => "any_order",
            Self::SlowBook => "slow_book",
            Self::Panic => "panic",
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
        if self.is_in_an_agent() {
            return strategy;
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
            _ => false,
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

impl Plant {
    /// It is no strategy's.
    const fn is_in_an_agent(self) -> bool {
        matches!(self, Self::SlowBook | Self::Panic)
    }

    /// The agent that it is in.
    fn is_in(self, role: &str) -> bool {
        match self {
            Self::SlowBook => role == SLOW_LANE,
            Self::Panic => role == PANICS,
            _ => false,
        }
    }
}

/// The agent that panics, and when, from its first turn on.
const PANICS: &str = "execution";
const PANICS_AFTER: Nanos = Nanos::from_secs(2);

/// The lane that is slow, after how many messages, for how long, and how slow at each.
const SLOW_LANE: &str = "book.1";
const SLOW_AFTER: usize = 3_000;
const SLOW_FOR: Nanos = Nanos::from_secs(4);
const SLOW_AT_EACH: Duration = Duration::from_millis(2);

/// `agent` with what is planted into it.
#[must_use]
pub fn into_agent(plant: Option<Plant>, agent: Box<dyn Agent>) -> Box<dyn Agent> {
    match plant.filter(|plant| plant.is_in(agent.role())) {
        Some(plant) => Box::new(PlantedAgent { plant, agent, handled: 0, began: None }),
        None => agent,
    }
}

/// `agent` without what was planted into it.
#[must_use]
pub fn out_of(agent: Box<dyn Agent>) -> Box<dyn Agent> {
    if !(agent.as_ref() as &dyn Any).is::<PlantedAgent>() {
        return agent;
    }
    match (agent as Box<dyn Any>).downcast::<PlantedAgent>() {
        Ok(planted) => planted.agent,
        Err(_) => unreachable!("asked above"),
    }
}

struct PlantedAgent {
    plant: Plant,
    agent: Box<dyn Agent>,
    handled: usize,
    began: Option<Nanos>,
}

impl Agent for PlantedAgent {
    fn role(&self) -> &'static str {
        self.agent.role()
    }

    fn start(&mut self, now: Nanos) -> Result<(), Fault> {
        self.agent.start(now)
    }

    fn work(&mut self, now: Nanos, probe: &mut Probe) -> Result<usize, Fault> {
        let done = self.agent.work(now, probe)?;
        self.handled += done;
        if self.plant == Plant::Panic {
            let since = now.since(*self.began.get_or_insert(now));
            assert!(since < PANICS_AFTER, "planted panic after {} ms", since.millis());
        } else if self.handled > SLOW_AFTER && now.since(*self.began.get_or_insert(now)) < SLOW_FOR
        {
            #[expect(clippy::disallowed_methods, reason = "the slowness is what is planted")]
            std::thread::sleep(SLOW_AT_EACH * done as u32);
        }
        Ok(done)
    }

    fn close(&mut self, now: Nanos) {
        self.agent.close(now);
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
