//! Sizes of children: on lot, above every minimum of the venue, and so that what is left behind can
//! still be traded.

use bot4_types::{Instrument, Price, Qty};

/// The smallest order of `rules` at `price`, rounded up to a lot.
pub(crate) fn smallest(rules: &Instrument, price: Price) -> i64 {
    let worth = match price.0 {
        p if p > 0 => (rules.notional_min + i128::from(p) - 1) / i128::from(p),
        _ => 0,
    };
    let least = i128::from(rules.qty_min.0).max(worth).max(1);
    i64::try_from(up_to_lot(least, rules.lot)).unwrap_or(i64::MAX)
}

/// The largest order of `rules`.
pub(crate) fn largest(rules: &Instrument) -> i64 {
    if rules.qty_max.0 > 0 { rules.qty_max.to_lot(rules.lot).0 } else { i64::MAX }
}

/// The child of about `wish` that `left` allows at `price`: a whole number of lots, all of `left`
/// when what remained behind it could not be traded. `None`: `left` itself cannot be.
pub(crate) fn child(rules: &Instrument, price: Price, wish: i64, left: Qty) -> Option<Qty> {
    let (least, most) = (smallest(rules, price), largest(rules));
    let left = left.to_lot(rules.lot).0;
    if left < least {
        return None;
    }
    let wish = Qty(wish.max(least)).to_lot(rules.lot).0.min(left);
    let rest = left - wish;
    let qty = if rest > 0 && rest < least { left } else { wish };
    Some(Qty(qty.min(most)))
}

fn up_to_lot(qty: i128, lot: i64) -> i128 {
    let lot = i128::from(lot.max(1));
    (qty + lot - 1) / lot * lot
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::{InstrumentId, Symbol, notional};
    use proptest::prelude::*;

    fn rules(lot: i64, least: i64, worth: i128) -> Instrument {
        let symbol = Symbol::new("AAA").expect("short");
        let bare = Instrument::bare(InstrumentId(0), symbol, 8);
        Instrument { lot, qty_min: Qty(least), notional_min: worth, ..bare }
    }

    proptest! {
        #[test]
        fn children_can_be_traded_and_leave_nothing_that_cannot(
            lot in 1i64..50, least in 0i64..90, worth in 0i128..5_000, price in 1i64..100,
            wish in -5i64..2_000, left in 0i64..2_000,
        ) {
            let (i, price) = (rules(lot, least, worth), Price(price));
            let tradable = |q: i64| q > 0 && q % lot == 0 && q >= least
                && notional(price, Qty(q)) >= worth;
            let (on_lot, found) = (left / lot * lot, child(&i, price, wish, Qty(left)));
            match found {
                None => prop_assert!(!tradable(on_lot)),
                Some(Qty(q)) => {
                    prop_assert!(tradable(q) && q <= left);
                    let behind = on_lot - q;
                    prop_assert!(behind == 0 || tradable(behind), "{q} leaves {behind}");
                    // Not more than was wished, but for a minimum here or behind it.
                    prop_assert!(q <= wish.max(0) || !tradable(wish / lot * lot)
                        || !tradable(on_lot - wish / lot * lot));
                }
            }
        }
    }

    #[test]
    fn a_largest_order_leaves_the_rest_for_later() {
        let i = Instrument { qty_max: Qty(25), ..rules(10, 10, 0) };
        assert_eq!(child(&i, Price(1), 1_000, Qty(1_000)), Some(Qty(20)));
        assert_eq!(child(&i, Price(1), 1, Qty(19)), Some(Qty(10)));
    }
}
