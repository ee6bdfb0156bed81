//! What the clock asks for: counters, questions, the dead-man switch, cancels while stopping.

use bot4_lanes::Probe;
use bot4_types::{Nanos, OrderId, OrderState};
use bot4_wire::ConnError;

use super::{
    DRAINED, ExecutionAgent, FILLS_LATE, ORDER_RECORDS, ORDERS_OPEN, ORDERS_UNKNOWN, SESSION_READY,
    STATES,
};
use crate::desk_input::DeskInput;
use crate::link::SessionState;
use crate::requests::Purpose;

/// Between two looks at the clock's business.
const CLOCK_EVERY: Nanos = Nanos::from_millis(10);
/// Between two rounds of cancel-all while stopping.
const CANCEL_ALL_EVERY: Nanos = Nanos::from_millis(500);

impl ExecutionAgent {
    /// What the clock asks for, at most every [`CLOCK_EVERY`].
    pub(super) fn look_at_clock(&mut self, now: Nanos, probe: &Probe) {
        if now.since(self.clock_at) < CLOCK_EVERY {
            return;
        }
        self.clock_at = now;
        if self.waiting.is_empty() {
            self.gateway.idle(self.wall.unix_ms(now));
        }
        self.feed(DeskInput::Purge, now);
        let states = self.desk.by_state();
        for (count, at) in states.into_iter().zip(STATES..) {
            self.counters.set(at, count);
        }
        let open = self.desk.open();
        self.counters.set(ORDERS_OPEN, open as u64);
        self.counters.set(ORDERS_UNKNOWN, states[OrderState::Unknown as usize]);
        self.counters.set(FILLS_LATE, self.desk.counts.late_fills);
        self.counters.set(SESSION_READY, u64::from(self.link.is_ready()));
        self.tell_session(now);
        if self.link.is_ready() && self.gateway.is_silent(self.wall.unix_ms(now)) {
            self.lose(now, &ConnError::Silent);
        }
        if matches!(self.link.state(), SessionState::Recovering | SessionState::Ready) {
            self.feed_dead_man(now, probe);
        }
        if self.link.is_ready() {
            self.ask_by_clock(now, probe);
            self.ask_whose(now, probe);
            self.compare(now, probe);
            if self.wall.take_due(now) {
                self.ask_time(now, probe);
            }
        }
        let stopping = self.ports.control.phase().is_ending();
        let idle = open == 0 && self.waiting.is_empty() && self.ports.approved.waiting() == 0;
        let proven = !self.desk.awaits_proof();
        self.counters.set(DRAINED, u64::from(stopping && idle && proven));
        if stopping && open > 0 && self.link.is_ready() && now >= self.cancel_all_at {
            self.cancel_all_at = now + CANCEL_ALL_EVERY;
            self.cancel_everything(now, probe);
        }
    }

    /// All of an instrument at once, or one by one where orders of others may rest beside ours: a
    /// venue's cancel-all knows no difference.
    fn cancel_everything(&mut self, now: Nanos, probe: &Probe) {
        if self.desk.is_shared() {
            let mut next = OrderId(0);
            // What there is no room to record now is cancelled in the next round.
            while let Some(id) = self.desk.open_from(next)
                && self.ports.log.room() >= ORDER_RECORDS
            {
                self.cancel_sent(id, now);
                self.depart(now, probe);
                next = OrderId(id.0 + 1);
            }
            return;
        }
        let now_ms = self.wall.unix_ms(now);
        for i in 0..self.table.all().len() {
            let instrument = self.table.all()[i];
            if instrument.venue != self.venue {
                continue;
            }
            let cost = self.gateway.cost_cancel();
            if !self.desk.has_open(instrument.id) || !self.budget.try_take_urgent(now_ms, cost) {
                continue;
            }
            self.link.out.clear();
            let id = self.link.requests.next_id();
            self.gateway.cancel_all(id, &instrument, now_ms, &mut self.link.out);
            if !self.link.out.is_empty() {
                self.link.send(Purpose::CancelAll(instrument.id), now, || probe.stamp());
            }
        }
    }
}
