//! A book's life: a start and a long row of changes with the locality of a large coin.
//!
//! Prices lie on a tick of 0.01 at eight decimals around 61,800. Of the changes 12 % lie far out
//! (beyond the ladder's window of 16,384 ticks), the rest near the touch with the density falling
//! outwards; 37 % remove a level that exists. The touch wanders; levels it crosses are removed,
//! as a venue does. A change has 20 levels, bids before asks.

use std::collections::BTreeMap;

use bot4_types::rng::SplitMix64;
use bot4_types::{Level, Side};

/// One tick in price units.
pub const TICK: i64 = 1_000_000;
/// Levels in a change.
pub const LEVELS: usize = 20;
/// Levels a side at the start.
pub const START_LEVELS: usize = 1_000;

const MID_TICKS: i64 = 6_180_000;
const NEAR_TICKS: u64 = 8_000;
const FAR_TICKS: std::ops::Range<u64> = 16_500..400_000;
const FAR_PERCENT: u64 = 12;
const DELETE_PERCENT: u64 = 37;

/// One change: bids, then asks.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// The levels.
    pub levels: [Level; LEVELS],
    /// How many of them are bids.
    pub bids: usize,
}

/// A start and the changes after it.
#[derive(Clone, Debug)]
pub struct Trace {
    /// Levels at the start, best first.
    pub start: [Vec<Level>; 2],
    /// The changes.
    pub changes: Vec<Change>,
    /// Share of removals among all levels of the changes.
    pub delete_share: f64,
    /// Levels at the end, both sides.
    pub end_levels: usize,
}

impl Trace {
    /// A trace of `changes` changes from `seed`.
    #[must_use]
    pub fn draw(changes: usize, seed: u64) -> Self {
        Author::new(seed).write(changes)
    }
}

struct Author {
    rng: SplitMix64,
    mid: i64,
    sides: [BTreeMap<i64, i64>; 2],
    deletes: u64,
    total: u64,
}

impl Author {
    fn new(seed: u64) -> Self {
        let mut author = Self {
            rng: SplitMix64::new(seed),
            mid: MID_TICKS,
            sides: Default::default(),
            deletes: 0,
            total: 0,
        };
        for side in [Side::Buy, Side::Sell] {
            while author.sides[side.index()].len() < START_LEVELS {
                let (price, qty) = (author.price(side), author.qty());
                author.sides[side.index()].insert(price, qty);
            }
        }
        author
    }

    fn write(mut self, count: usize) -> Trace {
        let start = [Side::Buy, Side::Sell].map(|side| self.best_first(side));
        let changes = (0..count).map(|_| self.change()).collect();
        Trace {
            start,
            changes,
            delete_share: self.deletes as f64 / self.total.max(1) as f64,
            end_levels: self.sides.iter().map(BTreeMap::len).sum(),
        }
    }

    fn best_first(&self, side: Side) -> Vec<Level> {
        let level = |(price, qty): (&i64, &i64)| Level { price: *price, qty: *qty };
        let levels = self.sides[side.index()].iter().map(level);
        if side == Side::Buy { levels.rev().collect() } else { levels.collect() }
    }

    fn change(&mut self) -> Change {
        self.mid += self.rng.below(7) as i64 - 3;
        let bids = 6 + self.rng.below(9) as usize;
        let mut levels = [Level::default(); LEVELS];
        for (n, place) in levels.iter_mut().enumerate() {
            *place = self.level(if n < bids { Side::Buy } else { Side::Sell });
            self.total += 1;
        }
        Change { levels, bids }
    }

    fn level(&mut self, side: Side) -> Level {
        if let Some(price) = self.crossed(side) {
            return self.remove(side, price);
        }
        // Steered towards the wanted share, which crossed levels move away from.
        let behind = self.deletes * 100 < self.total * DELETE_PERCENT;
        let chance = if behind { DELETE_PERCENT + 15 } else { DELETE_PERCENT - 15 };
        let price = self.price(side);
        if self.rng.below(100) < chance
            && let Some((found, _)) = self.sides[side.index()].range(price..).next()
        {
            return self.remove(side, *found);
        }
        let qty = self.qty();
        self.sides[side.index()].insert(price, qty);
        Level { price, qty }
    }

    fn remove(&mut self, side: Side, price: i64) -> Level {
        self.sides[side.index()].remove(&price);
        self.deletes += 1;
        Level { price, qty: 0 }
    }

    /// A level of `side` that the touch has moved over.
    fn crossed(&self, side: Side) -> Option<i64> {
        let mid = self.mid * TICK;
        let book = &self.sides[side.index()];
        match side {
            Side::Buy => book.last_key_value().map(|(p, _)| *p).filter(|p| *p >= mid),
            Side::Sell => book.first_key_value().map(|(p, _)| *p).filter(|p| *p <= mid),
        }
    }

    fn price(&mut self, side: Side) -> i64 {
        let away = if self.rng.below(100) < FAR_PERCENT {
            FAR_TICKS.start + self.rng.below(FAR_TICKS.end - FAR_TICKS.start)
        } else {
            // A draw below a draw below a bound: half of them within about 1,500 ticks.
            let reach = 1 + self.rng.below(NEAR_TICKS);
            1 + self.rng.below(reach)
        };
        (self.mid - side.sign() * away as i64) * TICK
    }

    fn qty(&mut self) -> i64 {
        (1 + self.rng.below(200_000) as i64) * 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_what_is_said() {
        let trace = Trace::draw(2_000, 7);
        assert!((trace.delete_share - 0.37).abs() < 0.01, "{}", trace.delete_share);
        let (mut far, mut total) = (0, 0);
        for level in trace.changes.iter().flat_map(|c| c.levels) {
            far += u32::from((level.price - MID_TICKS * TICK).abs() > 16_384 * TICK);
            total += 1;
        }
        let share = f64::from(far) / f64::from(total);
        assert!((0.09..0.15).contains(&share), "far share {share}");
        assert!(trace.end_levels > 2 * START_LEVELS);
    }
}
