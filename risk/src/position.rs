//! A position at average cost, in exact integers.
//!
//! Invariant: `realized - cost` equals the cash that the fills moved, to the unit. The average
//! is never stored: what rounding leaves behind stays in `cost` and comes out with the last unit.

use bot4_types::{Price, Qty, Side, notional};
use serde::{Deserialize, Serialize};

use crate::money::mul_div;

/// A signed position, its cost and the profit realised so far. Costs and profits are notionals:
/// units of 10^-(price + quantity decimals) of quote asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Net quantity, quantity units; negative is short.
    pub qty: i128,
    /// What the open quantity cost (long, positive) or brought (short, negative).
    pub cost: i128,
    /// Profit realised by closing, fees not included.
    pub realized: i128,
}

impl Position {
    /// Books a fill of `qty` at `price`; a fill beyond the open quantity closes it and opens the
    /// other side at the fill's price.
    pub fn apply(&mut self, side: Side, qty: Qty, price: Price) {
        let sign = i128::from(side.sign());
        let closes = self.qty.signum() == -sign;
        let close =
            if closes { self.qty.saturating_abs().min(i128::from(qty.0)) as i64 } else { 0 };
        if close > 0 {
            let cost_out = self.cost_of(i128::from(close));
            let proceeds = -sign * notional(price, Qty(close));
            self.realized = self.realized.saturating_add(proceeds).saturating_sub(cost_out);
            self.cost = self.cost.saturating_sub(cost_out);
        }
        let open = notional(price, Qty(qty.0 - close));
        self.cost = self.cost.saturating_add(sign * open);
        self.qty = self.qty.saturating_add(sign * i128::from(qty.0));
    }

    /// Adds what was held before: `qty` (negative: short) that cost or brought `cost`. What is held
    /// the other way is not closed against it: its cost is added as it is.
    pub fn take_over(&mut self, qty: Qty, cost: i128) {
        self.qty = self.qty.saturating_add(i128::from(qty.0));
        self.cost = self.cost.saturating_add(cost);
    }

    /// Profit not yet realised when the open quantity is worth `price` a unit.
    #[must_use]
    pub fn unrealized(&self, price: Price) -> i128 {
        self.qty.saturating_mul(i128::from(price.0)).saturating_sub(self.cost)
    }

    /// The cost of `part` of the open quantity: all of it exactly, a part rounded towards zero.
    fn cost_of(&self, part: i128) -> i128 {
        let open = self.qty.saturating_abs();
        if part == open { self.cost } else { mul_div(self.cost, part, open) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn average_cost_flip_and_flat() {
        let mut p = Position::default();
        p.apply(Side::Buy, Qty(10), Price(100));
        p.apply(Side::Buy, Qty(10), Price(110));
        assert_eq!((p.qty, p.cost), (20, 2_100));
        p.apply(Side::Sell, Qty(5), Price(120));
        assert_eq!((p.qty, p.cost, p.realized), (15, 1_575, 75));
        p.apply(Side::Sell, Qty(20), Price(100));
        assert_eq!((p.qty, p.cost, p.realized), (-5, -500, 0));
        assert_eq!(p.unrealized(Price(90)), 50);
        p.apply(Side::Buy, Qty(5), Price(80));
        assert_eq!((p.qty, p.cost, p.realized), (0, 0, 100));
    }

    #[test]
    fn what_was_held_before_is_added_as_it_is() {
        let mut p = Position::default();
        p.take_over(Qty(-4), -420);
        p.take_over(Qty(1), 100);
        assert_eq!((p.qty, p.cost, p.realized), (-3, -320, 0));
    }

    proptest! {
        #[test]
        fn profit_and_cost_explain_the_cash(
            fills in proptest::collection::vec(
                (any::<bool>(), 1i64..1_000_000, 1i64..1_000_000), 0..60,
            )
        ) {
            let mut p = Position::default();
            let (mut cash, mut qty) = (0i128, 0i128);
            for (buy, q, price) in fills {
                let side = if buy { Side::Buy } else { Side::Sell };
                p.apply(side, Qty(q), Price(price));
                cash -= i128::from(side.sign()) * notional(Price(price), Qty(q));
                qty += i128::from(side.sign() * q);
                prop_assert_eq!(p.realized - p.cost, cash);
                prop_assert_eq!(p.qty, qty);
                prop_assert!(p.qty != 0 || p.cost == 0, "a flat position costs nothing");
                prop_assert!(p.cost == 0 || p.cost.signum() == p.qty.signum());
            }
        }
    }
}
