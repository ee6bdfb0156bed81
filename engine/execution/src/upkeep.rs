//! What a session needs beside orders: the venue's time, and its dead-man switch.

use bot4_lanes::Probe;
use bot4_types::Nanos;

use crate::agent::ExecutionAgent;
use crate::gateway::Way;
use crate::requests::Purpose;

impl ExecutionAgent {
    /// The venue is being asked for its time, once a connection: a logon that was refused for its
    /// own, or two of both connections, are tried again with the answer.
    pub(crate) fn mends_clock(&mut self, now: Nanos, probe: &Probe) -> bool {
        if !self.link.clock_asked {
            self.link.clock_asked = true;
            self.ask_time(now, probe);
            return true;
        }
        self.link.requests.any(|p| *p == Purpose::Time)
    }

    /// Asks for the venue's time, where the budget has room.
    pub(crate) fn ask_time(&mut self, now: Nanos, probe: &Probe) {
        if self.budget.try_take(self.wall.unix_ms(now), self.gateway.cost_cancel()) {
            self.send_time(now, probe);
        }
    }

    /// Asks for it because an order's fate hangs on it: cancels' reserve is open to that.
    pub(crate) fn ask_time_of_proof(&mut self, now: Nanos, probe: &Probe) {
        let asked_now =
            self.link.requests.iter().any(|p| p.purpose == Purpose::Time && p.sent == now);
        if !asked_now
            && self.budget.try_take_urgent(self.wall.unix_ms(now), self.gateway.cost_cancel())
        {
            self.send_time(now, probe);
        }
    }

    fn send_time(&mut self, now: Nanos, probe: &Probe) {
        self.link.out.clear();
        let id = self.link.requests.next_id();
        self.gateway.time(id, &mut self.link.out);
        self.link.send(Purpose::Time, now, || probe.stamp());
    }

    /// The venue wants nothing over HTTPS now, and this would go that way.
    pub(crate) fn is_paused(&self, purpose: &Purpose, now: Nanos) -> bool {
        let by_rest = (self.gateway.ways())(purpose) == Way::Rest;
        by_rest && self.wall.unix_ms(now) < self.rest_after_ms
    }

    /// Feeds the venue's dead-man switch when it is time.
    pub(crate) fn feed_dead_man(&mut self, now: Nanos, probe: &Probe) {
        let Some(every) = self.gateway.dead_man_every() else { return };
        if self.dead_man_at.is_some_and(|at| now.since(at) < every) {
            return;
        }
        // Asking on would only make the venue's pause longer; what it cancels meanwhile is told.
        if self.is_paused(&Purpose::DeadMan, now) {
            return;
        }
        self.dead_man_at = Some(now);
        self.link.out.clear();
        let (id, now_ms) = (self.link.requests.next_id(), self.wall.unix_ms(now));
        self.gateway.feed_dead_man(id, now_ms, &mut self.link.out);
        self.link.send(Purpose::DeadMan, now, || probe.stamp());
    }
}
