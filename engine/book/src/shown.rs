//! What a book agent shows of its books in shared memory: state and ten levels a side. Nothing
//! decides by it.
//!
//! Cost: on a turn that did nothing else, ten times a second a book at most, one book: ten steps
//! through each half of the ladder and 46 stores, 75 ns where all of it lies in the caches (EPYC of
//! family 26, 2026-11-30, `latency --only shown`). Under load without a pause a book is a second
//! late before it is written in a turn that worked.

use bot4_lanes::{Block, Metrics};
use bot4_types::shown::{BOOK_WORDS, BookShown, LEVELS};
use bot4_types::{InstrumentTable, Level, Nanos, Side};

use crate::instrument::InstrumentBook;

/// Until each book was shown again.
const ROUND: Nanos = Nanos::from_millis(100);
/// So late a book is shown whatever else there is to do.
const LATE: Nanos = Nanos::from_secs(1);

/// A block for each book, in their order.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    blocks: Box<[Block]>,
    next: usize,
    due: Nanos,
}

impl Shown {
    /// Blocks for `labels`, which the agent `role` keeps; none where nobody else can read them.
    pub(crate) fn new<'a>(
        role: &'static str,
        instruments: impl Iterator<Item = &'a bot4_types::Instrument>,
        table: &InstrumentTable,
        metrics: &Metrics,
    ) -> Self {
        if !metrics.is_shared() {
            return Self::default();
        }
        let block = |i| metrics.block(role, &table.label(i), BOOK_WORDS);
        Self { blocks: instruments.map(block).collect(), ..Self::default() }
    }

    /// Shows the next of `books` when it is time and the turn was `idle`.
    #[inline]
    pub(crate) fn look(&mut self, books: &[InstrumentBook], now: Nanos, idle: bool) {
        if now < self.due || self.blocks.is_empty() || (!idle && now < self.due + LATE) {
            return;
        }
        self.due = now + Nanos(ROUND.0 / self.blocks.len() as u64);
        if let Some(book) = books.get(self.next) {
            self.blocks[self.next].write(&shown(book, now).words());
        }
        self.next = (self.next + 1) % self.blocks.len();
    }
}

fn shown(book: &InstrumentBook, now: Nanos) -> BookShown {
    let side = |side| {
        let mut levels = [Level::default(); LEVELS];
        book.ladder.top(side, &mut levels);
        levels
    };
    BookShown {
        state: book.state(),
        reason: book.sync.reason(),
        update_id: book.update_id(),
        at: now,
        bids: side(Side::Buy),
        asks: side(Side::Sell),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BookConfig;
    use bot4_types::{BookState, Instrument, InstrumentId, Symbol};

    #[test]
    fn books_are_shown_in_turn_when_it_is_time_and_nothing_else_is_to_do() {
        let dir = tempfile::tempdir().expect("dir");
        let metrics = Metrics::at(&dir.path().join("counters")).expect("a file");
        let mut table = InstrumentTable::new();
        for name in ["AB", "CD"] {
            let symbol = Symbol::new(name).expect("short");
            let mut instrument = Instrument::bare(InstrumentId(0), symbol, 8);
            instrument.base = table.asset(symbol).expect("room");
            table.push(instrument).expect("room");
        }
        let config = BookConfig { window_steps: 128, far_levels: 10, ..BookConfig::default() };
        let books: Vec<_> =
            table.all().iter().map(|i| InstrumentBook::new(*i, &config, 1)).collect();
        let mut shown = Shown::new("book.0", table.all().iter(), &table, &metrics);
        let read = |shown: &Shown, at: usize| {
            let mut words = [0; BOOK_WORDS];
            assert!(shown.blocks[at].read(&mut words));
            BookShown::of(&words).expect("a book")
        };
        let ms = Nanos::from_millis;
        shown.look(&books, ms(1_000), true);
        assert_eq!((read(&shown, 0).at, read(&shown, 1).at), (ms(1_000), Nanos::ZERO));
        assert_eq!(read(&shown, 0).state, BookState::Waiting);
        shown.look(&books, ms(1_049), true);
        assert_eq!(read(&shown, 1).at, Nanos::ZERO, "not yet");
        shown.look(&books, ms(1_050), false);
        assert_eq!(read(&shown, 1).at, Nanos::ZERO, "there is something to do");
        shown.look(&books, ms(2_050), false);
        assert_eq!(read(&shown, 1).at, ms(2_050), "late");
        let in_memory = Shown::new("book.0", table.all().iter(), &table, &Metrics::in_memory());
        assert!(in_memory.blocks.is_empty());
    }
}
