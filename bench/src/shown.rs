//! What books and risk show of themselves in shared memory, a block each. In an engine it happens
//! in turns that did nothing else: ten times a second for each book, every 50 ms one block of risk.

use std::hint::black_box;

use bot4_book::Ladder;
use bot4_lanes::{Block, Metrics};
use bot4_risk::RiskCore;
use bot4_risk::agent::shown;
use bot4_types::shown::{ACCOUNT_WORDS, BOOK_WORDS, BookShown, LEVELS, POSITION_WORDS};
use bot4_types::{BookState, InstrumentId, Level, Nanos, Side, StaleReason};

use crate::book::{Book, load};
use crate::case::Case;
use crate::gate::Account;
use crate::trace::Trace;

fn block(len: usize) -> Block {
    Metrics::in_memory().block("bench", "shown", len)
}

/// Ten levels a side of a book of a thousand, and its state.
pub struct ShownBook {
    ladder: Ladder,
    block: Block,
    n: u64,
}

impl Default for ShownBook {
    fn default() -> Self {
        let mut ladder = <Ladder as Book>::empty();
        load(&mut ladder, &Trace::draw(1, 7));
        Self { ladder, block: block(BOOK_WORDS), n: 0 }
    }
}

impl Case for ShownBook {
    #[inline]
    fn call(&mut self) {
        self.n += 1;
        let ladder = black_box(&self.ladder);
        let side = |side| {
            let mut levels = [Level::default(); LEVELS];
            ladder.top(side, &mut levels);
            levels
        };
        let shown = BookShown {
            state: BookState::Live,
            reason: StaleReason::None,
            update_id: self.n,
            at: Nanos(self.n),
            bids: side(Side::Buy),
            asks: side(Side::Sell),
        };
        self.block.write(&shown.words());
    }
}

/// The account of 64 instruments and 256 open orders.
pub struct ShownAccount {
    core: &'static RiskCore,
    block: Block,
}

impl Default for ShownAccount {
    fn default() -> Self {
        Self { core: Account::large().leaked().0, block: block(ACCOUNT_WORDS) }
    }
}

impl Case for ShownAccount {
    #[inline]
    fn call(&mut self) {
        self.block.write(&shown::account(black_box(self.core)).words());
    }
}

/// A position of that account, each in turn.
pub struct ShownPosition {
    core: &'static RiskCore,
    block: Block,
    n: u16,
}

impl Default for ShownPosition {
    fn default() -> Self {
        Self { core: Account::large().leaked().0, block: block(POSITION_WORDS), n: 0 }
    }
}

impl Case for ShownPosition {
    #[inline]
    fn call(&mut self) {
        self.n = (self.n + 1) % 64;
        let shown = shown::position(black_box(self.core), InstrumentId(self.n));
        self.block.write(&shown.words());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_and_an_account_are_shown() {
        let (mut book, mut account) = (ShownBook::default(), ShownAccount::default());
        book.call();
        account.call();
        let mut words = [0; BOOK_WORDS];
        assert!(book.block.read(&mut words));
        let shown = BookShown::of(&words).expect("a book");
        assert!(shown.bids.iter().chain(&shown.asks).all(|level| level.qty > 0), "{shown:?}");
        assert!(shown.bids[0].price > shown.bids[9].price);
        let mut words = [0; ACCOUNT_WORDS];
        assert!(account.block.read(&mut words));
        assert!(words[0] as i64 > 0, "256 orders are open: {words:?}");
    }
}
