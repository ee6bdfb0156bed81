//! Positions at first-in-first-out cost, in exact integers: a queue of lots for each instrument
//! and for each strategy in it, in one table of fixed size.
//!
//! Invariant, as of average cost ([`crate::position`]): `realized - cost` equals the cash that the
//! fills moved, to the unit. A closing fill takes the oldest lots first. "First" is the order in
//! which fills are booked; venues tell the fills of an order in the order of its trade ids. The
//! order decides how profit is split into realised and open, never their sum at a mark.
//!
//! A queue holds [`LOTS_MAX`] lots. A fill at the newest lot's price joins that lot, which loses
//! nothing. A fill that finds the queue full joins the newest lot too, at their common average:
//! the oldest lots, which leave next, stay exact. That is counted ([`LotTable::merged`]).
//!
//! Cost: O(1) a fill that opens, O(lots closed) one that closes. No allocation after construction.

use bot4_types::{Price, Qty, Side, notional};
use serde::{Deserialize, Serialize};

use crate::money::mul_div;

/// Lots of one queue. 32 bytes each; a market maker that is filled in clips seldom holds more.
pub const LOTS_MAX: usize = 32;

/// Quantity bought or sold at one price, or at a common average.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Lot {
    /// Open quantity, positive.
    qty: i128,
    /// Its notional, positive.
    cost: i128,
}

/// A position at first-in-first-out cost; fields as in [`crate::position::Position`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fifo {
    /// Net quantity, quantity units; negative is short.
    pub qty: i128,
    /// What the open quantity cost (long, positive) or brought (short, negative).
    pub cost: i128,
    /// Profit realised by closing, fees not included.
    pub realized: i128,
    first: u16,
    lots: u16,
}

impl Fifo {
    /// Profit not yet realised when the open quantity is worth `price` a unit.
    #[must_use]
    pub fn unrealized(&self, price: Price) -> i128 {
        self.qty.saturating_mul(i128::from(price.0)).saturating_sub(self.cost)
    }

    /// Lots that are open.
    #[must_use]
    pub const fn lots(&self) -> usize {
        self.lots as usize
    }
}

/// The queues. See the module's text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LotTable {
    queues: Box<[Fifo]>,
    lots: Box<[Lot]>,
    capacity: usize,
    merged: u64,
}

impl LotTable {
    /// `queues` empty queues of `capacity` lots each, at least one. Everything is allocated here.
    #[must_use]
    pub fn new(queues: usize, capacity: usize) -> Self {
        let capacity = capacity.clamp(1, usize::from(u16::MAX));
        Self {
            queues: vec![Fifo::default(); queues].into_boxed_slice(),
            lots: vec![Lot::default(); queues * capacity].into_boxed_slice(),
            capacity,
            merged: 0,
        }
    }

    /// The position of `queue`.
    #[must_use]
    pub fn get(&self, queue: usize) -> Option<&Fifo> {
        self.queues.get(queue)
    }

    /// Fills that joined a lot of another price because their queue was full.
    #[must_use]
    pub const fn merged(&self) -> u64 {
        self.merged
    }

    /// Adds what was held before as one lot; against what is held the other way it closes, at the
    /// average price of its cost.
    pub fn take_over(&mut self, queue: usize, qty: Qty, cost: i128) {
        let Some(price) = cost.checked_div(i128::from(qty.0)) else { return };
        let price = i64::try_from(price).unwrap_or(i64::MAX);
        let side = if qty.0 > 0 { Side::Buy } else { Side::Sell };
        let alone = self.queues.get(queue).is_some_and(|fifo| fifo.lots == 0);
        self.apply(queue, side, qty.abs(), Price(price));
        // What the division cut off stays in the cost, where the lot is alone.
        if alone && let Some(fifo) = self.queues.get_mut(queue) {
            let lot = &mut self.lots[queue * self.capacity + usize::from(fifo.first)];
            (lot.cost, fifo.cost) = (cost.saturating_abs(), cost);
        }
    }

