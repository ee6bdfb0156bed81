//! The guarded stop: one for each strategy and instrument, over its whole net position.
//!
//! A fill that opens or adds sets the stop at its price less the distance that its order carried
//! (`stop_ticks`); a stop only tightens while the position lives. When the market crosses the stop,
//! the router closes the position: the strategy's quotes are pulled, its
//! wishes are refused, and an IOC order for all that is held goes through the gate like any
//! other. It is repeated until nothing is held, whatever the strategy does or does not do. Then
//! the strategy pauses in this instrument.
//!
//! The market has crossed when both sides of the touch have, or when the side that would take the
//! position has for `stop_confirm`: a side that was swept shows a far price for some milliseconds.
//!
//! A position that the venue would not take back, because it is below a minimum, cannot be closed:
//! its stop rests until a fill or the price makes it large enough. Nothing is sent while the engine
//! may not place orders (kill, drain, pause) or the book is not live: the touch is not known then.
//!
//! Cost: two comparisons a strategy and top. No allocation.

use bot4_types::{
    Cause, DoneReason, InstrumentId, Nanos, OrderReport, Price, Qty, RefuseReason, ReportKind,
    Side, StrategyId,
};

use super::{Bracket, Key, PARTS, Router, STOP, TAKE};
use crate::actions::{Turn, Verdict};
use crate::counters as c;
use crate::rules;
use crate::slot::{Origin, SlotState, Style, Wish};

/// A closing order is halved this often at most, when it is refused for its size.
pub(super) const HALVINGS_MAX: u32 = 20;

/// The stop of a strategy in an instrument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Guard {
    /// Price units; zero while there is none.
    stop: i64,
    /// Where the position is taken with a profit, price units; zero while there is none.
    pub target: i64,
    /// When the stop was crossed.
    pub triggered_at: Nanos,
    /// It was crossed: the position is being closed.
    pub triggered: bool,
    /// The side that would take the position is beyond the stop since then.
    crossed_at: Option<Nanos>,
    /// Is in the router's list of positions to look at each turn.
    listed: bool,
    /// What is held is below a minimum of the venue.
    dust: bool,
    /// The closing order is this often halved: it was refused for its size.
    pub halved: u32,
    /// The position is being closed because trading is stopped.
    pub flattening: bool,
    /// The strategy pauses here until then.
    paused_until: Nanos,
}

impl Guard {
    /// Zero while there is none.
    pub const fn stop_price(&self) -> i64 {
        self.stop
    }

    /// Wishes of the strategy are refused.
    pub fn stops(&self, now: Nanos) -> bool {
        self.triggered || now < self.paused_until
    }
}

impl Router {
    /// The stop price that covers the net position of `key`, while there is one.
    #[must_use]
    pub fn stop(&self, key: Key) -> Option<Price> {
        let guard = self.guards.get(self.pair(key)?)?;
        (guard.stop > 0).then_some(Price(guard.stop))
    }

    /// The touch of `instrument` is `bid` and `ask`, zero where it may not be traded on.
    pub(crate) fn touch(
        &mut self,
        instrument: InstrumentId,
        touch: [i64; 2],
        origin: Origin,
        turn: Turn<'_>,
    ) {
        let Some(held) = self.touches.get_mut(instrument.index()) else { return };
        *held = touch;
        let first = instrument.index() * self.strategies;
        for pair in first..first + self.strategies {
            self.watch(pair, origin, turn);
            self.watch_target(pair, origin, turn);
            self.watch_armed(pair, origin, turn);
        }
    }

    /// The position of `pair` was `before` and is what the table says, by `report` of an order
    /// that carried a stop at a distance of so many ticks (zero: not known), and perhaps exits of
    /// its own.
    pub(super) fn position_moved(
        &mut self,
        pair: usize,
        before: Qty,
        report: &OrderReport,
        carried: (i32, Option<Bracket>),
        turn: Turn<'_>,
    ) {
        let now = self.positions[pair];
        if now == before {
            return;
        }
        if now.0 == 0 {
            return self.flat(pair, turn);
        }
        let price = if report.last_price.0 > 0 { report.last_price } else { report.price };
        let turned = now.0.signum() != before.0.signum();
        if turned {
            self.flat(pair, turn);
            self.guards[pair].paused_until = Nanos::ZERO;
        }
        let fresh = turned || self.guards[pair].stop == 0;
        self.guards[pair].dust = false;
        self.slots[pair * PARTS + STOP].cuts = 0;
        if fresh || now.abs() > before.abs() {
            self.protect(pair, price, carried, fresh);
        }
        self.watch(pair, Origin::other(Cause::Report), turn);
    }

