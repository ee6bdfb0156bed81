//! The venue wants fewer requests: until when, of what, and who is told.

use bot4_types::{ExecMsg, Nanos};

use super::ExecutionAgent;
use crate::gateway::Way;
use crate::pause::Reach;
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
            self.note_pause(Reach::Rest, until_ms, now);
        } else if cancels && !is_ban {
            self.cancels_after_ms = self.cancels_after_ms.max(until_ms);
        } else {
            self.budget.block_until(until_ms);
            self.note_pause(Reach::All, until_ms, now);
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

    /// Tells whoever else asks the venue until when it wants fewer requests.
    fn note_pause(&self, reach: Reach, until_ms: i64, now: Nanos) {
        let left = u64::try_from(until_ms - self.wall.unix_ms(now)).unwrap_or(0);
        self.pause.note(reach, now + Nanos::from_millis(left));
    }

    /// Heeds what another who asks the venue was told.
    pub(crate) fn heed(&mut self, now: Nanos) {
        let now_ms = self.wall.unix_ms(now);
        let until_ms = |until: Nanos| {
            let left = until.since(now).0.div_ceil(1_000_000);
            now_ms.saturating_add_unsigned(left)
        };
        let (all, rest) = (self.pause.until(Reach::All), self.pause.until(Reach::Rest));
        if rest > now {
            self.rest_after_ms = self.rest_after_ms.max(until_ms(rest));
        }
        if all > now && !self.budget.is_blocked(now_ms) {
            self.budget.block_until(until_ms(all));
            self.tell_session(now);
        }
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
