//! When a request can no longer arrive: the venue's clock decides, because that is the clock it
//! holds a request's deadline against.
//!
//! A request carries the last time at which the venue takes it. "Does not exist" proves that it
//! never came only when the venue's clock had passed that time, and a second more, as the question
//! was asked. So the venue's time is asked for with each such question, and what it tells counts
//! for that question alone, whichever of both answers comes first: a clock that has stepped back in
//! the meantime is believed, and the proof waits until it has caught up. Beside that as long must
//! have gone by on our own clock. Where a venue tells no time, our own clock is all there is.

use bot4_types::Nanos;

use super::{ASK_EVERY, Desk};
use crate::order::{Order, Request};

/// A request is over this long after its window: the venue's clock may step back by less without
/// harm, and its parts may differ by as much.
const PROOF_AFTER_WINDOW: Nanos = Nanos::from_secs(1);

/// How old the venue's word may be where an amend is in question.
const AMEND_FRESH: Nanos = Nanos::from_millis(1_500);

/// What the venue told of its clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct VenueTime {
    /// It tells its time at all.
    tells: bool,
    /// When it was asked, and what it told, Unix ms.
    last: Option<(Nanos, i64)>,
}

impl VenueTime {
    /// Asked at `asked_at`, the venue told `ms`.
    pub(super) fn told(&mut self, asked_at: Nanos, ms: i64) {
        if self.last.is_none_or(|(before, _)| asked_at >= before) {
            self.last = Some((asked_at, ms));
        }
    }

    /// As the question of `asked_at` was asked, the request could no longer arrive at a venue that
    /// holds one for `window`.
    pub(super) fn is_over(&self, of: Request, window: Nanos, asked_at: Nanos) -> bool {
        self.was_over(of, window, asked_at, ASK_EVERY)
    }

    /// The same of an amend, whose order is known and stays with one of two terms whatever is
    /// believed: what the venue told with the question before counts, too.
    pub(super) fn is_amend_over(&self, of: Request, window: Nanos, asked_at: Nanos) -> bool {
        self.was_over(of, window, asked_at, AMEND_FRESH)
    }

    fn was_over(&self, of: Request, window: Nanos, asked_at: Nanos, fresh: Nanos) -> bool {
        if asked_at.since(of.sent_at) <= window + PROOF_AFTER_WINDOW {
            return false;
        }
        // Requests of earlier versions' journals tell no deadline.
        if !self.tells || of.deadline_ms == i64::MIN {
            return true;
        }
        let fresh = |at: Nanos| at <= asked_at && asked_at.since(at) < fresh;
        let after_ms = (PROOF_AFTER_WINDOW.0 / 1_000_000) as i64;
        let past = |ms: i64| ms >= of.deadline_ms.saturating_add(after_ms);
        self.last.is_some_and(|(at, ms)| fresh(at) && past(ms))
    }
}

impl Desk {
    /// The venue tells its time when it is asked, or not.
    #[must_use]
    pub const fn timed(mut self, tells_time: bool) -> Self {
        self.venue_time.tells = tells_time;
        self
    }

    /// The venue told its time: orders of which it had just denied to know anything may be proven
    /// now never to have come.
    pub(super) fn time_told(&mut self, asked_at: Nanos, ms: i64, now: Nanos) {
        self.venue_time.told(asked_at, ms);
        for n in 0..self.table.len() {
            let Some(order) = self.table.nth(n) else { continue };
            if let Some(denied_at) = order.denied_at {
                let id = order.id;
                self.not_found(id, denied_at, now);
            }
        }
    }

    /// A question about `order` asked now may prove that a request of it never came: it needs the
    /// venue's time.
    #[must_use]
    pub fn needs_time(&self, order: &Order, now: Nanos) -> bool {
        let over = |of: Request| now.since(of.sent_at) > self.window + PROOF_AFTER_WINDOW;
        let placement = !order.is_known_at_venue() && over(order.request());
        self.venue_time.tells
            && (placement || order.amend.is_some_and(|amend| over(amend.request())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT_MS: i64 = 1_700_000_000_000;
    const WINDOW: Nanos = Nanos::from_secs(1);

    /// Sent at one second, when the venue's clock showed [`SENT_MS`].
    fn request() -> Request {
        Request { sent_at: Nanos::from_secs(1), deadline_ms: SENT_MS + 1_000 }
    }

    #[test]
    fn without_the_venues_time_our_own_clock_and_its_margin_decide() {
        let time = VenueTime::default();
        assert!(!time.is_over(request(), WINDOW, Nanos::from_secs(3)));
        assert!(time.is_over(request(), WINDOW, Nanos::from_millis(3_001)));
    }

    #[test]
    fn the_venues_time_must_be_past_the_deadline_and_of_this_question() {
        let asked = Nanos::from_secs(4);
        let over = |at, ms| {
            let time = VenueTime { tells: true, last: Some((at, ms)) };
            time.is_over(request(), WINDOW, asked)
        };
        assert!(!VenueTime { tells: true, last: None }.is_over(request(), WINDOW, asked));
        assert!(!over(asked, SENT_MS + 1_999) && over(asked, SENT_MS + 2_000));
        assert!(!over(Nanos::from_millis(3_500), SENT_MS + 9_000), "of an earlier question");
        assert!(!over(Nanos::from_millis(4_001), SENT_MS + 9_000), "of a later one");
        assert!(over(Nanos::from_millis(3_501), SENT_MS + 9_000));
        let early = VenueTime { tells: true, last: Some((Nanos::from_secs(2), SENT_MS + 9_000)) };
        assert!(!early.is_over(request(), WINDOW, Nanos::from_secs(2)), "too soon by our own");
    }

    #[test]
    fn an_answer_to_an_earlier_question_does_not_replace_a_later_one() {
        let mut time = VenueTime { tells: true, last: None };
        time.told(Nanos(9), 2);
        time.told(Nanos(8), 1);
        assert_eq!(time.last, Some((Nanos(9), 2)));
    }
}