    /// Sets stop and target of `pair` for an entry at `price`, or brings them nearer. Without a
    /// distance of its own (zero ticks) the configured one counts.
    pub(super) fn protect(
        &mut self,
        pair: usize,
        price: Price,
        (ticks, bracket): (i32, Option<Bracket>),
        fresh: bool,
    ) {
        let instrument = InstrumentId((pair / self.strategies) as u16);
        let Some(rules) = self.table.get(instrument) else { return };
        let strategy = StrategyId((pair % self.strategies) as u8);
        let usual = rules::stop_ticks(rules, price, self.stop_bps(strategy));
        let ticks = if ticks > 0 { ticks } else { usual };
        let distance = i64::from(ticks).saturating_mul(rules.tick.max(1));
        let bps = self.exits_of(pair).take_profit_bps;
        let profit = i64::from(rules::stop_ticks(rules, price, bps)).saturating_mul(rules.tick);
        let long = if self.positions[pair].0 > 0 { 1 } else { -1 };
        let away = |distance: i64| price.0.saturating_add(distance.saturating_mul(long)).max(1);
        let usual =
            Bracket { stop: away(-distance), target: if bps > 0 { away(profit) } else { 0 } };
        let wanted = bracket.unwrap_or(usual);
        let guard = &mut self.guards[pair];
        let nearer = |old: i64, new: i64, way: i64| match (fresh || old == 0, new) {
            (_, 0) => old,
            (true, new) => new,
            (false, new) if way > 0 => old.max(new),
            (false, new) => old.min(new),
        };
        guard.stop = nearer(guard.stop, wanted.stop, long);
        guard.target = nearer(if fresh { 0 } else { guard.target }, wanted.target, -long);
    }

    /// Nothing is held any more: the stop is done.
    fn flat(&mut self, pair: usize, turn: Turn<'_>) {
        let pause = self.config.stop_pause;
        let guard = &mut self.guards[pair];
        let paused_until = if guard.triggered { turn.now + pause } else { guard.paused_until };
        *guard = Guard { paused_until, listed: guard.listed, ..Guard::default() };
    }

    /// Begins to close the position of `pair` when the touch has crossed its stop.
    fn watch(&mut self, pair: usize, origin: Origin, turn: Turn<'_>) {
        let (guard, position) = (self.guards[pair], self.positions[pair]);
        if guard.triggered || guard.stop == 0 || position.0 == 0 {
            return;
        }
        let [bid, ask] = self.touches[pair / self.strategies];
        let beyond = |price: i64| match position.0 > 0 {
            true => price > 0 && price <= guard.stop,
            false => price > 0 && price >= guard.stop,
        };
        let (near, far) = if position.0 > 0 { (bid, ask) } else { (ask, bid) };
        if !beyond(near) {
            self.changes += usize::from(guard.crossed_at.is_some());
            self.guards[pair].crossed_at = None;
            return;
        }
        let since = guard.crossed_at.unwrap_or(turn.now);
        if guard.crossed_at.is_none() {
            self.changes += 1;
            self.guards[pair].crossed_at = Some(since);
            self.list(pair);
        }
        let lasts = turn.now.since(since) >= self.config.stop_confirm;
        if (beyond(far) || lasts) && (!guard.dust || self.closing_order(pair).is_ok()) {
            self.trigger(pair, origin, turn);
        }
    }

    fn trigger(&mut self, pair: usize, origin: Origin, turn: Turn<'_>) {
        self.begin_closing(pair, origin, turn);
        self.close_position(pair, origin, turn);
    }

    /// The stop of `pair` was crossed, here or at the venue: nothing else is wanted any more.
    pub(super) fn begin_closing(&mut self, pair: usize, origin: Origin, turn: Turn<'_>) {
        let guard = &mut self.guards[pair];
        (guard.triggered, guard.dust, guard.triggered_at) = (true, false, turn.now);
        self.changes += 1;
        self.counters.add(c::STOPS_TRIGGERED, 1);
        self.list(pair);
        for at in pair * PARTS..(pair + 1) * PARTS {
            // An exit at the venue is let work; one that never left is not sent any more.
            let slot = &self.slots[at];
            if !slot.exit || slot.state == SlotState::Free {
                self.drop_wish(at, origin, turn);
            }
        }
        let instrument = InstrumentId((pair / self.strategies) as u16);
        let strategy = StrategyId((pair % self.strategies) as u8);
        self.stop_parents((strategy, instrument), origin, turn);
    }

    fn list(&mut self, pair: usize) {
        if !std::mem::replace(&mut self.guards[pair].listed, true) {
            self.closing.push(pair);
        }
    }

    /// Goes on with what was crossed. Called each turn.
    pub(super) fn close_on(&mut self, turn: Turn<'_>) {
        let mut at = 0;
        while let Some(pair) = self.closing.get(at).copied() {
            let origin = Origin::other(Cause::Timer);
            if self.guards[pair].triggered {
                self.close_position(pair, origin, turn);
            } else {
                self.watch(pair, origin, turn);
            }
            let guard = &mut self.guards[pair];
            if guard.triggered || guard.crossed_at.is_some() {
                at += 1;
            } else {
                guard.listed = false;
                self.closing.swap_remove(at);
                self.changes += 1;
            }
        }
    }

