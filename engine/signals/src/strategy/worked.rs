//! A parent order in each instrument, begun as soon as its book may be traded on: the execution
//! algorithms as strategies of a configuration. Where it is wished, the next one begins a while
//! after the last has ended; one that was refused is tried again every few seconds. Orders to the
//! best venues, and those for a pair at all venues, are one for the instruments that are the same
//! thing: begun in whichever of them may be traded on first.

use bot4_types::{
    Algo, Instrument, InstrumentTable, Nanos, ParentId, ParentOrder, ParentState, Price, Qty, Side,
    Symbol,
};

use super::Strategy;
use crate::actions::Actions;
use crate::market::View;

/// A parent that was refused is tried again after this.
const AGAIN: Nanos = Nanos::from_secs(5);

/// Parameters of [`Worked`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WorkedParams {
    /// Side, algorithm and its terms; instrument, quantities and limit are set when it begins.
    pub order: ParentOrder,
    /// Worth of the whole, in whole units of the quote asset.
    pub worth: f64,
    /// Worth of what rests at a time (iceberg, pegged); zero: all of it.
    pub display_worth: f64,
    /// Distance of the limit from the middle at the beginning, in hundredths of a percent, towards
    /// worse prices; negative: better than the middle. None: no limit.
    pub limit_bps: Option<f64>,
    /// In this instrument alone, or in this pair (`BTC/USDT`) at all venues that trade it.
    pub symbol: Option<Symbol>,
    /// From an end to the next beginning; none: once.
    pub repeat: Option<Nanos>,
}

impl WorkedParams {
    /// The usual parameters of `algo`: 1,000 quote units bought over a minute.
    #[must_use]
    pub fn of(algo: Algo) -> Self {
        let nothing = bot4_types::InstrumentId(0);
        let twap = ParentOrder::twap(nothing, Side::Buy, Qty(0), Nanos::from_secs(60));
        let display_worth = if algo == Algo::Iceberg { 100.0 } else { 0.0 };
        Self {
            order: ParentOrder { algo, rate_e4: 500, ..twap },
            worth: 1_000.0,
            display_worth,
            limit_bps: (algo == Algo::Iceberg).then_some(0.0),
            symbol: None,
            repeat: None,
        }
    }
}

/// What is remembered of an instrument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Memory {
    parent: ParentId,
    /// Nothing is begun before.
    next: Nanos,
    done: bool,
}

/// See the module's page.
#[derive(Debug)]
pub struct Worked {
    params: WorkedParams,
    memory: Vec<Memory>,
    /// By instrument: the place of its memory, which those that are one order have in common.
    place: Vec<usize>,
    /// By instrument: its order goes to all venues.
    routed: Vec<bool>,
}

impl Worked {
    /// A strategy that works parents with these parameters.
    #[must_use]
    pub const fn new(params: WorkedParams) -> Self {
        Self { params, memory: Vec::new(), place: Vec::new(), routed: Vec::new() }
    }

    /// The order for what `view` shows.
    fn order(&self, view: &View<'_>) -> ParentOrder {
        let (p, i) = (&self.params, view.instrument());
        let middle = 0.5 * (view.bid().price as f64 + view.ask().price as f64);
        let side = p.order.side;
        // A limit that is not there is zero; floats end at the rounding to the tick.
        let limit = p.limit_bps.map_or(0.0, |bps| middle * (1.0 + side.sign() as f64 * bps / 1e4));
        let display = if p.display_worth > 0.0 { view.qty_worth(p.display_worth) } else { Qty(0) };
        let limit = Price(limit as i64).to_tick(i.tick, side);
        let all_venues = self.routed.get(i.id.index()).is_some_and(|routed| *routed);
        ParentOrder { total: view.qty_worth(p.worth), display, limit, all_venues, ..p.order }
    }
}

impl Strategy for Worked {
    fn name(&self) -> &'static str {
        self.params.order.algo.name()
    }

    fn start(&mut self, table: &InstrumentTable) {
        let symbol = self.params.symbol;
        let labelled = symbol.is_some_and(|s| table.labelled_as(s.as_str()).is_some());
        let meant = |i: &Instrument| {
            symbol.is_none_or(|s| match labelled {
                true => s.as_str() == table.label(i),
                false => s.as_str() == table.pair(i),
            })
        };
        let memory = |i: &Instrument| Memory { done: !meant(i), ..Memory::default() };
        self.memory = table.all().iter().map(memory).collect();
        // A pair that is named goes to all venues, where there are several.
        let pair = symbol.filter(|_| !labelled);
        let several = pair.is_some_and(|s| table.of_pair(s.as_str()).count() > 1);
        let best = self.params.order.algo == Algo::Best;
        let together = |i: &Instrument| best || (several && meant(i));
        self.routed = table.all().iter().map(together).collect();
        let first = |i: &Instrument| {
            let same = |o: &&Instrument| meant(o) && table.pair(o) == table.pair(i);
            let first = table.all().iter().find(same).filter(|_| together(i));
            first.map_or(i.id.index(), |o| o.id.index())
        };
        self.place = table.all().iter().map(first).collect();
    }

    fn on_top(&mut self, _: &View<'_>, _: &mut Actions<'_>) {}

    fn on_timer(&mut self, view: &View<'_>, orders: &mut Actions<'_>) {
        let at = self.place.get(view.instrument().id.index()).copied().unwrap_or(usize::MAX);
        let Some(memory) = self.memory.get(at).copied().filter(|m| !m.done) else { return };
        let next = match orders.parent(memory.parent).map(|parent| parent.state) {
            Some(ParentState::Ended) => match self.params.repeat {
                Some(pause) => {
                    Memory { parent: ParentId::NONE, next: view.now() + pause, ..memory }
                }
                None => Memory { done: true, ..memory },
            },
            Some(_) => memory,
            None if view.now() < memory.next => memory,
            None => match orders.begin(self.order(view)) {
                Ok(parent) => Memory { parent, ..memory },
                Err(_) => Memory { next: view.now() + AGAIN, ..memory },
            },
        };
        self.memory[at] = next;
    }
}
