//! The book: changes of 20 levels with the best of both sides read after each, and the load of a
//! snapshot.

use std::hint::black_box;
use std::rc::Rc;

use bot4_book::{FAR_LEVELS, Ladder, NaiveBook, WINDOW_STEPS};
use bot4_types::{Level, Side};

use crate::case::Case;
use crate::flow::Flow;
use crate::trace::{TICK, Trace};

/// What both books can do.
pub trait Book {
    /// An empty book on the trace's grid.
    fn empty() -> Self;
    /// Forgets all levels.
    fn clear(&mut self);
    /// Sets an absolute quantity; zero removes.
    fn set(&mut self, side: Side, level: Level);
    /// Sets several of one side.
    #[inline]
    fn set_all(&mut self, side: Side, levels: &[Level]) {
        for level in levels {
            self.set(side, *level);
        }
    }
    /// The best level.
    fn best(&self, side: Side) -> Option<Level>;
}

impl Book for Ladder {
    fn empty() -> Self {
        let mut ladder = Self::new(WINDOW_STEPS, FAR_LEVELS);
        ladder.reset(TICK);
        ladder
    }

    fn clear(&mut self) {
        self.reset(TICK);
    }

    #[inline]
    fn set(&mut self, side: Side, level: Level) {
        let set = Self::set(self, side, level.price, level.qty);
        assert!(set.is_ok(), "the far store has room for the trace");
    }

    #[inline]
    fn set_all(&mut self, side: Side, levels: &[Level]) {
        let set = Self::set_all(self, side, levels);
        assert!(set.is_ok(), "the far store has room for the trace");
    }

    #[inline]
    fn best(&self, side: Side) -> Option<Level> {
        Self::best(self, side)
    }
}

impl Book for NaiveBook {
    fn empty() -> Self {
        Self::new()
    }

    fn clear(&mut self) {
        Self::clear(self);
    }

    #[inline]
    fn set(&mut self, side: Side, level: Level) {
        Self::set(self, side, level.price, level.qty);
    }

    #[inline]
    fn best(&self, side: Side) -> Option<Level> {
        Self::best(self, side)
    }
}

/// Empties `book` and fills it with the trace's start.
pub(crate) fn load(book: &mut impl Book, trace: &Trace) {
    book.clear();
    for (side, levels) in [Side::Buy, Side::Sell].into_iter().zip(&trace.start) {
        for level in levels {
            book.set(side, *level);
        }
    }
}

/// One call is one change and a look at both sides' best.
pub struct Changes<B> {
    book: B,
    trace: Rc<Trace>,
    next: usize,
}

impl<B: Book> Changes<B> {
    /// A book at the start of `trace`.
    #[must_use]
    pub fn new(trace: &Rc<Trace>) -> Self {
        let mut book = B::empty();
        load(&mut book, trace);
        Self { book, trace: Rc::clone(trace), next: 0 }
    }
}

impl<B: Book> Case for Changes<B> {
    /// At the end of the trace the book goes back to its start.
    fn ready(&mut self, wanted: u64) -> u64 {
        if self.next == self.trace.changes.len() {
            load(&mut self.book, &self.trace);
            self.next = 0;
        }
        wanted.min((self.trace.changes.len() - self.next) as u64)
    }

    #[inline]
    fn call(&mut self) {
        let change = &self.trace.changes[self.next];
        self.next += 1;
        let (bids, asks) = change.levels.split_at(change.bids);
        self.book.set_all(Side::Buy, bids);
        self.book.set_all(Side::Sell, asks);
        black_box((self.book.best(Side::Buy), self.book.best(Side::Sell)));
    }
}

/// One call empties the book and loads a whole snapshot.
pub struct Snapshot<B> {
    book: B,
    trace: Rc<Trace>,
}

impl<B: Book> Snapshot<B> {
    /// Loads the start of `trace`.
    #[must_use]
    pub fn new(trace: &Rc<Trace>) -> Self {
        Self { book: B::empty(), trace: Rc::clone(trace) }
    }
}

impl<B: Book> Case for Snapshot<B> {
    #[inline]
    fn call(&mut self) {
        load(&mut self.book, &self.trace);
        black_box(self.book.best(Side::Buy));
    }
}

/// One call is one recorded change and a look at both sides' best.
pub struct Recorded<B> {
    book: B,
    flow: Rc<Flow>,
    changes: Vec<[Vec<Level>; 2]>,
    next: usize,
}

impl<B: Book> Recorded<B> {
    /// A book at the start of `flow`.
    #[must_use]
    pub fn new(flow: &Rc<Flow>) -> Self {
        let changes = flow.by_side();
        let next = changes.len();
        Self { book: B::empty(), flow: Rc::clone(flow), changes, next }
    }

    /// The best of both sides.
    #[must_use]
    pub fn bests(&self) -> [Option<Level>; 2] {
        [Side::Buy, Side::Sell].map(|side| self.book.best(side))
    }
}

impl<B: Book> Case for Recorded<B> {
    /// At the end of the flow the book goes back to its start.
    fn ready(&mut self, wanted: u64) -> u64 {
        if self.next == self.changes.len() {
            self.book.clear();
            for (side, level) in &self.flow.start {
                self.book.set(*side, *level);
            }
            self.next = 0;
        }
        wanted.min((self.changes.len() - self.next) as u64)
    }

    #[inline]
    fn call(&mut self) {
        let [bids, asks] = &self.changes[self.next];
        self.next += 1;
        self.book.set_all(Side::Buy, bids);
        self.book.set_all(Side::Sell, asks);
        black_box(self.bests());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_books_hold_the_same_over_a_recorded_flow() {
        let Some(flow) = Flow::recorded().map(Rc::new) else {
            println!("skipped: no shared data");
            return;
        };
        assert!(flow.levels() > 100_000, "{} levels", flow.levels());
        let mut ladder = Recorded::<Ladder>::new(&flow);
        let mut naive = Recorded::<NaiveBook>::new(&flow);
        for _ in 0..flow.changes.len() {
            assert_eq!((ladder.ready(1), naive.ready(1)), (1, 1));
            ladder.call();
            naive.call();
            assert_eq!(ladder.bests(), naive.bests());
            assert!(!ladder.book.crossed(), "the flow is whole");
        }
    }

    #[test]
    fn both_books_hold_the_same_after_the_trace() {
        let trace = Rc::new(Trace::draw(1_000, 3));
        let mut ladder = Changes::<Ladder>::new(&trace);
        let mut naive = Changes::<NaiveBook>::new(&trace);
        for _ in 0..trace.changes.len() {
            assert_eq!((ladder.ready(1), naive.ready(1)), (1, 1));
            ladder.call();
            naive.call();
            for side in [Side::Buy, Side::Sell] {
                assert_eq!(ladder.book.best(side), naive.book.best(side));
            }
        }
        for side in [Side::Buy, Side::Sell] {
            assert!(ladder.book.iter(side).eq(naive.book.iter(side)));
        }
        let held = ladder.book.levels(Side::Buy) + ladder.book.levels(Side::Sell);
        assert_eq!(held, trace.end_levels);
        assert!(!ladder.book.crossed());
    }
}
