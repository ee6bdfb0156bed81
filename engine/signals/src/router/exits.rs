//! The native exit: a stop or a target of what is held that rests at the venue.
//!
//! Where the configuration says so and the instrument takes such orders, one exit of each position
//! lies at the venue, which triggers it by its own trades, without the way to us and back. It goes
//! with everything else in a pause, at a stop and when the guard ends a dead engine's orders: it
//! protects no position that nobody watches. It may only reduce, and it stands aside
//! for everything else of its strategy on its side: a take, a quote or another stop there waits
//! until the exit is withdrawn, and the exit comes back when nothing of that is left. So the venue
//! never has more to sell than is held, and what the exit is not there for, the guard watches.
//!
//! When the market crosses the stop, the venue's order is to do what the guard would, and has
//! [`NATIVE_PATIENCE`] for it. Then it is withdrawn, and only when it has ended, by the venue's
//! word, the guard closes what is left: a stop is never done twice.
//!
//! Cost: a few comparisons a turn for each pair of strategy and instrument that has such an exit;
//! nothing where none is configured.

use bot4_types::{
    Cause, DoneReason, InstrumentId, Nanos, OrderReport, OrderState, Price, Qty, ReportKind, Side,
    StrategyId,
};

use super::{PARTS, Router, STOP, TAKE};
use crate::actions::Turn;
use crate::counters as c;
use crate::rules;
use crate::slot::{Origin, SlotState, Style, Wish};

/// How long the venue's stop may take once the market has crossed it.
pub(super) const NATIVE_PATIENCE: Nanos = Nanos::from_millis(500);

/// An exit is smaller than what is held by so many thousandths at most.
const CUTS_MAX: u8 = 20;

/// Which exit of a position rests at the venue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Native {
    /// None: the router guards both.
    #[default]
    None,
    /// The protective stop.
    Stop,
    /// The target.
    TakeProfit,
}

impl Native {
    /// Every value, with its word in a configuration.
    const ALL: [(Self, &'static str); 3] =
        [(Self::None, "none"), (Self::Stop, "stop"), (Self::TakeProfit, "take_profit")];

    /// Its word in a configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// What `word` says.
    #[must_use]
    pub fn from_name(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name)| *name == word).map(|(native, _)| *native)
    }
}

/// How a strategy leaves its positions, beside its protective stop's distance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exits {
    /// Distance of the target in hundredths of a percent of the price; zero: none.
    pub take_profit_bps: u32,
    /// What of it rests at the venue.
    pub native: Native,
}

/// Prices at which a position of its own is to be left, in price units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bracket {
    pub stop: i64,
    pub target: i64,
}

impl Router {
    /// Lists the pairs that have a native exit. Called when the tables are made.
    pub(super) fn list_natives(&mut self) {
        self.natives.clear();
        for pair in 0..self.guards.len() {
            let native = self.exits_of(pair).native;
            if native != Native::None && self.could_lie_there(pair, Style::Stop) {
                self.natives.push(pair);
            }
        }
    }

    pub(super) fn exits_of(&self, pair: usize) -> Exits {
        self.exits.get(pair % self.strategies.max(1)).copied().unwrap_or_default()
    }

    /// The venue takes orders of the instrument of `pair` that wait in this style.
    fn could_lie_there(&self, pair: usize, style: Style) -> bool {
        let instrument = InstrumentId((pair / self.strategies) as u16);
        self.table.get(instrument).is_some_and(|i| i.waits_for(style == Style::Stop))
    }

    /// And the strategy wants them there.
    pub(super) fn lies_there(&self, pair: usize, style: Style) -> bool {
        self.exits_of(pair).native != Native::None && self.could_lie_there(pair, style)
    }

    /// Brings every native exit to what it should be. Called each turn.
    pub(super) fn keep_exits(&mut self, turn: Turn<'_>) {
        for n in 0..self.natives.len() {
            self.keep_exit(self.natives[n], turn);
            self.watch_late(self.natives[n], turn);
        }
    }

