//! A seeded, lively market: an anonymous crowd around a fair price that walks at random.
//!
//! The crowd joins and cancels near the touch, takes from it (sweeping one to three levels), moves
//! its quotes after the fair price (stale quotes are taken or pulled), and keeps about a thousand
//! levels a side behind, as dense as they were at the opening: a side that is swept has a next
//! level. Everything is integer and follows from (seed, times of the steps).
//! Cost: one step is a few map operations, some of them a walk along the levels.

use crate::exchange::CrowdOrder;
use crate::matching::{Book, Side};
use crate::rng::Rng;
use crate::symbol::SymbolSpec;

/// How lively a generated market is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activity {
    /// Steps of the crowd a second and market; about a fifth take, half join.
    pub steps_per_second: u32,
    /// Levels a side that the crowd keeps.
    pub levels: usize,
}

impl Default for Activity {
    fn default() -> Self {
        Self { steps_per_second: 400, levels: 1_200 }
    }
}

/// What the crowd does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// An order.
    Order(CrowdOrder),
    /// The youngest crowd order at this level goes.
    Cancel(Side, i64),
}

/// The crowd of one market.
#[derive(Debug)]
pub struct Generator {
    rng: Rng,
    activity: Activity,
    /// Where the walk is pulled back to.
    anchor: i64,
    fair: i64,
    next_ns: u64,
}

/// The walk's largest single move is the fair price divided by this: about 0.3 basis points a
/// second at 400 steps.
const WALK_DIVISOR: i64 = 540_000;
/// Of 1000 quiet steps: takers, then joins, then looks at the first twenty levels; the rest tends
/// the whole side.
const TAKE: u64 = 200;
const JOIN: u64 = 480;
const NEAR: u64 = 220;

impl Generator {
    /// A crowd whose fair price starts at `price`.
    #[must_use]
    pub fn new(rng: Rng, activity: Activity, price: i64) -> Self {
        Self { rng, activity, anchor: price, fair: price, next_ns: 0 }
    }

    /// Orders that make up the book at the start; own orders already in it are not crossed
    /// because they are post-only.
    #[must_use]
    pub fn opening(&mut self, spec: &SymbolSpec) -> Vec<CrowdOrder> {
        let mut orders = Vec::with_capacity(2 * self.activity.levels);
        for side in [Side::Buy, Side::Sell] {
            let mut price = self.fair / spec.tick * spec.tick;
            for n in 0..self.activity.levels {
                let gap = 1 + self.rng.below(1 + n as u64 / 40) as i64;
                price = behind(side, price, gap * spec.tick);
                if price < spec.price_bounds.0 {
                    break;
                }
                orders.push(self.join(spec, side, price));
            }
        }
        orders
    }

    /// When the next step is due (0: never started).
    #[must_use]
    pub fn next_ns(&self) -> u64 {
        self.next_ns
    }

    /// Plans the next step after `now_ns`: gaps are uniform around the mean.
    pub fn plan(&mut self, now_ns: u64) {
        let mean_ns = 1_000_000_000 / u64::from(self.activity.steps_per_second.max(1));
        self.next_ns = now_ns + 1 + self.rng.below(2 * mean_ns);
    }

    /// One step of the crowd.
    pub fn act(&mut self, spec: &SymbolSpec, book: &Book) -> Option<Act> {
        self.walk();
        let (Some((bid, _)), Some((ask, _))) = (book.best(Side::Buy), book.best(Side::Sell)) else {
            let side = if book.best(Side::Buy).is_none() { Side::Buy } else { Side::Sell };
            return self.quote(spec, book, side);
        };
        let edge = spec.tick.max(self.fair / 200_000);
        if ask < self.fair - edge {
            return self.correct(spec, book, Side::Buy, ask);
        }
        if bid > self.fair + edge {
            return self.correct(spec, book, Side::Sell, bid);
        }
        let side = if self.rng.one_in(2) { Side::Buy } else { Side::Sell };
        match self.rng.below(1000) {
            n if n < TAKE => self.take(spec, book, side),
            n if n < TAKE + JOIN => self.quote(spec, book, side),
            n if n < TAKE + JOIN + NEAR => {
                let depth = self.rng.below(20).min(self.rng.below(20)) as usize;
                self.tend(spec, book, side, depth)
            }
            _ => {
                // As many looks at the first ten levels as at the first hundred or thousand.
                let levels = self.activity.levels as u64 >> self.rng.below(8);
                let depth = self.rng.below(levels.max(1)) as usize;
                self.tend(spec, book, side, depth)
            }
        }
    }

