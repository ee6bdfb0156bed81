//! A parent that is taken at once where it is best: its children stand at the venues that trade the
//! same thing. What it wants is not a matter of this parent alone, so the router splits it
//! (`router/select.rs`); here is how it lives.

use bot4_types::{Algo, Nanos, ParentEnd, ParentState};

use super::{LOOK_MAX, Parent, TELL_EVERY};

impl Parent {
    /// Its children stand at several venues.
    pub(crate) fn is_routed(&self) -> bool {
        self.order.algo == Algo::Best
    }

    /// Time passed: begins, ends. `arrival_x2` is twice the best middle of its group, in its price
    /// units; `None` while none of its books may be traded on, and it waits.
    pub(crate) fn advance_routed(&mut self, arrival_x2: Option<i64>, now: Nanos) {
        if let (ParentState::Waiting, Some(arrival_x2)) = (self.state, arrival_x2)
            && now >= self.start_at
        {
            (self.began, self.arrival_x2) = (now, arrival_x2);
            self.windows = [(now, self.market_qty); 2];
            self.enter(ParentState::Working);
            self.replan(now);
        }
        self.looked = now;
        if self.state == ParentState::Working {
            if self.tally.filled() >= self.order.total {
                self.finish(ParentEnd::Filled);
            } else if self.plan.is_over(now) {
                self.finish(ParentEnd::Deadline);
            }
        }
        self.wake = if self.is_alive() { now + LOOK_MAX } else { Nanos::MAX };
        if self.plan.until > now {
            self.wake = self.wake.min(self.plan.until);
        }
        self.changed |= now.since(self.told) >= TELL_EVERY && self.is_alive();
    }
}