    /// Books a fill of `qty` at `price` in `queue`; a fill beyond the open quantity closes it and
    /// opens the other side. An unknown queue is ignored.
    pub fn apply(&mut self, queue: usize, side: Side, qty: Qty, price: Price) {
        let Some(mut fifo) = self.queues.get(queue).copied() else { return };
        let sign = i128::from(side.sign());
        let mut left = qty.0.max(0);
        while left > 0 && fifo.lots > 0 && fifo.qty.signum() == -sign {
            left -= self.close(queue, &mut fifo, sign, left, price);
        }
        if left > 0 {
            self.open(queue, &mut fifo, Qty(left), price);
            fifo.qty = fifo.qty.saturating_add(sign * i128::from(left));
            fifo.cost = fifo.cost.saturating_add(sign * notional(price, Qty(left)));
        }
        self.queues[queue] = fifo;
    }

    /// Closes up to `left` of the oldest lot; returns how much.
    fn close(&mut self, queue: usize, fifo: &mut Fifo, sign: i128, left: i64, price: Price) -> i64 {
        let lot = &mut self.lots[queue * self.capacity + usize::from(fifo.first)];
        // Not above `left`, so it fits.
        let part = i128::from(left).min(lot.qty) as i64;
        let whole = i128::from(part) == lot.qty;
        let cost = if whole { lot.cost } else { mul_div(lot.cost, part.into(), lot.qty) };
        lot.qty -= i128::from(part);
        lot.cost -= cost;
        let gain = notional(price, Qty(part)).saturating_sub(cost);
        fifo.realized = fifo.realized.saturating_sub(sign * gain);
        fifo.qty = fifo.qty.saturating_add(sign * i128::from(part));
        fifo.cost = fifo.cost.saturating_add(sign * cost);
        if whole {
            fifo.first = (fifo.first + 1) % self.capacity as u16;
            fifo.lots -= 1;
        }
        part
    }