    fn walk(&mut self) {
        let step = (self.fair / WALK_DIVISOR).max(1);
        let noise = self.rng.between(-step, step) + self.rng.between(-step, step);
        // A weak pull home keeps the walk within a few percent for days.
        let pull = (self.anchor - self.fair) / 500_000;
        self.fair = (self.fair + noise + pull).clamp(self.anchor / 2, self.anchor * 2);
    }

    /// A quote is stale: somebody informed takes it, or its owner pulls it.
    fn correct(&mut self, spec: &SymbolSpec, book: &Book, side: Side, price: i64) -> Option<Act> {
        if is_thin(book, side.opposite()) {
            self.quote(spec, book, side.opposite())
        } else if self.rng.one_in(2) {
            self.take(spec, book, side)
        } else {
            Some(Act::Cancel(side.opposite(), price))
        }
    }

    /// Takes one to three levels, the last one in part.
    fn take(&mut self, spec: &SymbolSpec, book: &Book, side: Side) -> Option<Act> {
        if is_thin(book, side.opposite()) {
            return self.quote(spec, book, side.opposite());
        }
        let levels = match self.rng.below(10) {
            0..6 => 1,
            6..9 => 2,
            _ => 3,
        };
        let mut qty = 0;
        let mut last = 0;
        for (n, (price, total)) in book.levels(side.opposite()).take(levels).enumerate() {
            let all = n + 1 < levels || self.rng.one_in(3);
            qty += if all { total } else { self.rng.between(spec.lot, total) };
            last = price;
        }
        let qty = (qty / spec.lot * spec.lot).max(spec.lot);
        (last > 0).then_some(Act::Order(CrowdOrder { side, price: Some(last), qty, rests: false }))
    }

    /// Quotes at, in front of, or shortly behind the touch.
    fn quote(&mut self, spec: &SymbolSpec, book: &Book, side: Side) -> Option<Act> {
        let half = spec.tick * self.rng.between(1, 2);
        let target = behind(side, self.fair, half) / spec.tick * spec.tick;
        let price = match book.best(side) {
            None => target,
            Some((best, _)) if better(side, target, best) => target,
            Some((best, _)) if self.rng.one_in(2) => best,
            Some((best, _)) => behind(side, best, self.rng.between(1, 20) * spec.tick),
        };
        let inside = match book.best(side.opposite()) {
            Some((other, _)) if !better(side, other, price) => behind(side, other, spec.tick),
            _ => price,
        };
        let fits = (spec.price_bounds.0..=spec.price_bounds.1).contains(&inside);
        fits.then(|| Act::Order(self.join(spec, side, inside)))
    }

    /// Tends a side down to its level number `n`: one that stands denser than [`distance`] says
    /// loses that level's youngest order, a thinner one gets an order somewhere before it. So what
    /// takers and quotes do to a side heals, near the touch and far away.
    fn tend(&mut self, spec: &SymbolSpec, book: &Book, side: Side, n: usize) -> Option<Act> {
        if is_thin(book, side) {
            return self.quote(spec, book, side);
        }
        let worst = book.worst(side)?;
        let end = behind(side, self.fair, 2 * distance(self.activity.levels) * spec.tick);
        if better(side, end, worst) {
            return Some(Act::Cancel(side, worst));
        }
        let dense = behind(side, self.fair, distance(n) * spec.tick);
        match book.levels(side).nth(n) {
            Some((price, _)) if better(side, price, dense) => Some(Act::Cancel(side, price)),
            _ => self.refill(spec, book, side, n),
        }
    }

