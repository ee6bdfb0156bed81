//! Requests on their way: what each was for, so that its answer or silence can be acted on.

use bot4_types::{InstrumentId, Nanos, OrderId};

use crate::gateway::Way;

/// What a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Logon on this connection.
    Logon(Way),
    /// Subscription to the account's events.
    Subscribe,
    /// Balances.
    Balances,
    /// The venue's clock.
    Time,
    /// A new order.
    Place(OrderId),
    /// A cancel.
    Cancel(OrderId),
    /// An amend.
    Amend(OrderId),
    /// A question for an order's state.
    Status(OrderId),
    /// What is open of an instrument, or of the account.
    ListOpen(Option<InstrumentId>),
    /// A question for the state of what may have replaced an order.
    Replacement(OrderId),
    /// The order of this instrument that the venue numbers so: whose it is.
    Whose(InstrumentId, u64),
    /// Fills of an order.
    FillsOf(OrderId),
    /// Fills of an instrument after this trade id.
    FillsAfter(InstrumentId, u64),
    /// The venue's dead-man switch.
    DeadMan,
    /// Cancel everything of an instrument.
    CancelAll(InstrumentId),
}

impl Purpose {
    /// Something is asked and nothing done by it: it may wait behind what does something.
    #[must_use]
    pub const fn is_question(&self) -> bool {
        use Purpose as P;
        let of_order = matches!(self, P::Status(_) | P::Replacement(_) | P::FillsOf(_));
        of_order
            || matches!(
                self,
                P::Whose(..) | P::ListOpen(_) | P::FillsAfter(..) | P::Balances | P::Time
            )
    }
}

/// A request without answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Its id, unique on this connection and growing.
    pub id: u64,
    /// What it was for.
    pub purpose: Purpose,
    /// The lane's time when it was sent.
    pub sent: Nanos,
    /// Stamp of the hand-over to the kernel; for the ack histogram only.
    pub stamp: Nanos,
}

/// Requests without answer, oldest first. Fixed capacity.
#[derive(Debug)]
pub struct Requests {
    pending: Vec<Pending>,
    next_id: u64,
    capacity: usize,
}

impl Requests {
    /// Room for `capacity` unanswered requests.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { pending: Vec::with_capacity(capacity), next_id: 1, capacity }
    }

    /// Another request can be sent.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.pending.len() < self.capacity
    }

    /// The id that the next request will have.
    #[must_use]
    pub const fn next_id(&self) -> u64 {
        self.next_id
    }

    /// Notes that the request with [`next_id`](Self::next_id) was sent.
    pub fn sent(&mut self, purpose: Purpose, sent: Nanos, stamp: Nanos) {
        self.pending.push(Pending { id: self.next_id, purpose, sent, stamp });
        self.next_id += 1;
    }

    /// Stamps the hand-over of the newest `n` requests, which waited for each other.
    pub fn stamp_newest(&mut self, n: usize, stamp: Nanos) {
        self.pending.iter_mut().rev().take(n).for_each(|p| p.stamp = stamp);
    }

    /// Takes the request that is answered; `None` for an unknown id.
    pub fn answered(&mut self, id: u64) -> Option<Pending> {
        let at = self.pending.binary_search_by_key(&id, |p| p.id).ok()?;
        Some(self.pending.remove(at))
    }

    /// What the unanswered request `id` was for.
    #[must_use]
    pub fn purpose(&self, id: u64) -> Option<Purpose> {
        let at = self.pending.binary_search_by_key(&id, |p| p.id).ok()?;
        self.pending.get(at).map(|p| p.purpose)
    }

    /// Takes the oldest request sent before `limit`.
    pub fn overdue(&mut self, limit: Nanos) -> Option<Pending> {
        if self.pending.first()?.sent < limit {
            return Some(self.pending.remove(0));
        }
        None
    }

    /// How many requests of this kind are unanswered.
    #[must_use]
    pub fn count(&self, wanted: impl Fn(&Purpose) -> bool) -> usize {
        self.pending.iter().filter(|p| wanted(&p.purpose)).count()
    }

    /// Whether any request of this kind is unanswered.
    #[must_use]
    pub fn any(&self, wanted: impl Fn(&Purpose) -> bool) -> bool {
        self.pending.iter().any(|p| wanted(&p.purpose))
    }

    /// The unanswered requests, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Pending> {
        self.pending.iter()
    }

    /// Number of unanswered requests.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// No request is unanswered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Forgets all: the connection is gone.
    pub fn clear(&mut self) {
        self.pending.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_find_their_request_and_silence_is_noticed() {
        let mut requests = Requests::new(4);
        for (i, at) in [5, 10, 20].into_iter().enumerate() {
            assert_eq!(requests.next_id(), i as u64 + 1);
            requests.sent(Purpose::Place(OrderId(at)), Nanos(at), Nanos(at));
        }
        assert_eq!(requests.purpose(2), Some(Purpose::Place(OrderId(10))));
        assert_eq!(requests.answered(2).map(|p| p.purpose), Some(Purpose::Place(OrderId(10))));
        assert_eq!(requests.answered(2), None);
        assert_eq!(requests.overdue(Nanos(5)), None);
        assert_eq!(requests.overdue(Nanos(6)).map(|p| p.id), Some(1));
        assert_eq!(requests.overdue(Nanos(6)), None);
        assert_eq!(requests.len(), 1);
        assert!(requests.any(|p| matches!(p, Purpose::Place(_))));
    }
}
