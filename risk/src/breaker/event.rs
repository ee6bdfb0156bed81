//! What breakers tell: a bounded queue between those who call and whoever listens.
//!
//! The caller only pushes; a full queue drops the event and counts it. Refusals, of which there
//! may be many, get half of the queue, so that they never crowd out a change of state. The
//! callback runs where [`Events::deliver`] is called, and a panic in it ends there: it can neither
//! block nor unwind into anybody who makes a call.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bot4_types::Nanos;

use super::status::Refusal;
use super::sync::Queue;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It opened, until the time told.
    Opened {
        /// The first probe may go then.
        until: Nanos,
    },
    /// It lets probes through.
    HalfOpened,
    /// It closed.
    Closed,
    /// A call was refused.
    Refused(Refusal),
}

/// An event of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Which breaker.
    pub breaker: &'static str,
    /// Counts the breaker's changes of state: events of several threads may arrive out of order.
    pub epoch: u32,
    /// When.
    pub at: Nanos,
    /// What.
    pub change: Change,
}

/// What a delivery did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Events handed to the callback.
    pub told: usize,
    /// Calls of it that panicked.
    pub panicked: usize,
}

/// The queue's handle. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Events(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: Queue<Event>,
    /// Counts only, so Relaxed everywhere; orders nothing.
    dropped: AtomicU64,
}

impl Events {
    /// A queue of at most `capacity` events, at least one.
    #[must_use]
    pub fn bounded(capacity: usize) -> Self {
        let queue = Queue::bounded(capacity.max(1));
        Self(Arc::new(Inner { queue, dropped: AtomicU64::new(0) }))
    }

    /// Events dropped because nobody made room in time.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Hands what is waiting to `callback`, at most what fits the queue.
    pub fn deliver(&self, mut callback: impl FnMut(Event)) -> Delivered {
        let mut delivered = Delivered::default();
        for _ in 0..self.0.queue.capacity() {
            let Some(event) = self.0.queue.pop() else { break };
            delivered.told += 1;
            // Nothing of ours is borrowed by the callback: a panic leaves the queue whole.
            let outcome = catch_unwind(AssertUnwindSafe(|| callback(event)));
            delivered.panicked += usize::from(outcome.is_err());
        }
        delivered
    }

    pub(crate) fn push(&self, event: Event) {
        let queue = &self.0.queue;
        let crowds = matches!(event.change, Change::Refused(_)) && queue.is_half_full();
        if crowds || !queue.push(event) {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn event(epoch: u32) -> Event {
        Event { breaker: "rest", epoch, at: Nanos(1), change: Change::Closed }
    }

    #[test]
    fn a_full_queue_drops_and_counts() {
        let events = Events::bounded(2);
        (0..5).for_each(|e| events.push(event(e)));
        assert_eq!(events.dropped(), 3);
        let mut seen = Vec::new();
        assert_eq!(events.deliver(|e| seen.push(e.epoch)).told, 2);
        assert_eq!(seen, [0, 1]);
    }

    #[test]
    fn refusals_leave_room_for_changes() {
        let events = Events::bounded(4);
        let refused = Change::Refused(Refusal::HalfOpenExhausted);
        (0..9).for_each(|e| events.push(Event { change: refused, ..event(e) }));
        events.push(event(9));
        events.push(event(10));
        let mut seen = Vec::new();
        events.deliver(|e| seen.push(e.epoch));
        assert_eq!((seen, events.dropped()), (vec![0, 1, 9, 10], 7));
    }

    #[test]
    fn a_callback_that_panics_harms_nobody() {
        let events = Events::bounded(4);
        (0..3).for_each(|e| events.push(event(e)));
        let delivered = events.deliver(|e| assert!(e.epoch != 1, "the listener's own mistake"));
        assert_eq!(delivered, Delivered { told: 3, panicked: 1 });
    }
}
