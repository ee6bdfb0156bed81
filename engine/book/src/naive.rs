//! The naive twin of the ladder: two sorted trees. For property tests and benches only; it
//! allocates.

use std::collections::BTreeMap;

use bot4_types::{Level, Side};

/// A book as anyone would write it first.
#[derive(Clone, Debug, Default)]
pub struct NaiveBook {
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
}

impl NaiveBook {
    /// An empty book.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the absolute quantity at `price`; a quantity that is not positive removes it.
    pub fn set(&mut self, side: Side, price: i64, qty: i64) {
        let levels = match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        };
        if qty > 0 {
            levels.insert(price, qty);
        } else {
            levels.remove(&price);
        }
    }

    /// Forgets all levels.
    pub fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
    }

    /// The best level of `side`.
    #[must_use]
    pub fn best(&self, side: Side) -> Option<Level> {
        self.iter(side).next()
    }

    /// Levels on `side`.
    #[must_use]
    pub fn levels(&self, side: Side) -> usize {
        match side {
            Side::Buy => self.bids.len(),
            Side::Sell => self.asks.len(),
        }
    }

    /// The levels of `side`, best first.
    pub fn iter(&self, side: Side) -> Box<dyn Iterator<Item = Level> + '_> {
        let level = |(price, qty): (&i64, &i64)| Level { price: *price, qty: *qty };
        match side {
            Side::Buy => Box::new(self.bids.iter().rev().map(level)),
            Side::Sell => Box::new(self.asks.iter().map(level)),
        }
    }

    /// Best bid at or above best ask.
    #[must_use]
    pub fn crossed(&self) -> bool {
        match (self.best(Side::Buy), self.best(Side::Sell)) {
            (Some(bid), Some(ask)) => bid.price >= ask.price,
            _ => false,
        }
    }
}