    /// Asks for an order that closes all of `pair`, unless one is on its way or must wait.
    fn close_position(&mut self, pair: usize, origin: Origin, turn: Turn<'_>) {
        let at = pair * PARTS + TAKE;
        let slot = &self.slots[at];
        let busy = slot.state != SlotState::Free || slot.wish.is_some();
        if busy || turn.now < slot.retry_at || !self.is_open(slot.instrument) {
            return;
        }
        if self.exit_works(pair, turn) {
            return;
        }
        match self.closing_order(pair) {
            Ok((side, price, qty)) => {
                let expires = turn.now + self.config.intent_life;
                let slot = &mut self.slots[at];
                slot.side = side;
                slot.wish = Some(Wish::new(price, qty, expires, Style::Ioc));
                slot.origin = origin;
                self.changes += 1;
                self.settle(at, turn, true);
            }
            Err(verdict) => self.cannot_close(pair, verdict, turn),
        }
    }

    /// Side, price and quantity of the order that closes `pair`, or why there is none.
    fn closing_order(&self, pair: usize) -> Result<(Side, Price, Qty), Verdict> {
        let instrument = InstrumentId((pair / self.strategies) as u16);
        let rules = self.table.get(instrument).ok_or(Verdict::Closed)?;
        let position = self.positions[pair];
        let side = if position.0 > 0 { Side::Sell } else { Side::Buy };
        let price = self.closing_price(instrument, side, self.config.stop_slip_bps);
        let largest = if rules.qty_max.0 > 0 { rules.qty_max.0 } else { i64::MAX };
        let qty = (position.abs().0 >> self.guards[pair].halved.min(62)).min(largest);
        rules::shape(rules, side, price, Qty(qty)).map(|(price, qty)| (side, price, qty))
    }

    /// The price at which a position is given up: through the touch by so much.
    pub(super) fn closing_price(&self, instrument: InstrumentId, side: Side, bps: u32) -> Price {
        let [bid, ask] = self.touches[instrument.index()];
        let touch = if side == Side::Sell { bid } else { ask };
        let share = i128::from(touch) * i128::from(bps) / 10_000;
        let slip = i64::try_from(share).unwrap_or(i64::MAX);
        Price(touch.saturating_add(side.sign().saturating_mul(slip)))
    }

    /// No order of this size and price can be: smaller, later or not at all.
    fn cannot_close(&mut self, pair: usize, verdict: Verdict, turn: Turn<'_>) {
        self.changes += 1;
        let later = turn.now + self.config.cancel_again;
        let guard = &mut self.guards[pair];
        match verdict {
            Verdict::SizeMax | Verdict::NotionalMax if guard.halved < HALVINGS_MAX => {
                guard.halved += 1;
            }
            // What was halved too often begins anew; what is whole and too small is dust.
            _ if guard.halved > 0 => {
                guard.halved = 0;
                self.slots[pair * PARTS + TAKE].retry_at = later;
            }
            Verdict::SizeMin | Verdict::NotionalMin => {
                (guard.triggered, guard.dust) = (false, true);
                self.counters.add(c::STOPS_DUST, 1);
            }
            _ => self.slots[pair * PARTS + TAKE].retry_at = later,
        }
    }

    /// A closing order of `pair` was refused by the gate.
    pub(super) fn closing_refused(&mut self, at: usize, reason: RefuseReason) {
        use RefuseReason as R;
        let too_large = matches!(
            reason,
            R::Balance | R::SizeMax | R::NotionalMax | R::FatSize | R::FatNotional | R::Position
        );
        if too_large {
            self.halve(at);
        }
    }

    /// A closing order was reported on: what the venue refused for its size is halved, what it
    /// filled makes room for more.
    pub(super) fn closing_reported(&mut self, at: usize, report: &OrderReport) {
        let sized = matches!(report.reason, DoneReason::Balance | DoneReason::Filter);
        if report.state.is_terminal() && report.cum_qty.0 == 0 && sized {
            self.halve(at);
        } else if report.kind == ReportKind::Fill
            && let Some(pair) = self.pair_of_slot(at)
        {
            let guard = &mut self.guards[pair];
            guard.halved = guard.halved.saturating_sub(1);
        }
    }

    fn halve(&mut self, at: usize) {
        let Some(pair) = self.pair_of_slot(at) else { return };
        let guard = &mut self.guards[pair];
        if at % PARTS == TAKE && (guard.triggered || guard.flattening) {
            guard.halved = (guard.halved + 1).min(HALVINGS_MAX);
        }
    }
}
