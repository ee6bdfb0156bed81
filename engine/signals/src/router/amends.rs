//! Amends of what rests, and the end of wishes with a date.

use bot4_types::{Cause, OrderAction, OrderIntent, OrderReport, ReportKind};

use super::Router;
use super::place::intent_of;
use crate::actions::Turn;
use crate::counters as c;
use crate::rules;
use crate::slot::{OrderSlot, Origin, SlotState, Wish};

impl Router {
    /// The wish of slot `at` has come to its date: it is withdrawn.
    pub(super) fn is_over(&mut self, at: usize, turn: Turn<'_>) -> bool {
        let slot = &mut self.slots[at];
        let over = slot.wish.is_some_and(|wish| turn.now >= wish.until);
        if over {
            slot.wish = None;
            slot.origin = Origin::other(Cause::Timer);
            self.changes += 1;
            self.counters.add(c::WISHES_EXPIRED, 1);
        }
        over
    }

    /// The instrument lets what rests in slot `at` become `wish` without a cancel.
    pub(super) fn takes_amend(&self, at: usize, wish: Wish) -> bool {
        let slot = &self.slots[at];
        let trims = wish.price == slot.price && wish.qty < slot.qty;
        let rules = self.table.get(slot.instrument);
        rules.is_some_and(|rules| if trims { rules.amends } else { rules.replaces })
    }

    /// Asks for the terms of `wish` for what rests in slot `at`.
    pub(super) fn try_amend(&mut self, at: usize, wish: Wish, turn: Turn<'_>) {
        let slot = self.slots[at];
        if !self.may_amend(at, wish.qty) {
            self.forget_wish(at);
            return self.try_cancel(at, turn);
        }
        let waits = turn.now < slot.retry_at || !self.is_open(slot.instrument);
        if waits || self.clear_the_way(at, wish.price, turn) {
            return self.try_cancel(at, turn);
        }
        if self.intents.room() == 0 {
            return self.counters.add(c::BLOCKED_NO_ROOM, 1);
        }
        let Some(rules) = self.table.get(slot.instrument) else { return };
        let slot = OrderSlot { until: wish.until, ..slot };
        let intent = OrderIntent {
            stop_ticks: rules::stop_ticks(rules, wish.price, self.stop_bps(slot.strategy)),
            expires: turn.now + self.config.intent_life,
            ..intent_of(&slot, OrderAction::Amend, slot.order, wish.price, wish.qty, turn)
        };
        if self.intents.push(intent).is_err() {
            return;
        }
        self.counters.add(c::AMENDS, 1);
        self.child_amending(at, wish.qty);
        let slot = &mut self.slots[at];
        slot.state = SlotState::Amending;
        slot.until = wish.until;
        slot.amend = Some((wish.price, wish.qty));
        slot.origin = Origin::other(Cause::Report);
    }

    /// The venue told the terms that hold, or that nothing changed.
    pub(super) fn amend_over(&mut self, at: usize, report: &OrderReport, turn: Turn<'_>) {
        if report.kind == ReportKind::AmendRejected {
            return self.amend_failed(at);
        }
        self.counters.add(c::AMENDED, 1);
        self.child_amended(at, Some(report.qty));
        let slot = &mut self.slots[at];
        if report.price != slot.price || report.qty > slot.qty {
            // Every venue puts such an order behind those that are there.
            slot.since = turn.now;
        }
        (slot.price, slot.qty, slot.amend) = (report.price, report.qty, None);
        if slot.state == SlotState::Amending {
            slot.state = SlotState::Live;
        }
    }

    /// The order lives on as it was; another way leads to what is wished.
    pub(super) fn amend_failed(&mut self, at: usize) {
        self.child_amended(at, None);
        let slot = &mut self.slots[at];
        (slot.amend, slot.no_amend) = (None, true);
        if slot.state == SlotState::Amending {
            slot.state = SlotState::Live;
        }
    }
}
