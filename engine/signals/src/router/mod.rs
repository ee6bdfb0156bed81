//! From wishes to intents: the fixed table of own orders and what to send next for each.
//!
//! Invariant: a slot holds at most one order that is not terminal, so nothing is placed into a
//! slot before the terminal report of the order before. Everything that could not be sent at once
//! stands in a list of waiting slots and is tried again each turn, at most [`RETRIES`] a turn.
//! Cost: a wish touches its slot and the slots of its instrument (one contiguous run).

mod amends;
mod armed;
mod commands;
mod exits;
mod flatten;
pub(crate) mod groups;
mod guard;
mod linked;
mod parents;
mod place;
mod reports;
mod routed;
mod select;
mod standing;

use std::collections::VecDeque;

use bot4_lanes::{Counters, Phase, Tx};
use bot4_types::limits::VENUES_MAX;
use bot4_types::{
    Cause, HeldPosition, Instrument, InstrumentId, InstrumentTable, Nanos, OrderId, OrderIntent,
    ParentEnd, Qty, Side, StrategyId,
};

pub use self::armed::Armed;
use self::commands::Commands;
pub(crate) use self::exits::Bracket;
pub use self::exits::{Exits, Native};
use self::guard::Guard;
use self::linked::Link;
pub use self::linked::{Oco, OtherLeg};
use self::standing::Standing;
use crate::actions::{Turn, Verdict};
use crate::counters as c;
use crate::parent::Parents;
use crate::rules;
use crate::slot::{Open, OrderSlot, Origin, SlotState, Wish};

/// Waiting slots tried in one turn.
const RETRIES: usize = 64;
/// Slots of one strategy in one instrument: bid, ask, take, stop.
const PARTS: usize = 4;
const TAKE: usize = 2;
const STOP: usize = 3;
/// Back-offs double up to this many times.
const DOUBLINGS_MAX: u32 = 6;

/// Times and distances of routing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteConfig {
    /// An intent is not valid this long after its turn: it was decided on that turn's prices.
    pub intent_life: Nanos,
    /// A quote that waits for its predecessor's cancel is dropped after this.
    pub wish_life: Nanos,
    /// After a cancel is confirmed a fresh decision is preferred to the waiting one for this
    /// long: the waiting one is older by a round trip.
    pub settle: Nanos,
    /// First pause of a slot after a refusal; doubles with each further one, 64 times at most.
    pub backoff: Nanos,
    /// A cancel without an answer is sent again after this.
    pub cancel_again: Nanos,
    /// Distance of the protective stop in hundredths of a percent of the price.
    pub stop_bps: u32,
    /// How far through the touch a stop's closing order may trade, in hundredths of a percent.
    pub stop_slip_bps: u32,
    /// How long only the near side of the touch must be beyond a stop until it counts.
    pub stop_confirm: Nanos,
    /// After a stop has closed a position its strategy pauses in the instrument for this long.
    pub stop_pause: Nanos,
    /// How far through the touch an order may trade that closes what is held when a person stops
    /// trading, in hundredths of a percent.
    pub flatten_slip_bps: u32,
    /// A quote that differs from what rests amends it where that can be, instead of a cancel and
    /// a placement; strategies that say [`crate::Actions::amend`] do so in either case.
    pub amends: bool,
    /// Taker fee of each venue, 10^-8 of the price: what [`Algo::Best`](bot4_types::Algo::Best)
    /// compares venues by.
    pub taker_e8: [i64; VENUES_MAX],
    /// What a millisecond of a venue's slowest acknowledgements may cost, 10^-8 of the price.
    pub slow_e8_per_ms: i64,
}

impl Default for RouteConfig {
    fn default() -> Self {
        Self {
            intent_life: Nanos::from_millis(50),
            wish_life: Nanos::from_millis(500),
            settle: Nanos::from_millis(50),
            backoff: Nanos::from_millis(20),
            cancel_again: Nanos::from_secs(1),
            stop_bps: 300,
            stop_slip_bps: 30,
            stop_confirm: Nanos::from_millis(250),
            stop_pause: Nanos::from_secs(5),
            flatten_slip_bps: 50,
            amends: false,
            taker_e8: [100_000; VENUES_MAX],
            slow_e8_per_ms: 200,
        }
    }
}

/// A strategy in an instrument.
pub(crate) type Key = (StrategyId, InstrumentId);

