//! Writing to the journal from a lane, and knowing what the journal has.

use bot4_types::LogEntry;

use crate::ring::Tx;
use crate::sync::{Arc, AtomicU64, acquire, release};

/// Lanes that may write logs: risk, execution and control first, room for the rest.
pub const LOG_LANES_MAX: usize = 24;

/// The writing end of a lane's log link. Numbers the records from 1.
#[derive(Debug)]
pub struct LogTx {
    tx: Tx<LogEntry>,
    lane: u8,
    seq: u64,
}

impl LogTx {
    /// The log of lane index `lane` over `tx`.
    ///
    /// # Panics
    /// When `lane` is not below [`LOG_LANES_MAX`].
    #[must_use]
    pub fn new(tx: Tx<LogEntry>, lane: u8) -> Self {
        assert!(usize::from(lane) < LOG_LANES_MAX, "log lane index out of range");
        Self { tx, lane, seq: 0 }
    }

    /// Records that can be written now.
    #[must_use]
    #[inline]
    pub fn room(&self) -> usize {
        self.tx.room()
    }

    /// Records that may be written for ordinary work: an eighth of the ring is kept for reports
    /// and cancels.
    #[must_use]
    pub fn room_ordinary(&self) -> usize {
        self.tx.room().saturating_sub(self.tx.capacity() / 8)
    }

    /// Records that wait for the journal, per cent of what the ring holds.
    #[must_use]
    #[inline]
    pub fn used_pct(&self) -> u64 {
        let all = self.tx.capacity().max(1);
        ((all - self.tx.room().min(all)) * 100 / all) as u64
    }

    /// Writes `entry` and returns its sequence.
    ///
    /// # Errors
    /// Hands the entry back when there is no room. Ask [`room`](Self::room) first: no record,
    /// no trade.
    #[inline]
    #[allow(clippy::result_large_err, reason = "the caller asks for room first")]
    pub fn push(&mut self, mut entry: LogEntry) -> Result<u64, LogEntry> {
        entry.seq = self.seq + 1;
        entry.lane = self.lane;
        self.tx.push(entry)?;
        self.seq += 1;
        Ok(self.seq)
    }

    /// The log lane index, for [`Journaled::get`].
    #[must_use]
    pub const fn lane(&self) -> u8 {
        self.lane
    }

    /// Sequence of the last record written.
    #[must_use]
    pub const fn last_seq(&self) -> u64 {
        self.seq
    }
}

/// One word a lane, each alone on its line.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line(AtomicU64);

/// The last sequence of each log lane that lies in a journal segment. Declared exception to
/// "only rings": written by the journal agent, read by execution before an order leaves.
/// Ordering: the journal stores with `Release` after the record's bytes are in the mapped
/// segment, execution loads with `Acquire`.
#[derive(Clone, Debug, Default)]
pub struct Journaled {
    lines: Arc<[Line; LOG_LANES_MAX]>,
}

impl Journaled {
    /// All zero: nothing journaled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Last journaled sequence of `lane`.
    #[must_use]
    #[inline]
    pub fn get(&self, lane: u8) -> u64 {
        self.lines[usize::from(lane)].0.load(acquire())
    }

    /// Publishes that everything of `lane` up to `seq` is in the segment. Journal agent only.
    #[inline]
    pub fn publish(&self, lane: u8, seq: u64) {
        self.lines[usize::from(lane)].0.store(seq, release());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::ring;
    use bot4_types::{LogKind, Nanos};

    #[test]
    fn records_are_numbered_and_room_is_kept() {
        let (tx, mut rx) = ring(8);
        let mut log = LogTx::new(tx, 3);
        let entry = LogEntry::raw(LogKind::Run, Nanos(1), b"x");
        assert_eq!((log.room(), log.room_ordinary()), (8, 7));
        assert_eq!(log.push(entry).ok(), Some(1));
        assert_eq!(log.push(entry).ok(), Some(2));
        let first = rx.pop().expect("pushed");
        assert_eq!((first.seq, first.lane), (1, 3));
        for _ in 0..7 {
            assert!(log.push(entry).is_ok());
        }
        assert!(log.push(entry).is_err());
        assert_eq!(log.last_seq(), 9);
    }
}
