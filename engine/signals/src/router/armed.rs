//! Stops and targets that a strategy asks for itself.
//!
//! One at a time for each strategy and instrument. Where the strategy's stops are native it lies at
//! the venue; otherwise it is armed here and goes out as an IOC order at its limit when both sides
//! of the touch have passed the trigger: what the venue does with one, but only while the engine
//! runs. One that the venue refuses is armed here instead, and so is one that the venue has not
//! triggered [`NATIVE_PATIENCE`] after the market passed its trigger: a venue that reads from the
//! trigger which way the market must go reads it wrong when the market was beyond it already.

use bot4_types::{Cause, Price, Qty, Side};

use super::exits::NATIVE_PATIENCE;
use super::{Key, PARTS, Router, STOP};
use crate::actions::{Turn, Verdict};
use crate::counters as c;
use crate::rules;
use crate::slot::{Open, Origin, SlotState, Style, Wish};

impl Router {
    /// See [`crate::Actions::stop`] and [`crate::Actions::take_profit`].
    pub(crate) fn arm(
        &mut self,
        key: Key,
        side: Side,
        wish: Wish,
        origin: Origin,
        turn: Turn<'_>,
    ) -> Verdict {
        let pair = match self.unstopped(key, turn.now) {
            Ok(pair) => pair,
            Err(verdict) => return verdict,
        };
        let at = pair * PARTS + STOP;
        let slot = &self.slots[at];
        let same_side = slot.state == SlotState::Free || slot.side == side;
        if slot.state != SlotState::Free && (slot.exit || !same_side || slot.triggered) {
            return Verdict::Busy;
        }
        let Some(rules) = self.table.get(key.1) else { return Verdict::Closed };
        let trigger = wish.trigger.to_tick(rules.tick, side);
        if trigger.0 <= 0 || trigger.0 > rules::PRICE_MAX {
            return Verdict::PriceBounds;
        }
        let native = self.lies_there(pair, wish.style);
        let verdict = self.wish(at, side, Wish { trigger, native, ..wish }, origin, turn);
        if verdict == Verdict::Accepted {
            self.slots[at].exit = false;
        }
        verdict
    }

    /// See [`crate::Actions::pull_stop`].
    pub(crate) fn disarm(&mut self, key: Key, origin: Origin, turn: Turn<'_>) {
        let Some(pair) = self.pair(key) else { return };
        let at = pair * PARTS + STOP;
        if !self.slots[at].exit {
            self.drop_wish(at, origin, turn);
            self.unlink(pair, STOP, turn);
        }
    }

    /// The strategy's own stop, armed here or at the venue.
    pub(crate) fn armed(&self, key: Key) -> Option<Armed> {
        let slot = &self.slots[self.pair(key)? * PARTS + STOP];
        let there = !slot.exit && (slot.state != SlotState::Free || slot.wish.is_some());
        there.then_some(Armed {
            side: slot.side,
            trigger: slot.wish.map_or(slot.trigger, |wish| wish.trigger),
            qty: slot.wish.map_or(slot.qty, |wish| wish.qty),
            open: slot.open(),
        })
    }

    /// The wish of slot `at` waits for the market here. Turns it into what goes out when the market
    /// has come.
    pub(super) fn waits_here(&mut self, at: usize, wish: Wish, turn: Turn<'_>) -> bool {
        if !wish.style.waits() || wish.native {
            return false;
        }
        if !self.is_passed(at, wish) || !self.is_open(self.slots[at].instrument) {
            return true;
        }
        self.changes += 1;
        self.counters.add(c::STOPS_ARMED, 1);
        let expires = turn.now + self.config.intent_life;
        let slot = &mut self.slots[at];
        slot.wish = Some(Wish { style: Style::Ioc, expires, ..wish });
        slot.origin = Origin::other(Cause::Timer);
        true
    }

    /// Both sides of the touch are beyond the trigger of `wish` in slot `at`.
    fn is_passed(&self, at: usize, wish: Wish) -> bool {
        let slot = &self.slots[at];
        let [bid, ask] = self.touches[slot.instrument.index()];
        match wish.style.terms().0.fires_above(slot.side) {
            true => bid >= wish.trigger.0 && ask > 0,
            false => ask > 0 && bid > 0 && ask <= wish.trigger.0,
        }
    }

    /// A stop of the strategy's own that lies at the venue and should have been triggered long ago
    /// is withdrawn, and waits here.
    pub(super) fn watch_late(&mut self, pair: usize, turn: Turn<'_>) {
        let at = pair * PARTS + STOP;
        let slot = &self.slots[at];
        let waits = slot.state == SlotState::Live && slot.style.waits() && !slot.triggered;
        let wish = slot.wish.filter(|wish| wish.native && waits && !slot.exit && !slot.late);
        let passed = wish.filter(|wish| self.is_passed(at, *wish));
        let slot = &mut self.slots[at];
        let before = slot.passed_at;
        slot.passed_at = passed.and(before.or(Some(turn.now)));
        self.changes += usize::from(slot.passed_at != before);
        let (Some(wish), Some(passed_at)) = (passed, slot.passed_at) else { return };
        if turn.now.since(passed_at) < NATIVE_PATIENCE {
            return;
        }
        slot.late = true;
        slot.wish = Some(Wish { native: false, ..wish });
        slot.origin = Origin::other(Cause::Timer);
        self.changes += 1;
        self.settle(at, turn, false);
    }

    /// The touch of an instrument moved: what is armed in its `pair` may go out.
    pub(super) fn watch_armed(&mut self, pair: usize, origin: Origin, turn: Turn<'_>) {
        let at = pair * PARTS + STOP;
        let slot = &self.slots[at];
        let Some(wish) = slot.wish.filter(|_| slot.state == SlotState::Free && !slot.exit) else {
            return;
        };
        if wish.style.waits() && !wish.native {
            self.waits_here(at, wish, turn);
            if self.slots[at].wish.is_some_and(|w| !w.style.waits()) {
                self.slots[at].origin = origin;
                self.settle(at, turn, true);
            }
        }
    }
}

/// A stop or target of a strategy's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Armed {
    /// Which side it trades on.
    pub side: Side,
    /// Where the market triggers it.
    pub trigger: Price,
    /// Its quantity.
    pub qty: Qty,
    /// The order, where one is at the venue or on its way.
    pub open: Option<Open>,
}