/// The router: see the crate's page. Lives inside the signal agent.
#[derive(Debug)]
pub struct Router {
    config: RouteConfig,
    /// By strategy.
    stops: Vec<u32>,
    /// By strategy.
    exits: Vec<Exits>,
    table: InstrumentTable,
    strategies: usize,
    /// By instrument, then strategy, then part; then those of parents' children.
    slots: Vec<OrderSlot>,
    /// Where the children's slots begin.
    first_child: usize,
    parents: Parents,
    /// Commands by name.
    commands: Commands,
    /// By instrument, then strategy.
    positions: Vec<Qty>,
    /// By instrument, then strategy.
    guards: Vec<Guard>,
    /// Places in `positions` that a stop is closing or may close soon.
    closing: Vec<usize>,
    /// Places in `positions` that have a native exit.
    natives: Vec<usize>,
    /// By instrument, then strategy.
    links: Vec<Option<Link>>,
    /// Places in `links` that hold one.
    linked: Vec<usize>,
    /// By instrument: best bid and ask, zero while they may not be traded on.
    touches: Vec<[i64; 2]>,
    /// By instrument: its book is live.
    live: Vec<bool>,
    /// By instrument: risk takes new orders of it.
    open: Vec<bool>,
    waiting: VecDeque<usize>,
    next_order: u64,
    running: bool,
    /// A person wishes what is held to be closed: the router does it, strategies do nothing.
    flattening: bool,
    /// How venues have done of late.
    standing: Standing,
    /// By venue: its order entry is ready.
    sessions: [bool; VENUES_MAX],
    /// Changes of slots in this turn beside the intents that went out: what time alone did.
    changes: usize,
    intents: Tx<OrderIntent>,
    counters: Counters,
}

impl Router {
    /// A router whose first order is `first_order`. The table is made by
    /// [`reserve`](Self::reserve). The session counts as not ready until risk says it is.
    pub(crate) fn new(
        config: RouteConfig,
        (stops, exits): (Vec<u32>, Vec<Exits>),
        first_order: OrderId,
        intents: Tx<OrderIntent>,
        counters: Counters,
    ) -> Self {
        Self {
            config,
            stops,
            exits,
            table: InstrumentTable::new(),
            strategies: 0,
            slots: Vec::new(),
            first_child: 0,
            parents: Parents::new(),
            commands: Commands::default(),
            positions: Vec::new(),
            guards: Vec::new(),
            closing: Vec::new(),
            natives: Vec::new(),
            links: Vec::new(),
            linked: Vec::new(),
            touches: Vec::new(),
            live: Vec::new(),
            open: Vec::new(),
            waiting: VecDeque::new(),
            next_order: first_order.0.max(1),
            running: true,
            flattening: false,
            standing: Standing::default(),
            sessions: [false; VENUES_MAX],
            changes: 0,
            intents,
            counters,
        }
    }

    /// Makes the table of slots. Allocates; nothing later does.
    pub(crate) fn reserve(&mut self, table: InstrumentTable, strategies: usize) {
        self.strategies = strategies;
        self.slots.clear();
        self.slots.reserve_exact(table.all().len() * strategies * PARTS);
        for instrument in table.all() {
            for strategy in 0..strategies {
                let id = StrategyId(strategy as u8);
                let parts = [(Side::Buy, false), (Side::Sell, false), (Side::Buy, true)];
                for (side, take) in parts.into_iter().chain([(Side::Buy, false)]) {
                    self.slots.push(OrderSlot::new(id, instrument.id, side, take));
                }
            }
        }
        self.table = table;
        self.reserve_children();
        self.commands.reserve();
        let instruments = self.table.all().len();
        self.standing.reserve(instruments);
        let pairs = instruments * strategies;
        self.positions = vec![Qty(0); pairs];
        self.guards = vec![Guard::default(); pairs];
        self.closing = Vec::with_capacity(pairs);
        self.natives = Vec::with_capacity(pairs);
        self.links = vec![None; pairs];
        self.linked = Vec::with_capacity(pairs);
        self.touches = vec![[0; 2]; instruments];
        self.live = vec![false; instruments];
        self.open = vec![true; instruments];
        self.waiting = VecDeque::with_capacity(self.slots.len());
        self.list_natives();
    }

    /// Takes over `held` from an earlier run. Stops stand at the configured distance from what
    /// the position cost.
    pub(crate) fn take_over(&mut self, held: &[HeldPosition]) {
        for position in held {
            let Some(pair) = self.pair((position.strategy, position.instrument)) else { continue };
            self.positions[pair] = position.qty;
            if position.qty.0 != 0 {
                self.protect(pair, position.entry(), (0, None), true);
            }
        }
    }

    /// Intents that can be pushed now.
    #[must_use]
    pub fn room(&self) -> usize {
        self.intents.room()
    }

    /// The order that will be placed next.
    #[must_use]
    pub const fn next_order(&self) -> OrderId {
        OrderId(self.next_order)
    }

    /// Orders that may still trade.
    #[must_use]
    pub fn open_orders(&self) -> usize {
        self.slots.iter().filter(|s| s.state != SlotState::Free).count()
    }

    /// `instrument` is in the table.
    pub(crate) fn knows(&self, instrument: InstrumentId) -> bool {
        instrument.index() < self.live.len()
    }

