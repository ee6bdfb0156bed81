//! What the agent tells of itself, for reports and tests.

use bot4_types::log::Body;
use bot4_types::{AnsweredRecord, LogEntry, LogKind, Nanos, OrderAction, OrderId};

use super::ExecutionAgent;
use crate::desk::DeskCounts;
use crate::link::LinkCounts;
use crate::requests::{Pending, Purpose};

impl ExecutionAgent {
    /// Keeps when the answer to a request about an order was read.
    pub(crate) fn note_answer(&mut self, pending: &Pending, done: bool, t0: Nanos, now: Nanos) {
        let (order, action) = match pending.purpose {
            Purpose::Place(order) => (order, OrderAction::Place),
            Purpose::Cancel(order) => (order, OrderAction::Cancel),
            Purpose::Amend(order) => (order, OrderAction::Amend),
            _ => return,
        };
        if self.ports.log.room() > 0 {
            let answered = AnsweredRecord { order, action, done, read: t0 };
            let entry = LogEntry::new(LogKind::Answered, now, |w| answered.write(w));
            let _ = self.ports.log.push(entry);
        }
    }

    /// What the desk counted.
    #[must_use]
    pub const fn desk_counts(&self) -> DeskCounts {
        self.desk.counts
    }

    /// Fills dropped because they were booked before.
    #[must_use]
    pub const fn duplicates_dropped(&self) -> u64 {
        self.desk.trades().duplicates
    }

    /// What the connection counted.
    #[must_use]
    pub const fn link_counts(&self) -> LinkCounts {
        self.link.counts
    }

    /// Orders that have not ended, and those of unknown fate among them.
    #[must_use]
    pub fn open_and_unknown(&mut self) -> (usize, usize) {
        (self.desk.open(), self.desk.unknown())
    }

    /// Until when it makes no connection, because it made as many in five minutes as it may.
    #[must_use]
    pub fn held_until(&self, now: Nanos) -> Option<Nanos> {
        self.link.held_until(now)
    }

    /// Approved orders that wait to be sent, and one of them that has ended all the same: none,
    /// ever, because it would still be sent.
    #[must_use]
    pub fn waiting(&mut self) -> (usize, Option<OrderId>) {
        let Self { waiting, desk, .. } = self;
        let ended = waiting
            .iter()
            .filter(|w| w.intent().action == OrderAction::Place)
            .map(|w| w.intent().order)
            .find(|id| desk.order(*id).is_none_or(|order| order.state.is_terminal()));
        (waiting.len(), ended)
    }
}