    fn keep_exit(&mut self, pair: usize, turn: Turn<'_>) {
        let at = pair * PARTS + STOP;
        let slot = &self.slots[at];
        let own = slot.state != SlotState::Free || slot.wish.is_some();
        // The strategy's own, or one that is doing its work.
        let works = slot.triggered && slot.state != SlotState::Free;
        if (own && !slot.exit) || self.guards[pair].triggered || works {
            return;
        }
        let wanted = self.exit_wish(pair);
        let terms = |w: &(Side, Wish)| (w.0, w.1.price, w.1.trigger, w.1.qty);
        let stands = slot.wish.map(|wish| (slot.side, wish));
        if stands.as_ref().map(terms) == wanted.as_ref().map(terms) {
            return;
        }
        match wanted {
            None => self.drop_wish(at, Origin::other(Cause::Timer), turn),
            Some((side, _)) if slot.state != SlotState::Free && slot.side != side => {
                self.drop_wish(at, Origin::other(Cause::Timer), turn);
            }
            Some((side, wish)) => {
                let settle_at = turn.now + self.config.settle;
                let slot = &mut self.slots[at];
                if slot.state == SlotState::Free {
                    // A position is seldom built by one fill.
                    slot.settle_at = settle_at;
                }
                (slot.exit, slot.side, slot.wish) = (true, side, Some(wish));
                slot.origin = Origin::other(Cause::Report);
                self.changes += 1;
                self.settle(at, turn, false);
            }
        }
    }

    /// The exit that should rest for what `pair` holds.
    fn exit_wish(&self, pair: usize) -> Option<(Side, Wish)> {
        let instrument = InstrumentId((pair / self.strategies) as u16);
        let rules = self.table.get(instrument)?;
        let (guard, position) = (&self.guards[pair], self.positions[pair]);
        let side = if position.0 > 0 { Side::Sell } else { Side::Buy };
        if position.0 == 0 || !self.is_running() || self.is_busy(pair, side) {
            return None;
        }
        let (at, style) = match self.exits_of(pair).native {
            Native::Stop => (guard.stop_price(), Style::Stop),
            Native::TakeProfit => (guard.target, Style::Target),
            Native::None => return None,
        };
        if !self.could_lie_there(pair, style) {
            return None;
        }
        let trigger = Price(at).to_tick(rules.tick, side);
        let slip = i128::from(trigger.0) * i128::from(self.config.stop_slip_bps) / 10_000;
        let slip = i64::try_from(slip).unwrap_or(i64::MAX);
        let limit = match style {
            Style::Stop => Price(trigger.0.saturating_add(side.sign().saturating_mul(slip))),
            _ => trigger,
        };
        let most = if rules.qty_max.0 > 0 { rules.qty_max.0 } else { i64::MAX };
        let cuts = i128::from(self.slots[pair * PARTS + STOP].cuts);
        let held = i128::from(position.abs().0) * (1_000 - cuts) / 1_000;
        let qty = Qty(i64::try_from(held).unwrap_or(0).min(most));
        let (price, qty) = rules::shape(rules, side, limit, qty).ok()?;
        let wish = Wish::new(price, qty, Nanos::MAX, style);
        (at > 0).then_some((side, Wish { trigger, reduce_only: true, ..wish }))
    }

    /// Something else of `pair` is on `side`, or is to be: an order of its own or a parent's child.
    fn is_busy(&self, pair: usize, side: Side) -> bool {
        let there = |at: usize| {
            let slot = &self.slots[at];
            slot.side == side && (slot.state != SlotState::Free || slot.wish.is_some())
        };
        let instrument = InstrumentId((pair / self.strategies) as u16);
        let strategy = StrategyId((pair % self.strategies) as u8);
        let mut child = self.next_child(instrument, 0);
        while let Some(at) = child {
            if self.slots[at].strategy == strategy && there(at) {
                return true;
            }
            child = self.next_child(instrument, at + 1);
        }
        there(pair * PARTS + side.index()) || there(pair * PARTS + TAKE)
    }

    /// The native exit of the pair of slot `at` stands in the way of an order on its side: it is
    /// withdrawn, and the order waits.
    pub(super) fn pull_exit(&mut self, at: usize, side: Side, turn: Turn<'_>) -> bool {
        let of = &self.slots[at];
        let Some(pair) = self.pair((of.strategy, of.instrument)) else { return false };
        let exit = pair * PARTS + STOP;
        let slot = &self.slots[exit];
        let there = slot.exit && slot.side == side && slot.state != SlotState::Free;
        if !there || exit == at {
            return false;
        }
        // A stop that was triggered is let work; it takes at once. A target may rest for long.
        if slot.wish.is_some() && (!slot.triggered || slot.style == Style::Target) {
            self.drop_wish(exit, Origin::other(Cause::Report), turn);
        }
        true
    }