    pub(crate) fn position(&self, key: Key) -> Qty {
        self.pair(key).map_or(Qty(0), |p| self.positions[p])
    }

    pub(crate) fn quotes(&self, key: Key) -> [Option<Open>; 2] {
        let Some(p) = self.pair(key) else { return [None; 2] };
        [self.slots[p * PARTS].open(), self.slots[p * PARTS + 1].open()]
    }

    pub(crate) fn is_taking(&self, key: Key) -> bool {
        self.pair(key).is_some_and(|p| {
            let slot = &self.slots[p * PARTS + TAKE];
            slot.state != SlotState::Free || slot.wish.is_some()
        })
    }

    /// The place of `key` in the tables, or why nothing may be wished there: it is not there, or a
    /// stop closes its position.
    fn unstopped(&self, key: Key, now: Nanos) -> Result<usize, Verdict> {
        let pair = self.pair(key).ok_or(Verdict::Closed)?;
        if self.guards[pair].stops(now) {
            self.counters.add(c::BLOCKED_STOP, 1);
            return Err(Verdict::Stopped);
        }
        Ok(pair)
    }

    /// See [`crate::Actions::quote`]. The wish's expiry is set here.
    pub(crate) fn quote(
        &mut self,
        key: Key,
        side: Side,
        wish: Wish,
        origin: Origin,
        turn: Turn<'_>,
    ) -> Verdict {
        let p = match self.unstopped(key, turn.now) {
            Ok(p) => p,
            Err(verdict) => return verdict,
        };
        if self.is_linked(p, side.index()) {
            return Verdict::Busy;
        }
        let expires = turn.now + self.config.wish_life;
        let wish = Wish { expires, amends: wish.amends || self.config.amends, ..wish };
        self.wish(p * PARTS + side.index(), side, wish, origin, turn)
    }

    /// See [`crate::Actions::take`]. The wish's expiry is set here.
    pub(crate) fn take(
        &mut self,
        key: Key,
        side: Side,
        wish: Wish,
        origin: Origin,
        turn: Turn<'_>,
    ) -> Verdict {
        let p = match self.unstopped(key, turn.now) {
            Ok(p) => p,
            Err(verdict) => return verdict,
        };
        if self.is_taking(key) {
            return Verdict::Busy;
        }
        let wish = Wish { expires: turn.now + self.config.intent_life, ..wish };
        self.wish(p * PARTS + TAKE, side, wish, origin, turn)
    }

    /// See [`crate::Actions::pull`].
    pub(crate) fn pull(&mut self, key: Key, side: Side, origin: Origin, turn: Turn<'_>) {
        if let Some(p) = self.pair(key) {
            self.drop_wish(p * PARTS + side.index(), origin, turn);
            self.unlink(p, side.index(), turn);
        }
    }

    /// Notes whether the book of `instrument` is live; when it is not, its quotes go.
    pub(crate) fn book(
        &mut self,
        instrument: InstrumentId,
        live: bool,
        origin: Origin,
        turn: Turn<'_>,
    ) {
        let Some(flag) = self.live.get_mut(instrument.index()) else { return };
        *flag = live;
        if !live {
            self.touches[instrument.index()] = [0; 2];
            // What waits for its trigger was not decided on this book.
            self.drop_wishes(instrument, STOP, origin, turn);
        }
    }

    /// Nothing in the first so many `parts` of `instrument` is wanted any more.
    fn drop_wishes(
        &mut self,
        instrument: InstrumentId,
        parts: usize,
        origin: Origin,
        turn: Turn<'_>,
    ) {
        let run = self.strategies * PARTS;
        for at in instrument.index() * run..(instrument.index() + 1) * run {
            if at % PARTS < parts {
                self.drop_wish(at, origin, turn);
            }
        }
        self.drop_children(instrument, origin, turn);
    }

    /// Obeys the control word: in any phase but run, every quote goes and nothing is placed. A
    /// pause ends: then strategies wish anew.
    pub(crate) fn obey(&mut self, phase: Phase, turn: Turn<'_>) {
        let running = phase == Phase::Run;
        let before = std::mem::replace(&mut self.running, running);
        if phase.is_stopped() {
            self.end_parents(ParentEnd::Killed);
        } else if phase == Phase::Drain {
            self.end_parents(ParentEnd::Interrupted);
        }
        if before && !running {
            for at in 0..self.slots.len() {
                self.drop_wish(at, Origin::other(Cause::Operator), turn);
            }
        }
        self.flatten_or_not(phase == Phase::Flatten, turn);
    }

