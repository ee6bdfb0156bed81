//! What it costs that an order in the journal tells of its hops: two stamps around the encoding and
//! three numbers more in the record of the send, and a record of each answer.

use std::hint::black_box;

use bot4_lanes::{Clock, Probe};
use bot4_types::log::Body;
use bot4_types::{
    AnsweredRecord, ClientId, LogEntry, LogKind, Nanos, OrderAction, OrderId, RunEpoch, SentRecord,
};

use crate::case::Case;

/// How much is told of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Which order left, and under which name: the baseline.
    Name,
    /// And three stamps, taken before.
    Stamps,
    /// The two that nothing else needs are taken here.
    Taken,
}

/// The record of a send.
pub struct Sent {
    told: Told,
    probe: Probe,
    entry: LogEntry,
    n: u64,
}

impl Sent {
    /// That tells so much.
    #[must_use]
    pub fn telling(told: Told) -> Self {
        let entry = LogEntry::raw(LogKind::Run, Nanos(1), b"");
        Self { told, probe: Probe::live(Clock::start()), entry, n: 0 }
    }

    #[inline]
    fn border(&self) -> Nanos {
        if self.told == Told::Taken { self.probe.stamp() } else { Nanos(self.n) }
    }
}

impl Case for Sent {
    #[inline]
    fn call(&mut self) {
        self.n += 1;
        let (order, client) = (OrderId(self.n), ClientId::new(RunEpoch(3), OrderId(7)));
        let (begun, encoded) = (black_box(self.border()), black_box(self.border()));
        let sent = black_box(SentRecord { order, client, begun, encoded, handed: Nanos(self.n) });
        self.entry = match self.told {
            Told::Name => LogEntry::new(LogKind::Sent, Nanos(1), |w| {
                w.u64(sent.order.0);
                w.bytes(&sent.client.0);
            }),
            Told::Stamps | Told::Taken => LogEntry::new(LogKind::Sent, Nanos(1), |w| sent.write(w)),
        };
        black_box(&self.entry);
    }
}

/// The record of an answer, with the stamp of when it was complete.
pub struct Answered {
    entry: LogEntry,
    n: u64,
}

impl Default for Answered {
    fn default() -> Self {
        Self { entry: LogEntry::raw(LogKind::Run, Nanos(1), b""), n: 0 }
    }
}

impl Case for Answered {
    #[inline]
    fn call(&mut self) {
        self.n += 1;
        let (order, action, done) = (OrderId(self.n), OrderAction::Place, true);
        let answered = black_box(AnsweredRecord { order, action, done, read: Nanos(self.n) });
        self.entry = LogEntry::new(LogKind::Answered, Nanos(1), |w| answered.write(w));
        black_box(&self.entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_reads_back() {
        for (told, len) in [(Told::Name, 24), (Told::Stamps, 48), (Told::Taken, 48)] {
            let mut case = Sent::telling(told);
            case.call();
            case.call();
            assert_eq!(case.entry.body().len(), len, "{told:?}");
        }
    }
}