    /// The stop of `pair` was crossed and its exit is at the venue: it is let work for a while,
    /// then withdrawn. True until it has ended.
    pub(super) fn exit_works(&mut self, pair: usize, turn: Turn<'_>) -> bool {
        let at = pair * PARTS + STOP;
        let slot = &self.slots[at];
        if !slot.exit || slot.state == SlotState::Free {
            return false;
        }
        let waited = turn.now.since(self.guards[pair].triggered_at);
        let stops = slot.style == Style::Stop;
        if (!stops || waited >= NATIVE_PATIENCE) && slot.wish.is_some() {
            self.drop_wish(at, Origin::other(Cause::Timer), turn);
        }
        true
    }

    /// The exit in slot `at` was refused for want of balance: the next one is a little smaller.
    pub(super) fn cut_exit(&mut self, at: usize) {
        let slot = &mut self.slots[at];
        if at < self.first_child && at % PARTS == STOP && slot.exit && slot.cuts < CUTS_MAX {
            slot.cuts += 1;
            self.counters.add(c::EXITS_CUT, 1);
        }
    }

    /// A report of what lies in a slot for stops.
    pub(super) fn stop_reported(&mut self, at: usize, report: &OrderReport, turn: Turn<'_>) {
        if report.state.is_terminal() && report.reason == DoneReason::Balance {
            self.cut_exit(at);
        }
        let part = at % PARTS == STOP;
        let triggered = report.kind == ReportKind::Triggered
            || report.kind == ReportKind::Fill
            || report.state == OrderState::PartiallyFilled;
        let slot = &mut self.slots[at];
        if !part
            || !triggered
            || !slot.style.waits()
            || std::mem::replace(&mut slot.triggered, true)
        {
            return;
        }
        self.counters.add(c::STOPS_NATIVE, 1);
        // After all: what was to wait here is done.
        if slot.late {
            slot.wish = None;
        }
        // It takes at once. Where a venue lets the rest lie, it is withdrawn.
        if slot.style == Style::Stop
            && let Some(wish) = slot.wish.as_mut()
        {
            wish.until = wish.until.min(turn.now + NATIVE_PATIENCE);
        }
        if slot.exit && slot.style == Style::Stop && !self.guards[at / PARTS].triggered {
            self.begin_closing(at / PARTS, Origin::other(Cause::Report), turn);
        }
    }

    /// Takes the target of `pair`, while the market is there, if the venue does not.
    pub(super) fn watch_target(&mut self, pair: usize, origin: Origin, turn: Turn<'_>) {
        let (guard, position) = (self.guards[pair], self.positions[pair]);
        if guard.target == 0 || position.0 == 0 || guard.triggered {
            return;
        }
        let [bid, ask] = self.touches[pair / self.strategies];
        let (near, side) = if position.0 > 0 { (bid, Side::Sell) } else { (ask, Side::Buy) };
        let reached = match side {
            Side::Sell => near >= guard.target,
            Side::Buy => near > 0 && near <= guard.target,
        };
        let (take, stop) = (pair * PARTS + TAKE, pair * PARTS + STOP);
        let native = self.slots[stop].exit
            && self.slots[stop].style == Style::Target
            && self.slots[stop].state != SlotState::Free;
        let slot = &self.slots[take];
        let busy = slot.state != SlotState::Free || slot.wish.is_some();
        if !reached || native || busy || turn.now < slot.retry_at || !self.is_open(slot.instrument)
        {
            return;
        }
        let quote = pair * PARTS + side.index();
        if self.slots[quote].state != SlotState::Free {
            return self.drop_wish(quote, origin, turn);
        }
        let Some(rules) = self.table.get(self.slots[take].instrument) else { return };
        let most = if rules.qty_max.0 > 0 { rules.qty_max.0 } else { i64::MAX };
        let held = Qty(position.abs().0.min(most));
        let Ok((price, qty)) = rules::shape(rules, side, Price(guard.target), held) else { return };
        let wish = Wish::new(price, qty, turn.now + self.config.intent_life, Style::Ioc);
        let slot = &mut self.slots[take];
        (slot.side, slot.origin) = (side, origin);
        slot.wish = Some(Wish { reduce_only: true, ..wish });
        self.changes += 1;
        self.counters.add(c::TARGETS_TAKEN, 1);
        self.settle(take, turn, true);
    }
}
