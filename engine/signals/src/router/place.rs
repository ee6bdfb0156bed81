//! From a wish to an intent: what is in its way, and the order or cancel itself.

use bot4_types::{Cause, Nanos, OrderAction, OrderId, OrderIntent, Price, Qty, Stage, Tif, Trail};

use super::{Bracket, PARTS, Router};
use crate::actions::Turn;
use crate::counters as c;
use crate::rules;
use crate::slot::{OrderSlot, Origin, SlotState, Wish};

impl Router {
    pub(super) fn try_place(&mut self, at: usize, turn: Turn<'_>, fresh: bool) {
        let slot = self.slots[at];
        let Some(wish) = slot.wish else { return };
        if turn.now >= wish.expires.min(wish.until) {
            self.slots[at].wish = None;
            self.changes += 1;
            self.counters.add(c::WISHES_EXPIRED, 1);
            return;
        }
        if self.waits_here(at, wish, turn) && self.slots[at].wish.is_none_or(|w| w.style.waits()) {
            return;
        }
        let Some(wish) = self.slots[at].wish else { return };
        let settling = !fresh && turn.now < slot.settle_at;
        let open = self.is_open(slot.instrument) || self.closes_at_a_stop(&slot);
        if settling || turn.now < slot.retry_at || !open {
            return self.delayed(at, Cause::Timer);
        }
        let met = !wish.style.waits() && self.clear_the_way(at, wish.meets_at(slot.side), turn);
        if met | self.pull_exit(at, slot.side, turn) {
            self.counters.add(c::BLOCKED_SELF, u64::from(fresh));
            return self.delayed(at, Cause::Report);
        }
        if self.intents.room() == 0 {
            return self.counters.add(c::BLOCKED_NO_ROOM, 1);
        }
        self.place(at, wish, turn);
    }

    /// The wait was not for room: what is sent later is no answer to the market message.
    pub(super) fn delayed(&mut self, at: usize, cause: Cause) {
        let origin = &mut self.slots[at].origin;
        if origin.cause == Cause::Market {
            *origin = Origin::other(cause);
            self.changes += 1;
        }
    }

    /// Whether an own order stands in the way of an order of slot `at` at `price`. A take pulls
    /// quotes out of its way; a quote waits for what is there.
    pub(super) fn clear_the_way(&mut self, at: usize, price: Price, turn: Turn<'_>) -> bool {
        let run = self.strategies * PARTS;
        let first = self.slots[at].instrument.index() * run;
        let mut blocked = self.children_in_the_way(at, price, turn);
        for other in first..first + run {
            blocked |= self.is_in_the_way(at, other, price, turn);
        }
        blocked
    }

    fn place(&mut self, at: usize, wish: Wish, turn: Turn<'_>) {
        let Some(qty) = self.allotted(at, wish) else {
            return self.forget_wish(at); // of a child for which nothing is left
        };
        let wish = Wish { qty, ..wish };
        let order = OrderId(self.next_order);
        let slot = &mut self.slots[at];
        (slot.style, slot.reduce_only, slot.until) = (wish.style, wish.reduce_only, wish.until);
        slot.trigger = if wish.style.waits() { wish.trigger } else { Price(0) };
        (slot.triggered, slot.bracket) = (false, wish.bracket);
        (slot.passed_at, slot.late) = (None, false);
        slot.gives_back = wish.gives_back;
        let slot = self.slots[at];
        let Some(rules) = self.table.get(slot.instrument) else { return };
        let usual = rules::stop_ticks(rules, wish.price, self.stop_bps(slot.strategy));
        let distance = |bracket: Bracket| (wish.price.0 - bracket.stop).abs() / rules.tick.max(1);
        let own = wish.bracket.map(|bracket| i32::try_from(distance(bracket)).unwrap_or(i32::MAX));
        let intent = OrderIntent {
            stop_ticks: own.unwrap_or(usual).max(1),
            expires: turn.now + self.config.intent_life,
            ..intent_of(&slot, OrderAction::Place, order, wish.price, wish.qty, turn)
        };
        if self.intents.push(intent).is_err() {
            return; // Room was asked for; the wish still stands if it vanished.
        }
        self.next_order += 1;
        self.child_placed(at, order, wish.qty);
        self.counters.add(c::PLACES, 1);
        self.counters.add(if wish.style.takes() { c::TAKES } else { c::QUOTES }, 1);
        let slot = &mut self.slots[at];
        slot.state = SlotState::Pending;
        slot.stop_ticks = intent.stop_ticks;
        slot.order = order;
        slot.price = wish.meets_at(slot.side);
        slot.qty = wish.qty;
        slot.filled = Qty(0);
        slot.no_amend = false;
        slot.since = turn.now;
        slot.settle_at = Nanos::ZERO;
        if wish.style.takes() {
            slot.wish = None;
        }
    }

    /// Cancels what rests in slot `at` if it is not what is wanted.
    pub(super) fn try_cancel(&mut self, at: usize, turn: Turn<'_>) {
        let slot = self.slots[at];
        if !slot.differs() || turn.now < slot.retry_at {
            return;
        }
        if self.intents.room() == 0 {
            return self.counters.add(c::BLOCKED_NO_ROOM, 1);
        }
        let again = turn.now + self.config.cancel_again;
        let left = Qty((slot.qty.0 - slot.filled.0).max(0));
        let intent = OrderIntent {
            expires: again,
            ..intent_of(&slot, OrderAction::Cancel, slot.order, slot.price, left, turn)
        };
        if self.intents.push(intent).is_err() {
            return;
        }
        self.counters.add(c::CANCELS, 1);
        let slot = &mut self.slots[at];
        if matches!(slot.state, SlotState::Live | SlotState::Amending) {
            slot.state = SlotState::Cancelling;
        }
        slot.retry_at = again;
        slot.origin = Origin::other(Cause::Report);
    }
}

/// The parts that all intents of a slot share. The trail is marked here, at the push.
pub(super) fn intent_of(
    slot: &OrderSlot,
    action: OrderAction,
    order: OrderId,
    price: Price,
    qty: Qty,
    turn: Turn<'_>,
) -> OrderIntent {
    let origin = slot.origin;
    let market = origin.cause == Cause::Market;
    let mut trail = if market { origin.trail } else { Trail::start(turn.now) };
    trail.mark(Stage::Signal, turn.probe.stamp());
    let (kind, tif) = slot.style.terms();
    let tif = if slot.until < Nanos::MAX { Tif::Gtd } else { tif };
    OrderIntent {
        trail,
        order,
        price,
        qty,
        stop_ticks: 0,
        instrument: slot.instrument,
        strategy: slot.strategy,
        cause: origin.cause,
        expires: turn.now,
        action,
        kind,
        tif,
        trigger: slot.trigger,
        until: slot.until,
        reduce_only: slot.reduce_only,
        side: slot.side,
        parent: slot.parent,
    }
}
