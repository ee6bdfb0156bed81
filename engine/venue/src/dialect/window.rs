//! The best levels of a book as a listener of limited depth holds them.
//!
//! Invariant: after [`Window::follow`] the window equals the best `depth` levels of each side, and
//! a holder of the window before, applying the moves and cutting to `depth`, holds the window
//! after. Cost: O(log levels) a changed, entering or leaving level.

use std::collections::{BTreeMap, BTreeSet};

use crate::matching::{Book, Side};

/// Prices that changed: bids, asks.
pub type Changed = [BTreeSet<i64>; 2];

const SIDES: [Side; 2] = [Side::Buy, Side::Sell];

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    depth: usize,
    sides: [BTreeMap<i64, i64>; 2],
}

/// What moved, best first: bids, asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moves {
    /// (price, new quantity); zero: the level is gone.
    pub levels: [Vec<(i64, i64)>; 2],
    /// Prices of levels that still exist, but beyond the depth.
    pub left: [Vec<i64>; 2],
}

impl Moves {
    /// Is there nothing to tell a listener who cuts by himself?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.levels.iter().all(Vec::is_empty)
    }

    /// Turns levels that left the window into removals, for venues that send those.
    #[must_use]
    pub fn with_removals(mut self) -> Self {
        for (side, left) in self.left.iter_mut().enumerate() {
            let levels = &mut self.levels[side];
            levels.extend(left.drain(..).map(|price| (price, 0)));
            levels.sort_unstable();
            if side == 0 {
                levels.reverse();
            }
        }
        self
    }
}

impl Window {
    /// The best `depth` levels of `book`.
    #[must_use]
    pub fn new(book: &Book, depth: usize) -> Self {
        let sides = SIDES.map(|side| book.levels(side).take(depth).collect());
        Self { depth, sides }
    }

    /// Levels of a side (0 bids, 1 asks), best first.
    pub fn levels(&self, side: usize) -> Box<dyn Iterator<Item = (i64, i64)> + '_> {
        let pair = |(&price, &qty): (&i64, &i64)| (price, qty);
        match side {
            0 => Box::new(self.sides[0].iter().rev().map(pair)),
            _ => Box::new(self.sides[1].iter().map(pair)),
        }
    }

    /// Goes after a book in which these prices changed.
    pub fn follow(&mut self, book: &Book, changed: &Changed) -> Moves {
        let mut moves = Moves::default();
        for (n, side) in SIDES.into_iter().enumerate() {
            let mut before = BTreeMap::new();
            // What lay beyond a full window is unknown to it: levels there come in by `refill`
            // alone, in the book's order.
            let edge = self.worst(n).filter(|_| self.sides[n].len() >= self.depth);
            for &price in &changed[n] {
                let beyond = edge.is_some_and(|e| if n == 0 { price < e } else { price > e });
                if !beyond {
                    self.change(n, price, book.qty_at(side, price), &mut before);
                }
            }
            self.refill(n, book, side, &mut before);
            self.cut(n, &mut before);
            for (price, was) in before {
                match (was, self.sides[n].get(&price).copied()) {
                    (was, now) if was == now => {}
                    (_, Some(qty)) => moves.levels[n].push((price, qty)),
                    (_, None) if book.qty_at(side, price) == 0 => moves.levels[n].push((price, 0)),
                    (_, None) => moves.left[n].push(price),
                }
            }
        }
        moves.levels[0].reverse();
        moves
    }

    fn change(&mut self, n: usize, price: i64, qty: i64, before: &mut BTreeMap<i64, Option<i64>>) {
        let held = self.sides[n].get(&price).copied();
        if held.is_none() && qty == 0 {
            return;
        }
        before.entry(price).or_insert(held);
        if qty == 0 {
            self.sides[n].remove(&price);
        } else {
            self.sides[n].insert(price, qty);
        }
    }

    /// Levels that come in from behind.
    fn refill(
        &mut self,
        n: usize,
        book: &Book,
        side: Side,
        before: &mut BTreeMap<i64, Option<i64>>,
    ) {
        while self.sides[n].len() < self.depth {
            let next = match self.worst(n) {
                Some(worst) => book.next_worse(side, worst),
                None => book.best(side),
            };
            let Some((price, qty)) = next else { return };
            before.entry(price).or_insert(None);
            self.sides[n].insert(price, qty);
        }
    }

    fn cut(&mut self, n: usize, before: &mut BTreeMap<i64, Option<i64>>) {
        while self.sides[n].len() > self.depth {
            let Some(worst) = self.worst(n) else { return };
            let qty = self.sides[n].remove(&worst);
            before.entry(worst).or_insert(qty);
        }
    }

    fn worst(&self, n: usize) -> Option<i64> {
        let side = &self.sides[n];
        let worst = if n == 0 { side.first_key_value() } else { side.last_key_value() };
        worst.map(|(&price, _)| price)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The naive twin: take the best levels of the whole book and compare.
    fn compare(window: &mut Window, book: &mut Book, depth: usize) {
        let before = window.clone();
        let changed = book.take_changed();
        let moves = window.follow(book, &changed);
        assert_eq!(*window, Window::new(book, depth));
        let mut cut = before.clone();
        let mut explicit = before;
        for (side, own) in SIDES.into_iter().enumerate() {
            for &(price, qty) in &moves.levels[side] {
                for twin in [&mut cut, &mut explicit] {
                    match qty {
                        0 => twin.sides[side].remove(&price),
                        _ => twin.sides[side].insert(price, qty),
                    };
                }
            }
            for price in &moves.left[side] {
                assert!(book.qty_at(own, *price) > 0, "it still exists");
                explicit.sides[side].remove(price);
            }
            while cut.sides[side].len() > depth {
                let worst = cut.worst(side).unwrap();
                cut.sides[side].remove(&worst);
            }
        }
        assert_eq!(cut, *window, "whoever cuts holds the window");
        assert_eq!(explicit, *window, "whoever is told what leaves needs not cut");
    }

    proptest! {
        #[test]
        fn follows_like_the_naive_twin(
            depth in 1_usize..8,
            batches in prop::collection::vec(
                prop::collection::vec((any::<bool>(), 1_i64..40, 0_i64..4), 1..12), 1..40),
        ) {
            let mut book = Book::new(1);
            let mut window = Window::new(&book, depth);
            let mut id = 0;
            for batch in batches {
                for (bid, distance, qty) in batch {
                    id += 1;
                    let side = if bid { Side::Buy } else { Side::Sell };
                    let price = if bid { 100 - distance } else { 100 + distance };
                    book.set_crowd(side, price, qty, id);
                }
                compare(&mut window, &mut book, depth);
            }
        }
    }
}
