//! What reports do to the slots.
//!
//! Reports of an order arrive in order and after the ledger booked them, so the slot follows the
//! ledger. A report of an order that no slot holds is the last word of an ended order: counted,
//! and its position still counts.

use bot4_types::{
    AccountReport, Cause, InstrumentNews, Nanos, OrderAction, OrderId, OrderReport, OrderState,
    RefuseReason, ReportKind,
};

use super::routed::told_in;
use super::{DOUBLINGS_MAX, Key, PARTS, Router, standing};
use crate::actions::Turn;
use crate::counters as c;
use crate::slot::{OrderSlot, Origin, SlotState};

impl Router {
    /// Books `report`; the strategy and instrument it is about, if they are ours.
    pub(crate) fn account(&mut self, report: &AccountReport, turn: Turn<'_>) -> Option<Key> {
        self.counters.add(c::REPORTS, 1);
        match report {
            AccountReport::Session { venue, ready } => {
                if let Some(session) = self.sessions.get_mut(venue.index()) {
                    *session = *ready;
                }
                None
            }
            // The agent keeps it for the strategies.
            AccountReport::Headroom(_) => None,
            AccountReport::Order { report, position } => {
                let key = (report.strategy, report.instrument);
                let pair = self.pair(key)?;
                let before = std::mem::replace(&mut self.positions[pair], *position);
                self.counters.add(c::FILLS, u64::from(report.kind == ReportKind::Fill));
                let slot = self.slot_of(key, report.order);
                let carried = slot
                    .map_or((0, None), |at| (self.slots[at].stop_ticks, self.slots[at].bracket));
                match slot {
                    Some(at) => self.reported(at, report, turn),
                    None => {
                        self.counters.add(c::REPORTS_LATE, 1);
                        let Self { parents, table, .. } = self;
                        parents.late(report, |units| told_in(table, report, units));
                    }
                }
                self.position_moved(pair, before, report, carried, turn);
                Some(key)
            }
            AccountReport::Refused { order, action, instrument, strategy, reason } => {
                self.counters.add(c::REFUSED, 1);
                let key = (*strategy, *instrument);
                self.pair(key)?;
                match self.slot_of(key, *order) {
                    Some(at) => self.refused(at, *action, *reason, turn),
                    None => self.counters.add(c::REPORTS_LATE, 1),
                }
                Some(key)
            }
            AccountReport::Instrument(news) => {
                self.instrument(news, turn);
                None
            }
            AccountReport::Parent(command) => {
                self.parent_command(command, turn);
                None
            }
            AccountReport::Work(work) => {
                self.work(work, turn);
                None
            }
        }
    }

    /// An instrument has other rules, or is closed or open. What rests in a closed one goes.
    fn instrument(&mut self, news: &InstrumentNews, turn: Turn<'_>) {
        let instrument = news.rules.instrument;
        self.table.bind(&news.rules);
        let Some(open) = self.open.get_mut(instrument.index()) else { return };
        *open = news.open;
        if !news.open {
            self.counters.add(c::CLOSED, 1);
            self.drop_wishes(instrument, PARTS, Origin::other(Cause::Operator), turn);
        }
    }

    fn slot_of(&self, key: Key, order: OrderId) -> Option<usize> {
        let pair = self.pair(key)?;
        let holds = |s: &OrderSlot| s.state != SlotState::Free && s.order == order;
        let own = (pair * PARTS..(pair + 1) * PARTS).find(|at| holds(&self.slots[*at]));
        own.or_else(|| self.child_with(key, order))
    }

    /// What `report` of the order of slot `at` tells of its venue.
    fn note_standing(&mut self, at: usize, report: &OrderReport, now: Nanos) {
        let since = self.slots[at].since;
        let Some(venue) = self.table.get(report.instrument).map(|i| i.venue) else { return };
        match (report.kind, report.state) {
            (ReportKind::Acked, _) => self.standing.acked(venue, report.at.since(since).0),
            (_, OrderState::Rejected | OrderState::NotSent) => {
                let blame = standing::by_venue(report.reason);
                self.standing.refused((venue, report.instrument), blame, now);
            }
            _ => {}
        }
    }