    /// Tries what had to wait. Returns how many intents went out and slots changed: zero only
    /// when nothing is other than before, for a replay does not know of turns that did nothing.
    pub(crate) fn sweep(&mut self, turn: Turn<'_>) -> usize {
        let before = self.intents.room();
        // More than are tried in a turn: the line moves on.
        self.changes = usize::from(self.waiting.len() > RETRIES);
        for _ in 0..self.waiting.len().min(RETRIES) {
            let Some(at) = self.waiting.pop_front() else { break };
            self.slots[at].queued = false;
            self.settle(at, turn, false);
        }
        self.close_on(turn);
        self.keep_exits(turn);
        self.keep_links(turn);
        if self.flattening {
            self.flatten(turn);
        }
        self.follow_commands(turn);
        before.saturating_sub(self.intents.room()) + self.changes
    }

    /// Distance of `strategy`'s protective stops, hundredths of a percent.
    pub(super) fn stop_bps(&self, strategy: StrategyId) -> u32 {
        self.stops.get(usize::from(strategy.0)).copied().unwrap_or(self.config.stop_bps)
    }

    fn pair(&self, (strategy, instrument): Key) -> Option<usize> {
        let (s, i) = (strategy.0 as usize, instrument.index());
        (s < self.strategies && i < self.live.len()).then_some(i * self.strategies + s)
    }

    /// Strategies may act.
    const fn is_running(&self) -> bool {
        self.running
    }

    /// New orders may be placed for this instrument.
    fn is_open(&self, instrument: InstrumentId) -> bool {
        self.running && self.could_trade(instrument)
    }

    /// Session, book and instrument would take an order.
    fn could_trade(&self, instrument: InstrumentId) -> bool {
        let ready = |i: &Instrument| i.tradable && self.sessions[i.venue.index()];
        let at = instrument.index();
        self.table.get(instrument).is_some_and(ready) && self.live[at] && self.open[at]
    }

    fn wish(
        &mut self,
        at: usize,
        side: Side,
        wish: Wish,
        origin: Origin,
        turn: Turn<'_>,
    ) -> Verdict {
        let instrument = self.slots[at].instrument;
        if !self.is_open(instrument) {
            self.counters.add(c::BLOCKED_CLOSED, 1);
            return Verdict::Closed;
        }
        let Some(rules) = self.table.get(instrument) else { return Verdict::Closed };
        let held = self.position((self.slots[at].strategy, instrument));
        let held = held.0.saturating_mul(-side.sign());
        if wish.reduce_only && held <= 0 {
            return Verdict::NothingHeld;
        }
        let most = if wish.reduce_only { held } else { i64::MAX };
        let (price, qty) = match rules::shape(rules, side, wish.price, Qty(wish.qty.0.min(most))) {
            Ok(shaped) => shaped,
            Err(verdict) => {
                self.counters.add(c::INVALID, 1);
                return verdict;
            }
        };
        let slot = &mut self.slots[at];
        if slot.state == SlotState::Free {
            if turn.now < slot.retry_at {
                return Verdict::BackOff;
            }
            slot.side = side;
        }
        slot.wish = Some(Wish { price, qty, ..wish });
        slot.origin = origin;
        self.settle(at, turn, true);
        Verdict::Accepted
    }

    fn drop_wish(&mut self, at: usize, origin: Origin, turn: Turn<'_>) {
        let slot = &mut self.slots[at];
        let before = (slot.wish.take(), slot.origin.cause, slot.origin.trail.t0);
        slot.origin = origin;
        self.changes += usize::from(before != (None, origin.cause, origin.trail.t0));
        self.settle(at, turn, false);
    }

    /// Sends what slot `at` needs, or lets it wait. `fresh`: the wish was stated just now.
    fn settle(&mut self, at: usize, turn: Turn<'_>, fresh: bool) {
        let state = self.slots[at].state;
        match state {
            SlotState::Free => self.try_place(at, turn, fresh),
            SlotState::Pending => self.delayed(at, Cause::Report),
            SlotState::Cancelling => {
                self.delayed(at, Cause::Report);
                let slot = &mut self.slots[at];
                if turn.now >= slot.retry_at {
                    slot.state = SlotState::Live;
                    self.changes += 1;
                    self.counters.add(c::CANCELS_AGAIN, 1);
                    self.try_cancel(at, turn);
                }
            }
            SlotState::Amending => {
                self.delayed(at, Cause::Report);
                if self.slots[at].wish.is_none() {
                    self.try_cancel(at, turn);
                }
            }
            SlotState::Live | SlotState::Unknown if self.is_over(at, turn) => {
                self.try_cancel(at, turn);
            }
            SlotState::Live | SlotState::Unknown => match self.slots[at].amendable() {
                Some(wish) if self.slots[at].differs() && self.takes_amend(at, wish) => {
                    self.try_amend(at, wish, turn)
                }
                _ => self.try_cancel(at, turn),
            },
        }
        let slot = &mut self.slots[at];
        if slot.is_unmet() && !slot.queued {
            slot.queued = true;
            self.waiting.push_back(at);
        }
    }
}
