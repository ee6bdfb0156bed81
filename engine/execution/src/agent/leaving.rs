//! What leaves: orders, whose approval must be journaled, and cancels. Those of a turn are written
//! one after the other and handed to the kernel together: one TLS record, one system call.

use bot4_lanes::{Phase, Probe};
use bot4_types::log::{Body, LogEntry, LogKind};
use bot4_types::{
    ApprovedOrder, Cause, ClientId, DoneReason, Nanos, OrderAction, OrderId, OrderIntent,
    SentRecord, Stage, Trail,
};
use bot4_venues::place::Place;

use super::{
    BATCH, CANCELS_PUT_OFF, CANCELS_SENT, ExecutionAgent, NOT_SENT, ORDER_RECORDS, ORDERS_SENT,
};
use crate::desk_input::DeskInput;
use crate::gateway::{Act, Named};
use crate::link::SessionState;
use crate::requests::Purpose;

/// Something written that waits for the system call.
#[derive(Clone, Copy)]
pub(super) enum Departing {
    /// An order.
    Order(Leaving),
    /// A cancel of this order.
    Cancel(OrderId),
}

/// An order that waits for it, and what is noted of it then.
#[derive(Clone, Copy)]
pub(super) struct Leaving {
    order: OrderId,
    client: ClientId,
    trail: Trail,
    cause: Cause,
    /// Stamps around the encoding.
    begun: Nanos,
    encoded: Nanos,
    /// See [`ExecutionAgent::deadline_ms`].
    deadline_ms: i64,
}

impl ExecutionAgent {
    /// Sends waiting orders whose approval is in the journal.
    pub(super) fn send_waiting(&mut self, now: Nanos, probe: &Probe) -> usize {
        let mut done = 0;
        let journaled = self.ports.journaled.get(self.ports.risk_lane);
        while done < BATCH && self.desk.outbox().len() + self.departing.len() < BATCH {
            let Some(approved) = self.waiting.front().copied() else { break };
            let intent = *approved.intent();
            let reason = self.reason_not_to_send(&intent, now);
            // No record, no trade: neither of the approval nor of the send.
            let records = ORDER_RECORDS * (1 + self.departing.len());
            let recorded = approved.record() <= journaled && self.ports.log.room() >= records;
            // Until it expires, one waits for a connection as it waits for the journal.
            let carried = self.link.has_line(&Purpose::Place(intent.order));
            if reason.is_none() && !(recorded && carried) {
                break;
            }
            self.waiting.pop_front();
            done += 1;
            match (intent.action, reason) {
                (OrderAction::Amend, Some(reason)) => self.amend_not_sent(&intent, now, reason),
                (OrderAction::Amend, None) => {
                    // What it amends may be one of those that are about to leave.
                    self.depart(now, probe);
                    self.amend(&intent, now, probe);
                }
                (_, Some(reason)) => {
                    self.counters.add(NOT_SENT, 1);
                    self.not_sent(intent.order, now, reason);
                }
                (_, None) => self.place(&intent, now, probe),
            }
        }
        self.depart(now, probe);
        done
    }

    /// The kill word is read here a second time, right before encoding.
    fn reason_not_to_send(&mut self, intent: &OrderIntent, now: Nanos) -> Option<DoneReason> {
        match self.ports.control.phase() {
            Phase::Run => {}
            // Risk lets nothing of the operator pass then that does not reduce; a child of a parent
            // that was approved before may increase.
            Phase::Flatten
                if intent.cause == Cause::Operator
                    && intent.parent == bot4_types::ParentId::NONE => {}
            _ => return Some(DoneReason::Killed),
        }
        if now >= intent.expires {
            return Some(DoneReason::Expired);
        }
        // A pause that the venue asks for is one of new orders.
        let ready = match intent.action {
            OrderAction::Amend => self.link.is_ready(),
            _ => self.takes_orders(now),
        };
        (!ready).then_some(DoneReason::NoSession)
    }

    fn place(&mut self, intent: &OrderIntent, now: Nanos, probe: &Probe) {
        let now_ms = self.wall.unix_ms(now);
        let Some(instrument) = self.table.get(intent.instrument).copied() else {
            return self.not_sent(intent.order, now, DoneReason::Other);
        };
        let Some(client) = self.desk.order(intent.order).map(|o| o.client) else { return };
        if !self.gateway.takes(intent.kind) {
            self.counters.add(NOT_SENT, 1);
            return self.not_sent(intent.order, now, DoneReason::Unsupported);
        }
        let allowed = self.budget.try_take(now_ms, self.gateway.cost_place())
            && self.gateway.permits(&Act::Place(&instrument), now_ms);
        if !allowed {
            self.counters.add(NOT_SENT, 1);
            return self.not_sent(intent.order, now, DoneReason::NoBudget);
        }
        let begun = probe.stamp();
        self.link.out.clear();
        let id = self.link.requests.next_id();
        let placed = Place::of(id, &instrument, client, intent, now_ms);
        self.gateway.place(&placed, &mut self.link.out);
        let encoded = probe.stamp();
        if !self.link.queue(Purpose::Place(intent.order), now) {
            self.gateway.not_placed(&client);
            self.counters.add(NOT_SENT, 1);
            return self.not_sent(intent.order, now, DoneReason::NoSession);
        }
        let OrderIntent { order, trail, cause, .. } = *intent;
        let deadline_ms = self.deadline_ms(now_ms);
        let leaving = Leaving { order, client, trail, cause, begun, encoded, deadline_ms };
        self.departing.push(Departing::Order(leaving));
        if !self.link.gathers() {
            self.depart(now, probe);
        }
    }

