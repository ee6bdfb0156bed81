//! Recordings in play: which line is due when.

use std::io;

use crate::exchange::Exchange;
use crate::matching::Side;
use crate::recorded::{Entries, Entry, RecordedBook, Recording};
use crate::tape::{Line, Tape, TapeLines};

/// A tape starts this long after its first listener came, so that a client can say all that it
/// wants to hear: ns.
const GRACE_NS: u64 = 300_000_000;

/// When recorded times come true.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    first_ns: u64,
    speed_milli: u64,
    started_ns: Option<u64>,
}

impl Pace {
    fn new(first_ns: u64, speed_milli: u64) -> Self {
        Self { first_ns, speed_milli: speed_milli.max(1), started_ns: None }
    }

    /// The venue's time of a recorded time; `None` before the start.
    fn due_ns(&self, at_ns: u64) -> Option<u64> {
        let started = self.started_ns?;
        let offset = u128::from(at_ns.saturating_sub(self.first_ns)) * 1000;
        let offset = offset / u128::from(self.speed_milli);
        Some(started.saturating_add(u64::try_from(offset).unwrap_or(u64::MAX)))
    }

    /// The clock went ahead, or back.
    pub fn jump(&mut self, ns: i64) {
        self.started_ns = self.started_ns.map(|at| at.saturating_add_signed(ns));
    }
}

/// A tape in play.
pub(crate) struct Player {
    lines: TapeLines,
    next: Option<Line>,
    pub pace: Pace,
}

impl Player {
    pub fn new(tape: &Tape, speed_milli: u64) -> io::Result<Self> {
        let mut lines = tape.lines()?;
        let next = lines.next().transpose()?;
        Ok(Self { lines, next, pace: Pace::new(tape.first_ns(), speed_milli) })
    }

    pub fn start(&mut self, now_ns: u64) {
        self.pace.started_ns.get_or_insert(now_ns + GRACE_NS);
    }

    pub fn due_ns(&self) -> Option<u64> {
        self.pace.due_ns(self.next.as_ref()?.at_ns)
    }

    pub fn take(&mut self) -> Option<Line> {
        // A file that turns unreadable in the middle ends there; it was readable at the start.
        let following = self.lines.next().and_then(Result::ok);
        std::mem::replace(&mut self.next, following)
    }
}

/// A recording in play.
pub(crate) struct Replay {
    entries: Entries,
    next: Option<Entry>,
    pub trade: bool,
    pub pace: Pace,
    pub books: Vec<RecordedBook>,
}

impl Replay {
    pub fn new(
        recording: Recording,
        trade: bool,
        speed_milli: u64,
        exchange: &mut Exchange,
    ) -> io::Result<Self> {
        let mut entries = recording.entries()?;
        let next = entries.next().transpose()?;
        let first_ns = recording.first_ns();
        let books = recording.books;
        if trade {
            for (n, book) in books.iter().enumerate() {
                for (&price, &qty) in book.bids.iter().rev() {
                    exchange.crowd_level(n, Side::Buy, price, qty, 0);
                }
                for (&price, &qty) in &book.asks {
                    exchange.crowd_level(n, Side::Sell, price, qty, 0);
                }
            }
        }
        Ok(Self { entries, next, trade, pace: Pace::new(first_ns, speed_milli), books })
    }

    pub fn start(&mut self, now_ns: u64) {
        self.pace.started_ns.get_or_insert(now_ns);
    }

    pub fn due_ns(&self) -> Option<u64> {
        self.pace.due_ns(self.next.as_ref()?.at_ns)
    }

    pub fn take(&mut self) -> Option<Entry> {
        // A file that turns unreadable in the middle ends there; it was readable at the start.
        let following = self.entries.next().and_then(Result::ok);
        std::mem::replace(&mut self.next, following)
    }
}
