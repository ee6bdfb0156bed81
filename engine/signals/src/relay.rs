//! What books must hear of their instruments, kept until it is on its way.
//!
//! Each instrument has one order, the newest, and a bit for every book that has not got it yet: a
//! full link costs nothing but time. Every book is told; the one that keeps the instrument obeys.

use bot4_lanes::Tx;
use bot4_types::{BookOrder, InstrumentNews};

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    /// Of the newest order.
    change: u32,
    order: Option<BookOrder>,
    /// One bit for each book.
    waiting: u8,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Relay {
    books: Vec<Tx<BookOrder>>,
    rows: Vec<Row>,
    /// Bits that are set in all rows.
    waiting: u32,
}

impl Relay {
    /// A relay to `books`, eight at most.
    pub(crate) fn new(books: Vec<Tx<BookOrder>>) -> Self {
        debug_assert!(books.len() <= 8);
        Self { books, rows: Vec::new(), waiting: 0 }
    }

    /// Makes the table. Allocates; nothing later does.
    pub(crate) fn reserve(&mut self, instruments: usize) {
        self.rows = vec![Row::default(); instruments];
    }

    /// Takes news of an instrument; a change that its book has not heard of is for it.
    pub(crate) fn hear(&mut self, news: &InstrumentNews) {
        let instrument = news.rules.instrument;
        let Some(row) = self.rows.get_mut(instrument.index()) else { return };
        if row.change == news.change {
            return;
        }
        row.change = news.change;
        let (tick, paused, shed) = (news.rules.tick, news.paused, news.shed);
        row.order = Some(BookOrder { instrument, tick, paused, shed });
        self.waiting -= row.waiting.count_ones();
        row.waiting = (1u16 << self.books.len()).wrapping_sub(1) as u8;
        self.waiting += row.waiting.count_ones();
    }

    /// Passes on what there is room for; how many orders went out.
    pub(crate) fn flush(&mut self) -> usize {
        if self.waiting == 0 {
            return 0;
        }
        let mut done = 0;
        for row in self.rows.iter_mut().filter(|row| row.waiting > 0) {
            let Some(order) = row.order else { continue };
            for (n, book) in self.books.iter_mut().enumerate() {
                let bit = 1 << n;
                if row.waiting & bit > 0 && book.push(order).is_ok() {
                    row.waiting &= !bit;
                    self.waiting -= 1;
                    done += 1;
                }
            }
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_lanes::ring;
    use bot4_types::{Instrument, InstrumentId, InstrumentRules, Symbol};

    fn news(id: u16, change: u32, tick: i64) -> InstrumentNews {
        let symbol = Symbol::new("AAA").expect("short");
        let bare = Instrument::bare(InstrumentId(id), symbol, 8);
        let rules = InstrumentRules::of(&Instrument { tick, ..bare });
        InstrumentNews { rules, change, open: false, paused: false, shed: false }
    }

    #[test]
    fn every_book_gets_the_newest_order_once() {
        let ((a, mut a_rx), (b, mut b_rx)) = (ring(1), ring(4));
        let mut relay = Relay::new(vec![a, b]);
        relay.reserve(2);
        relay.hear(&news(7, 1, 1)); // not in the table
        assert_eq!(relay.flush(), 0);
        relay.hear(&news(0, 1, 1));
        relay.hear(&news(1, 1, 5));
        assert_eq!(relay.flush(), 3, "the first book's link is full");
        relay.hear(&news(1, 1, 5));
        relay.hear(&news(1, 2, 6));
        assert_eq!(a_rx.pop().map(|o| (o.instrument.0, o.tick)), Some((0, 1)));
        assert_eq!(relay.flush(), 2);
        assert_eq!(a_rx.pop().map(|o| (o.instrument.0, o.tick)), Some((1, 6)));
        let told: Vec<_> = std::iter::from_fn(|| b_rx.pop()).map(|o| o.tick).collect();
        assert_eq!((told, relay.flush(), relay.waiting), (vec![1, 5, 6], 0, 0));
    }
}