    /// Hands to the kernel what was written, in one call, and notes each of it as sent.
    pub(super) fn depart(&mut self, now: Nanos, probe: &Probe) {
        if self.departing.is_empty() {
            return;
        }
        let stamp = self.link.depart(|| probe.stamp());
        for at in 0..self.departing.len() {
            match self.departing[at] {
                Departing::Order(leaving) => {
                    self.record_latency(leaving.trail, leaving.cause, stamp);
                    self.note_sent(&leaving, stamp, now);
                }
                Departing::Cancel(id) => {
                    self.counters.add(CANCELS_SENT, 1);
                    self.feed(DeskInput::CancelSent(id), now);
                }
            }
        }
        self.departing.clear();
    }

    fn note_sent(&mut self, leaving: &Leaving, handed: Nanos, now: Nanos) {
        let Leaving { order, client, begun, encoded, deadline_ms, .. } = *leaving;
        self.counters.add(ORDERS_SENT, 1);
        if self.ports.log.room() > 0 {
            let sent = SentRecord { order, client, begun, encoded, handed };
            let _ = self.ports.log.push(LogEntry::new(LogKind::Sent, now, |w| sent.write(w)));
        }
        self.feed(DeskInput::Sent(order, deadline_ms), now);
    }

    /// Until when, by its own clock, the venue takes what carries this time. Unix ms.
    pub(super) fn deadline_ms(&self, now_ms: i64) -> i64 {
        now_ms.saturating_add((self.gateway.window().0 / 1_000_000) as i64)
    }

    fn record_latency(&self, mut trail: Trail, cause: Cause, stamp: Nanos) {
        let total = trail.total(stamp);
        if cause != Cause::Market {
            self.latencies.other_to_trade.record(total);
            return;
        }
        let [kept @ .., last] = &self.latencies.stages;
        for (stage, histogram) in Stage::ALL.into_iter().zip(kept) {
            histogram.record(trail.span(stage));
        }
        last.record(trail.mark(Stage::OrderEncode, stamp));
        self.latencies.tick_to_trade.record(total);
    }

    pub(super) fn cancel(&mut self, approved: &ApprovedOrder, now: Nanos) {
        let id = approved.intent().order;
        self.drop_waiting_amends(Some(id), now, DoneReason::None);
        if let Some(at) = self.waiting.iter().position(|w| w.intent().order == id) {
            self.waiting.remove(at);
            return self.not_sent(id, now, DoneReason::None);
        }
        self.cancel_sent(id, now);
    }

    /// Asks the venue to cancel an order that was sent.
    pub(super) fn cancel_sent(&mut self, id: OrderId, now: Nanos) {
        // Before the session is logged on the venue would refuse; the router asks again.
        if !matches!(self.link.state(), SessionState::Recovering | SessionState::Ready) {
            return;
        }
        let now_ms = self.wall.unix_ms(now);
        let Some(order) = self.desk.order(id) else { return };
        let (instrument, venue_order, client) = (order.instrument, order.venue_order, order.client);
        if order.state.is_terminal() || order.closing.is_some() {
            return;
        }
        let Some(instrument) = self.table.get(instrument).copied() else { return };
        let named = Named { instrument: &instrument, venue_order, client };
        // One that does not go now is asked for again: by the router, or by the clock at the end.
        let goes = now_ms >= self.cancels_after_ms
            && self.budget.try_take_urgent(now_ms, self.gateway.cost_cancel())
            && self.gateway.permits(&Act::Cancel(&named), now_ms);
        if !goes {
            self.counters.add(CANCELS_PUT_OFF, 1);
            return;
        }
        self.link.out.clear();
        let request = self.link.requests.next_id();
        self.gateway.cancel(request, &named, now_ms, &mut self.link.out);
        if self.link.out.is_empty() {
            return;
        }
        if self.link.queue(Purpose::Cancel(id), now) {
            self.departing.push(Departing::Cancel(id));
        }
    }
}