    fn reported(&mut self, at: usize, report: &OrderReport, turn: Turn<'_>) {
        self.closing_reported(at, report);
        self.note_standing(at, report, turn.now);
        self.child_reported(at, report);
        if at < self.first_child {
            self.stop_reported(at, report, turn);
            self.link_reported(at, report, turn);
            self.command_reported(at, report);
        }
        let slot = &mut self.slots[at];
        slot.filled = slot.filled.max(report.cum_qty);
        if report.state.is_terminal() {
            self.ended(at, report.state, turn);
            return self.settle(at, turn, false);
        }
        match report.kind {
            ReportKind::Sent | ReportKind::Done | ReportKind::Contradicted => {}
            // A fill of an order of unknown fate does not say that it still rests.
            ReportKind::Fill if report.state == OrderState::Unknown => {}
            ReportKind::Acked | ReportKind::Fill | ReportKind::Found => {
                if matches!(slot.state, SlotState::Pending | SlotState::Unknown) {
                    slot.state = SlotState::Live;
                    slot.failures = 0;
                    slot.retry_at = Nanos::ZERO;
                }
            }
            ReportKind::AmendSent | ReportKind::Triggered => {}
            ReportKind::Amended | ReportKind::AmendRejected => self.amend_over(at, report, turn),
            ReportKind::CancelSent => {
                if matches!(slot.state, SlotState::Live | SlotState::Amending) {
                    slot.state = SlotState::Cancelling;
                    slot.retry_at = turn.now + self.config.cancel_again;
                }
            }
            ReportKind::CancelRejected => self.cancel_failed(at, turn),
            ReportKind::Lost => {
                slot.state = SlotState::Unknown;
                slot.retry_at = turn.now;
            }
        }
        self.settle(at, turn, false);
    }

    fn refused(&mut self, at: usize, action: OrderAction, reason: RefuseReason, turn: Turn<'_>) {
        match (action, reason) {
            (OrderAction::Place, _) => {
                let instrument = self.slots[at].instrument;
                if let Some(venue) = self.table.get(instrument).map(|i| i.venue) {
                    let blame = standing::by_gate(reason);
                    self.standing.refused((venue, instrument), blame, turn.now);
                }
                self.closing_refused(at, reason);
                if reason == RefuseReason::Balance {
                    self.cut_exit(at);
                }
                self.child_refused(at, reason);
                self.command_refused(at, reason);
                self.ended(at, OrderState::NotSent, turn);
            }
            // The ledger is the authority on what is open; its report came before this, or never.
            (OrderAction::Cancel, RefuseReason::NotOpen) => {
                self.ended(at, OrderState::Canceled, turn);
            }
            (OrderAction::Cancel, _) => self.cancel_failed(at, turn),
            (OrderAction::Amend, RefuseReason::NotOpen) => {
                self.ended(at, OrderState::Canceled, turn);
            }
            (OrderAction::Amend, _) => self.amend_failed(at),
        }
        self.settle(at, turn, false);
    }

    /// The order lives on; the cancel may be tried again after a pause.
    fn cancel_failed(&mut self, at: usize, turn: Turn<'_>) {
        let slot = &mut self.slots[at];
        if slot.state == SlotState::Cancelling {
            slot.state = SlotState::Live;
        }
        slot.retry_at = turn.now + self.config.backoff;
    }

    /// The slot is free again. A wish outlives its order only when it is there to replace it.
    fn ended(&mut self, at: usize, state: OrderState, turn: Turn<'_>) {
        self.child_ended(at);
        let slot = &mut self.slots[at];
        slot.amend = None;
        let cancelled = slot.state == SlotState::Cancelling && state == OrderState::Canceled;
        let refused = matches!(state, OrderState::Rejected | OrderState::NotSent);
        let waited = slot.style.waits() && !slot.triggered && !slot.exit;
        slot.state = SlotState::Free;
        slot.retry_at = Nanos::ZERO;
        if let Some(wish) = slot.wish.as_mut().filter(|_| refused && waited) {
            // The venue does not take it: it waits here.
            wish.native = false;
            self.counters.add(c::REJECTED, 1);
            return;
        }
        if cancelled && slot.wish.is_some() {
            let settle = if slot.late { Nanos::ZERO } else { self.config.settle };
            slot.settle_at = turn.now + settle;
            slot.origin = Origin::other(Cause::Report);
            self.counters.add(c::REPLACED, 1);
            return;
        }
        slot.wish = None;
        if matches!(state, OrderState::Rejected | OrderState::NotSent) {
            self.counters.add(c::REJECTED, 1);
            let pause = self.config.backoff.0 << slot.failures.min(DOUBLINGS_MAX);
            slot.failures = slot.failures.saturating_add(1);
            slot.retry_at = turn.now + Nanos(pause);
        }
    }
}