    /// Adds a lot, or adds to the newest one.
    fn open(&mut self, queue: usize, fifo: &mut Fifo, qty: Qty, price: Price) {
        let value = notional(price, qty);
        let base = queue * self.capacity;
        let full = fifo.lots() == self.capacity;
        if fifo.lots > 0 {
            let newest = (usize::from(fifo.first) + fifo.lots() - 1) % self.capacity;
            let lot = &mut self.lots[base + newest];
            let same = lot.qty.checked_mul(price.0.into()) == Some(lot.cost);
            if same || full {
                lot.qty = lot.qty.saturating_add(qty.0.into());
                lot.cost = lot.cost.saturating_add(value);
                self.merged += u64::from(!same);
                return;
            }
        }
        let place = (usize::from(fifo.first) + fifo.lots()) % self.capacity;
        self.lots[base + place] = Lot { qty: qty.0.into(), cost: value };
        fifo.lots += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn state(table: &LotTable) -> (i128, i128, i128) {
        table.get(0).map(|f| (f.qty, f.cost, f.realized)).expect("one queue")
    }

    #[test]
    fn the_oldest_lot_leaves_first() {
        let mut t = LotTable::new(1, 4);
        let mut fill = |side, qty, price| {
            t.apply(0, side, Qty(qty), Price(price));
            state(&t)
        };
        assert_eq!(fill(Side::Buy, 10, 100), (10, 1_000, 0));
        assert_eq!(fill(Side::Buy, 10, 110), (20, 2_100, 0));
        assert_eq!(fill(Side::Sell, 5, 120), (15, 1_600, 100));
        assert_eq!(fill(Side::Sell, 20, 100), (-5, -500, 0));
        assert_eq!(fill(Side::Buy, 5, 80), (0, 0, 100));
        assert_eq!(t.get(0).map(Fifo::lots), Some(0), "what is flat has none");
        t.apply(0, Side::Buy, Qty(10), Price(100));
        t.apply(0, Side::Sell, Qty(4), Price(90));
        assert_eq!(t.get(0).map(Fifo::lots), Some(1), "what only closes adds none");
        t.apply(9, Side::Buy, Qty(1), Price(1));
        assert_eq!(t.merged(), 0);
    }

    #[test]
    fn what_was_held_before_leaves_at_its_whole_cost() {
        let mut t = LotTable::new(2, 4);
        t.apply(1, Side::Buy, Qty(10), Price(1));
        t.apply(1, Side::Sell, Qty(10), Price(1));
        t.take_over(1, Qty(3), 10);
        t.take_over(1, Qty(0), 10);
        let state = |t: &LotTable| t.get(1).map(|f| (f.qty, f.cost, f.realized)).expect("two");
        assert_eq!(state(&t), (3, 10, 0));
        t.apply(1, Side::Sell, Qty(3), Price(5));
        assert_eq!(state(&t), (0, 0, 5), "not at three times three");
        t.take_over(1, Qty(-3), -10);
        t.apply(1, Side::Buy, Qty(3), Price(2));
        assert_eq!(state(&t), (0, 0, 9));
    }

    #[test]
    fn a_full_queue_keeps_its_oldest_lots_exact() {
        let mut t = LotTable::new(1, 2);
        for price in [100, 200, 400] {
            t.apply(0, Side::Buy, Qty(10), Price(price));
        }
        assert_eq!((t.merged(), t.get(0).map(Fifo::lots)), (1, Some(2)));
        t.apply(0, Side::Sell, Qty(10), Price(500));
        assert_eq!(state(&t), (20, 6_000, 4_000), "the first lot at its own price");
        t.apply(0, Side::Sell, Qty(10), Price(500));
        assert_eq!(state(&t), (10, 3_000, 6_000), "the others at 300");
        t.apply(0, Side::Buy, Qty(10), Price(300));
        assert_eq!(t.merged(), 1, "an equal price joins without a loss");
    }

    /// The naive twin: a queue without a bound, unit by unit.
    #[derive(Default)]
    struct Naive {
        lots: VecDeque<(i64, i128)>,
        long: bool,
        realized: i128,
    }

    impl Naive {
        fn apply(&mut self, side: Side, qty: i64, price: i64) {
            let buys = side == Side::Buy;
            let mut left = i128::from(qty);
            while left > 0 {
                match self.lots.front_mut() {
                    Some((paid, open)) if self.long != buys => {
                        let part = left.min(*open);
                        let gain = i128::from(price - *paid) * part;
                        self.realized += if buys { -gain } else { gain };
                        *open -= part;
                        left -= part;
                        if *open == 0 {
                            self.lots.pop_front();
                        }
                    }
                    _ => {
                        self.long = buys;
                        self.lots.push_back((price, left));
                        left = 0;
                    }
                }
            }
        }

        fn state(&self) -> (i128, i128, i128) {
            let sign = if self.long { 1 } else { -1 };
            let qty: i128 = self.lots.iter().map(|(_, q)| q).sum();
            let cost: i128 = self.lots.iter().map(|(p, q)| i128::from(*p) * q).sum();
            (sign * qty, sign * cost, self.realized)
        }
    }

    fn fills() -> impl Strategy<Value = Vec<(bool, i64, i64)>> {
        proptest::collection::vec((any::<bool>(), 1i64..1_000_000, 1i64..1_000_000), 0..80)
    }

    fn side(buy: bool) -> Side {
        if buy { Side::Buy } else { Side::Sell }
    }

    proptest! {
        #[test]
        fn equals_the_twin_while_nothing_merges(fills in fills()) {
            let (mut t, mut twin) = (LotTable::new(1, 128), Naive::default());
            for (buy, qty, price) in fills {
                t.apply(0, side(buy), Qty(qty), Price(price));
                twin.apply(side(buy), qty, price);
                prop_assert_eq!(state(&t), twin.state());
            }
            prop_assert_eq!(t.merged(), 0);
        }

        /// Whatever is merged: profit and cost explain the cash, and the queue beside is untouched.
        #[test]
        fn profit_and_cost_explain_the_cash(fills in fills(), capacity in 1usize..6) {
            let mut t = LotTable::new(2, capacity);
            let (mut cash, mut held) = (0i128, 0i128);
            for (buy, qty, price) in fills {
                let side = side(buy);
                t.apply(1, side, Qty(qty), Price(price));
                cash -= i128::from(side.sign()) * notional(Price(price), Qty(qty));
                held += i128::from(side.sign() * qty);
                let f = *t.get(1).expect("a queue");
                prop_assert_eq!((f.realized - f.cost, f.qty), (cash, held));
                prop_assert!(f.lots() <= capacity && (f.qty == 0) == (f.lots() == 0));
                prop_assert!(f.qty != 0 || f.cost == 0, "a flat position costs nothing");
                prop_assert_eq!(f.cost.signum(), f.qty.signum());
            }
            prop_assert_eq!(t.get(0), Some(&Fifo::default()));
        }
    }
}
