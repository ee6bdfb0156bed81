//! What the desk wants to be asked of the venue, and what the venue's lists of open orders say.
//!
//! Orders in doubt are asked for by name until there is evidence. Orders at rest are compared: by
//! a list where the venue has one, and one by one where it has none, or for what its list does not
//! name, the order first of which nothing was heard for longest. So none waits behind the others.

use bot4_types::{ExecMsg, Nanos, OrderState, Qty};

use super::{ANSWER_GRACE, ASK_EVERY, Desk, Outcome, Question};
use crate::gateway::OrderKey;
use crate::order::{Heard, Order, Who};

/// A list that was asked for before an order was forgotten is not answered any more after this
/// long: an order that it names rests.
const LIST_OLD_AFTER: Nanos = Nanos::from_secs(5);

/// The orders at rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resting {
    /// How many there are.
    pub all: usize,
    /// How many of them nothing was heard of for the time in question.
    pub due: usize,
    /// The longest time since something was heard of one of them.
    pub age_max: Nanos,
}

impl Desk {
    /// What should be asked now, by the clock: unanswered orders, unknown ones and orders whose
    /// fills are missing. Marks each as being asked. At most `max` questions.
    pub(super) fn questions(&mut self, now: Nanos, max: usize, out: &mut Vec<Question>) {
        for n in 0..self.table.len() {
            if out.len() >= max {
                return;
            }
            let patience = self.window + ANSWER_GRACE;
            let Some(order) = self.table.nth(n) else { continue };
            let Some(question) = question_about(order, now, patience) else { continue };
            order.touched_at = now;
            let silent = order.state == OrderState::Sent;
            let lost = if silent { order.lost(now) } else { Heard::default() };
            (order.asking, order.asked_at) = (true, now);
            out.push(question);
            self.push(lost);
        }
    }

    /// Orders at rest of which nothing was heard for `after`.
    #[must_use]
    pub fn resting(&self, now: Nanos, after: Nanos) -> Resting {
        let quiet = self.table.iter().filter(|o| o.is_quiet());
        quiet.fold(Resting::default(), |sum, order| {
            let age = now.since(order.touched_at);
            let due = sum.due + usize::from(age >= after && !order.asking);
            Resting { all: sum.all + 1, due, age_max: sum.age_max.max(age) }
        })
    }

    /// Asks for the orders at rest of which nothing was heard for longest, `max` at most; their
    /// end or fills may have been told to nobody.
    pub(super) fn compare(&mut self, now: Nanos, max: usize, out: &mut Vec<Question>) {
        for _ in 0..max {
            let waits =
                |o: &&Order| o.is_quiet() && !o.asking && now.since(o.touched_at) >= ASK_EVERY;
            let all = self.table.iter().filter(waits);
            let Some(id) = all.min_by_key(|o| (o.touched_at, o.id)).map(|o| o.id) else { return };
            let Some(order) = self.table.find(id) else { return };
            (order.asking, order.asked_at, order.touched_at) = (true, now, now);
            out.push(Question::Status(id));
        }
    }

    /// A list of open orders names this one. Of an order at rest that is as good as an answer; of
    /// any other it says nothing, because the list may be older than what was heard since. An order
    /// that is nobody's is told once. So is one of this run that had ended long ago: it must not be
    /// there.
    pub(super) fn listed(
        &mut self,
        key: OrderKey,
        venue_order: u64,
        cum_qty: Qty,
        now: Nanos,
    ) -> Outcome {
        if let Some(order) = Self::by_key(&mut self.table, key, None) {
            let who = order.who(venue_order);
            if who == Who::Stranger {
                let doubled = order.doubled(now);
                self.push(doubled);
                return Outcome::Changed;
            }
            if who != Who::Itself || !order.is_quiet() {
                return Outcome::Nothing;
            }
            order.touched_at = now;
            order.told_qty = order.told_qty.max(cum_qty);
            return Outcome::Changed;
        }
        let numbered = matches!(key, OrderKey::Venue(_));
        if (numbered && self.table.iter().any(|o| o.was(venue_order)))
            || self.others.has(venue_order)
            || self.listed.has(venue_order)
        {
            return Outcome::Nothing;
        }
        let forgotten = matches!(key, OrderKey::Own(id) if id <= self.newest);
        if !forgotten {
            self.stranger(key, venue_order, None, now);
        } else if self.table.forgot_early(now, LIST_OLD_AFTER) {
            return Outcome::Nothing;
        } else {
            self.counts.contradictions += 1;
            self.counts.foreign_orders += 1;
            let (at, venue, trade_id, declared) = (now, self.venue, 0, false);
            let told = ExecMsg::Foreign { at, venue, venue_order, trade_id, declared };
            self.outbox.push_back(told);
        }
        self.listed.add(venue_order);
        Outcome::Changed
    }
}

/// What should be asked about `order` now, if anything, whatever is asked at leisure.
fn question_about(order: &Order, now: Nanos, patience: Nanos) -> Option<Question> {
    let waited = now.since(order.touched_at);
    if order.state.is_terminal() || order.asking || waited < ASK_EVERY {
        return None;
    }
    match (order.state, order.closing.is_some()) {
        (_, true) if order.venue_order != 0 => Some(Question::Fills(order.id)),
        (OrderState::Unknown, _) => Some(Question::state_of(order)),
        _ if order.lacks_fills() && order.venue_order != 0 => Some(Question::Fills(order.id)),
        (OrderState::PendingCancel | OrderState::PendingReplace | OrderState::Sent, _)
            if waited > patience =>
        {
            Some(Question::state_of(order))
        }
        // Amended to what it has filled: it ends, or has ended.
        _ if order.cum_qty >= order.qty => Some(Question::Status(order.id)),
        _ => None,
    }
}
