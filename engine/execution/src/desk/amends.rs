//! Amends: what the desk makes of their sending, their answers and their silence.
//!
//! An amend is over by evidence alone: the venue tells the terms asked for, a certain refusal, the
//! order's end, or, asked when the request could no longer arrive, the terms before. A replacement
//! is known by its other number, and asked for by a name of its own. The word that the old order is
//! cancelled may be its first half: it is held until the second half or its refusal is told, or
//! proven not to come. What a lost answer leaves open is three cases, and two questions tell them
//! apart: the replacement exists: both halves are done; it cannot come any more, and the old order
//! is open: nothing was done; or it is cancelled: the first half alone.

use bot4_types::{DoneReason, Nanos, OrderId};

use super::{Desk, Question};
use crate::gateway::{Failure, OrderKey};
use crate::order::{Terms, Who};

impl Desk {
    /// An amend of the order that `key` names is on its way: its terms are of interest.
    #[must_use]
    pub fn awaits_terms(&mut self, key: OrderKey) -> bool {
        let OrderKey::Own(id) = key else { return false };
        self.table.find(id).is_some_and(|order| order.amend.is_some())
    }

    /// An amend of the order was handed to the socket.
    pub(super) fn amend_sent(
        &mut self,
        id: OrderId,
        terms: Terms,
        replaces: bool,
        deadline_ms: i64,
        now: Nanos,
    ) {
        let heard = self.table.find(id).map(|o| o.amend_sent(now, terms, replaces, deadline_ms));
        self.push(heard.unwrap_or_default());
    }

    /// An approved amend will not be sent: the order stays as it is.
    pub(super) fn amend_not_sent(&mut self, id: OrderId, reason: DoneReason, now: Nanos) {
        let heard = self.table.find(id).map(|o| o.amend_not_sent(now, reason));
        self.push(heard.unwrap_or_default());
    }

    /// An amend failed. When the venue does not say why it may be that the order just ended: its
    /// state is asked for.
    pub(super) fn amend_failed(
        &mut self,
        id: OrderId,
        failure: Failure,
        now: Nanos,
    ) -> Option<Question> {
        let order = self.table.find(id)?;
        order.amend?;
        let reason = match failure {
            Failure::OutcomeUnknown => {
                let lost = order.lost(now);
                self.push(lost);
                return None;
            }
            Failure::Refused(reason) => reason,
            Failure::NotFound => DoneReason::NotFound,
            Failure::Limited { .. } => DoneReason::RateLimit,
            Failure::Session => DoneReason::NoSession,
        };
        let refused = order.amend_refused(now, reason);
        let done = order.settle(now);
        let open = !order.state.is_terminal() && order.closing.is_none();
        let asks = open && failure == Failure::NotFound;
        if asks {
            (order.asking, order.asked_at) = (true, now);
        }
        self.push(refused);
        self.push(done);
        asks.then_some(Question::Status(id))
    }

    /// A question for the replacement of an order, sent at `asked_at`, was answered with "does not
    /// exist". That is proof once it could no longer arrive; either way the old order is asked for,
    /// which may have filled instead.
    pub(super) fn no_replacement(
        &mut self,
        id: OrderId,
        asked_at: Nanos,
        now: Nanos,
    ) -> Option<Question> {
        let order = self.table.find(id)?;
        order.asking = false;
        if order.state.is_terminal() {
            return None;
        }
        order.touched_at = now;
        let amend = order.amend.as_mut().filter(|amend| amend.replaces)?;
        amend.absent |= self.venue_time.is_amend_over(amend.request(), self.window, asked_at);
        if amend.absent && amend.halfway.is_some() {
            let refused = order.amend_refused(now, DoneReason::NotFound);
            let done = order.settle(now);
            self.push(refused);
            self.push(done);
            return None;
        }
        (order.asking, order.asked_at) = (true, now);
        Some(Question::Status(id))
    }

    /// The venue told the terms of an order.
    pub(super) fn terms_told(&mut self, key: OrderKey, venue_order: u64, terms: Terms, now: Nanos) {
        let Some(order) = Self::by_key(&mut self.table, key, None) else { return };
        let Some(amend) = order.amend else { return };
        let holds = match order.who(venue_order) {
            Who::Replacement => true,
            Who::Itself => !amend.replaces && terms == amend.terms,
            Who::Former | Who::Stranger => return,
        };
        let over = self.venue_time.is_amend_over(amend.request(), self.window, order.asked_at);
        let asked_late = order.asking && over;
        let never_came = if amend.replaces { amend.absent } else { asked_late };
        let heard = match (holds, never_came) {
            (true, _) => order.amended(now, venue_order),
            (false, true) => order.amend_refused(now, DoneReason::NotFound),
            (false, false) => return,
        };
        self.push(heard);
    }
}
