//! The venue wants fewer requests: until when, of what, and who is told.

use bot4_types::{ExecMsg, Nanos};

use super::ExecutionAgent;
use crate::pause::Reach;

/// Pause after "too many requests" when the venue does not say how long, ms.
const LIMITED_MS: i64 = 1_000;

impl ExecutionAgent {
    /// The venue wants fewer requests. What it said of questions over HTTPS holds for those alone:
    /// cancels go another way.
    pub(crate) fn limited(&mut self, until_ms: i64, orders_only: bool, by_rest: bool, now: Nanos) {
        let until_ms = match until_ms {
            0 => self.wall.unix_ms(now) + LIMITED_MS,
            told => told,
        };
        if orders_only {
            self.orders_after_ms = self.orders_after_ms.max(until_ms);
        } else if by_rest {
            self.rest_after_ms = self.rest_after_ms.max(until_ms);
            self.note_pause(Reach::Rest, until_ms, now);
        } else {
            self.budget.block_until(until_ms);
            self.note_pause(Reach::All, until_ms, now);
        }
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
        self.link.is_ready() && !paused
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
