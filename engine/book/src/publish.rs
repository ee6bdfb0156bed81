//! From the books to signal and risk: newest state first, nothing stale behind it.
//!
//! Tops and marks are conflated by the writer: an instrument whose message did not fit is marked
//! as due, and when there is room its newest state goes out. Trades are queued; one that does
//! not fit is dropped and the next one says how many were. A trade never overtakes a top of its
//! instrument that is still due, and leaves room for the tops of the others, so that a stale
//! state arrives before anything else of its instrument.

use bot4_lanes::{Counters, Histogram, Probe, Tx};
use bot4_types::{Mark, Stage, TopMsg, TradePrint};

use crate::instrument::InstrumentBook;
use crate::set::IndexSet;
use crate::tally::Count;

/// The writing ends towards signal and risk.
pub(crate) struct Publisher {
    tops: Tx<TopMsg>,
    marks: Tx<Mark>,
    tops_due: IndexSet,
    marks_due: IndexSet,
    /// Slots of the tops link that trades leave free.
    reserve: usize,
    latency: Histogram,
    last_flushed: usize,
}

impl Publisher {
    /// For an agent with `instruments` books.
    pub(crate) fn new(
        tops: Tx<TopMsg>,
        marks: Tx<Mark>,
        instruments: usize,
        latency: Histogram,
    ) -> Self {
        let reserve = instruments.min(tops.capacity() / 4);
        let (tops_due, marks_due) = (IndexSet::default(), IndexSet::default());
        Self { tops, marks, tops_due, marks_due, reserve, latency, last_flushed: 0 }
    }

    /// The top of `book` (number `at`) changed.
    pub(crate) fn top(
        &mut self,
        at: usize,
        book: &InstrumentBook,
        counters: &Counters,
        probe: &Probe,
    ) {
        counters.add(Count::Conflated as usize, u64::from(self.tops_due.contains(at)));
        self.tops_due.insert(at);
        self.push_top(at, book, probe);
        self.mark(at, book, counters);
    }

    /// The mark of `book` (number `at`) changed.
    pub(crate) fn mark(&mut self, at: usize, book: &InstrumentBook, counters: &Counters) {
        counters.add(Count::Conflated as usize, u64::from(self.marks_due.contains(at)));
        self.marks_due.insert(at);
        self.push_mark(at, book);
    }

    /// Queues a trade; `false` when it had to be dropped.
    pub(crate) fn trade(
        &mut self,
        at: usize,
        book: &InstrumentBook,
        mut print: TradePrint,
        probe: &Probe,
    ) -> bool {
        if self.tops_due.contains(at) && !self.push_top(at, book, probe) {
            return false;
        }
        if self.tops.room() <= self.reserve {
            return false;
        }
        let span = print.trail.mark(Stage::Book, probe.stamp());
        let pushed = self.tops.push(TopMsg::Trade(print)).is_ok();
        if pushed {
            self.latency.record(span);
        }
        pushed
    }

    /// Pushes what is due while there is room, going round the instruments. Returns how many
    /// messages went out.
    pub(crate) fn flush(&mut self, books: &[InstrumentBook], probe: &Probe) -> usize {
        let mut pushed = 0;
        while let Some(at) = self.tops_due.next_round(self.last_flushed) {
            if self.tops.room() == 0 || !self.push_top(at, &books[at], probe) {
                break;
            }
            self.last_flushed = at;
            pushed += 1;
        }
        while let Some(at) = self.marks_due.first() {
            if self.marks.room() == 0 || !self.push_mark(at, &books[at]) {
                break;
            }
            pushed += 1;
        }
        pushed
    }

    fn push_top(&mut self, at: usize, book: &InstrumentBook, probe: &Probe) -> bool {
        let mut top = book.top();
        let span = top.trail.mark(Stage::Book, probe.stamp());
        if self.tops.push(TopMsg::Top(top)).is_err() {
            return false;
        }
        self.latency.record(span);
        self.tops_due.remove(at);
        true
    }

    fn push_mark(&mut self, at: usize, book: &InstrumentBook) -> bool {
        let pushed = self.marks.push(book.mark()).is_ok();
        if pushed {
            self.marks_due.remove(at);
        }
        pushed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BookConfig;
    use crate::tally::COUNTERS;
    use bot4_lanes::{Metrics, ring};
    use bot4_types::{Instrument, InstrumentId, Side, Symbol, Trail};

    /// The reader makes room in the middle of a turn: the top that was due still goes first.
    #[test]
    fn trade_never_overtakes_a_top_that_is_due() {
        let metrics = Metrics::in_memory();
        let counters = metrics.counters("book", COUNTERS);
        let ((tops, mut read), (marks, _read)) = (ring(4), ring(4));
        let mut publisher = Publisher::new(tops, marks, 1, metrics.histogram("msg_book"));
        let symbol = Symbol::new("A").expect("short");
        let config = BookConfig { window_steps: 128, far_levels: 10, ..BookConfig::default() };
        let book = InstrumentBook::new(Instrument::bare(InstrumentId(0), symbol, 8), &config, 1);
        let probe = Probe::logical();
        for _ in 0..5 {
            publisher.top(0, &book, &counters, &probe);
        }
        assert!(publisher.tops_due.contains(0));
        while read.pop().is_some() {}
        let print = TradePrint {
            trail: Trail::default(),
            id: 1,
            price: 1,
            qty: 1,
            venue_ms: 0,
            missed: 0,
            instrument: InstrumentId(0),
            aggressor: Side::Buy,
        };
        assert!(publisher.trade(0, &book, print, &probe));
        assert!(matches!(read.pop(), Some(TopMsg::Top(_))));
        assert!(matches!(read.pop(), Some(TopMsg::Trade(_))));
    }
}
