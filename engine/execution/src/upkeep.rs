//! What a session needs beside orders: the venue's time, and its dead-man switch.

use bot4_lanes::Probe;
use bot4_types::Nanos;

use crate::agent::{DEAD_MAN_UNFED, ExecutionAgent};
use crate::gateway::Way;
use crate::requests::Purpose;

/// The dead-man switch strikes after so many of its feeds were missed.
const FEEDS: u64 = 3;

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

    /// The venue would cancel for an engine that is gone: its switch was fed, by its own answer, so
    /// lately that it has not struck and gone off. Without one, and where connections arm it: yes.
    pub(crate) fn is_guarded(&self, now: Nanos) -> bool {
        is_guarded(self.gateway.dead_man_every(), self.dead_man_fed, now)
    }

    /// Feeds the venue's dead-man switch when it is time.
    pub(crate) fn feed_dead_man(&mut self, now: Nanos, probe: &Probe) {
        let Some(every) = self.gateway.dead_man_every() else { return };
        if self.dead_man_at.is_some_and(|at| now.since(at) < every) {
            return;
        }
        if self.dead_man_fed.is_some() && !self.is_guarded(now) {
            self.dead_man_fed = None;
            self.counters.add(DEAD_MAN_UNFED, 1);
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

/// A switch that is fed `every` so long was fed last at `fed`, and has not struck since.
fn is_guarded(every: Option<Nanos>, fed: Option<Nanos>, now: Nanos) -> bool {
    let strikes = |every: Nanos| fed.is_none_or(|at| now.since(at).0 >= every.0 * FEEDS);
    !every.is_some_and(strikes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_that_was_not_fed_in_time_has_struck() {
        let s = Nanos::from_secs;
        assert!(is_guarded(None, None, s(99)), "there is none");
        assert!(!is_guarded(Some(s(3)), None, s(0)), "never fed");
        assert!(is_guarded(Some(s(3)), Some(s(10)), s(18)));
        assert!(!is_guarded(Some(s(3)), Some(s(10)), s(19)), "three feeds were missed");
    }
}
