//! What may leave now: pauses that the venue asks for, and what risk is told of them.

use bot4_types::{ExecMsg, Nanos};

use crate::agent::ExecutionAgent;
use crate::gateway::Way;
use crate::requests::Purpose;

/// Pause after "too many requests" when the venue does not say how long, ms.
const LIMITED_MS: i64 = 1_000;
/// No window in which requests are counted is longer than this; a longer pause is a ban, ms.
const WINDOW_MS_MAX: i64 = 10_000;

impl ExecutionAgent {
    /// The venue wants fewer requests. What it said of questions over HTTPS holds for those alone:
    /// cancels go another way. So does what it said of cancels, where it counts them apart.
    pub(crate) fn limited(
        &mut self,
        purpose: &Purpose,
        until_ms: i64,
        orders_only: bool,
        now: Nanos,
    ) {
        let by_rest = (self.gateway.ways())(purpose) == Way::Rest;
        let apart = self.gateway.counts_apart();
        let cancels = apart && matches!(purpose, Purpose::Cancel(_) | Purpose::CancelAll(_));
        let orders_only = orders_only || (apart && matches!(purpose, Purpose::Amend(_)));
        let until_ms = self.until(until_ms, now);
        // A pause of a window is one of its kind; a longer one is a ban of the address.
        let is_ban = until_ms > self.wall.unix_ms(now) + WINDOW_MS_MAX;
        if orders_only {
            return self.pause_orders(until_ms, now);
        }
        if by_rest {
            self.rest_after_ms = self.rest_after_ms.max(until_ms);
        } else if cancels && !is_ban {
            self.cancels_after_ms = self.cancels_after_ms.max(until_ms);
        } else {
            self.budget.block_until(until_ms);
        }
        self.tell_session(now);
    }

    /// The end of a pause, Unix ms, where the venue says it (not zero) and where not.
    fn until(&self, until_ms: i64, now: Nanos) -> i64 {
        if until_ms == 0 { self.wall.unix_ms(now) + LIMITED_MS } else { until_ms }
    }

    /// The venue takes no new order until then.
    pub(crate) fn pause_orders(&mut self, until_ms: i64, now: Nanos) {
        self.orders_after_ms = self.orders_after_ms.max(self.until(until_ms, now));
        self.tell_session(now);
    }

    /// New orders can leave now: the session is ready, and the venue has not asked for a pause.
    pub(crate) fn takes_orders(&self, now: Nanos) -> bool {
        let now_ms = self.wall.unix_ms(now);
        let paused = now_ms < self.orders_after_ms || self.budget.is_blocked(now_ms);
        self.link.is_ready() && !paused && self.is_guarded(now)
    }

    /// Tells when orders can leave, and when they cannot any more.
    pub(crate) fn tell_session(&mut self, now: Nanos) {
        let ready = self.takes_orders(now);
        if ready != self.told_ready {
            self.told_ready = ready;
            self.desk.tell(ExecMsg::Session { at: now, venue: self.venue, ready });
        }
    }
}