    /// An order where one of the first `n` levels should be.
    fn refill(&mut self, spec: &SymbolSpec, book: &Book, side: Side, n: usize) -> Option<Act> {
        let ticks = distance(self.rng.below(1 + n as u64) as usize);
        let price = behind(side, self.fair, ticks * spec.tick) / spec.tick * spec.tick;
        let crosses = book.best(side.opposite()).is_some_and(|(p, _)| !better(side, p, price));
        let fits = (spec.price_bounds.0..=spec.price_bounds.1).contains(&price) && !crosses;
        fits.then(|| Act::Order(self.join(spec, side, price)))
    }

    fn join(&mut self, spec: &SymbolSpec, side: Side, price: i64) -> CrowdOrder {
        let qty = spec.unit_qty / 100 * self.rng.between(1, 200);
        let qty = (qty / spec.lot * spec.lot).max(spec.lot);
        CrowdOrder { side, price: Some(price), qty, rests: true }
    }
}

/// How many ticks from the fair price the level number `n` lies: the first are a tick apart, and
/// every forty another half tick more, which is the mean of what the opening draws.
fn distance(n: usize) -> i64 {
    let n = n as i64;
    1 + n + n * n / 160
}

/// The side has so few levels that the next taker could leave it empty.
fn is_thin(book: &Book, side: Side) -> bool {
    book.level_count(side) < 4
}

/// A price `distance` worse than `price` for an order of `side`.
fn behind(side: Side, price: i64, distance: i64) -> i64 {
    if side == Side::Buy { price - distance } else { price + distance }
}

/// Is `a` a better price than `b` for an order of `side`?
fn better(side: Side, a: i64, b: i64) -> bool {
    if side == Side::Buy { a > b } else { a < b }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(book: &mut Book, id: u64, act: Act) {
        match act {
            Act::Order(order) => _ = book.submit(&order.incoming(id), &mut Vec::new()),
            Act::Cancel(side, price) => _ = book.cancel_crowd(side, price),
        }
    }

    /// Ticks from the fair price to the level number `n` of a side.
    fn reach(generator: &Generator, spec: &SymbolSpec, book: &Book, side: Side, n: usize) -> i64 {
        let far = i64::MAX / 2;
        let price = book.levels(side).nth(n).map_or(far, |(price, _)| price);
        (price - generator.fair).abs() / spec.tick
    }

    /// Ten minutes of a market, looked at every five seconds.
    fn watched(spec: &SymbolSpec, seed: u64, mut look: impl FnMut(&Generator, &Book)) {
        let mut generator = Generator::new(Rng::new(seed), Activity::default(), spec.start_price);
        let mut book = Book::new(1);
        let opening = generator.opening(spec);
        let acts = opening.into_iter().map(|order| Some(Act::Order(order))).collect::<Vec<_>>();
        let opened = acts.len();
        let mut acts = acts.into_iter();
        for step in 0..opened + 600 * 400 {
            let act = acts.next().unwrap_or_else(|| generator.act(spec, &book));
            act.into_iter().for_each(|act| apply(&mut book, step as u64 + 1, act));
            if step >= opened {
                assert!(book.best(Side::Buy).is_some() && book.best(Side::Sell).is_some());
            }
            if step >= opened && step % 2_000 == 0 {
                look(&generator, &book);
            }
        }
    }

    #[test]
    fn a_side_stays_dense_and_is_never_empty() {
        // A tick of the first is so fine that the price moves by many at each step.
        let specs = SymbolSpec::defaults();
        for (spec, times) in [(&specs[0], 12), (&specs[1], 2), (&specs[2], 2)] {
            watched(spec, 1, |generator, book| {
                for side in [Side::Buy, Side::Sell] {
                    let ticks = reach(generator, spec, book, side, 100);
                    let most = times * distance(100);
                    assert!(ticks < most, "{}, {side:?}: level 100 lies at {ticks}", spec.name);
                }
            });
        }
    }
}
