//! From a wish to numbers that the venue accepts: rounded to less risk, checked against the
//! instrument's filters. The gate checks again; this is where nonsense is not even asked for.

use bot4_types::{Instrument, Price, Qty, Side, notional};

use crate::actions::Verdict;

/// Price and quantity on tick and on lot, or why there is no such order.
///
/// A buy's price rounds down and a sell's up, a quantity towards zero (see
/// [`Price::to_tick`], [`Qty::to_lot`]). A filter of zero means "no such rule". The price band
/// around the venue's average price is the gate's business: it knows the average.
pub(crate) fn shape(
    instrument: &Instrument,
    side: Side,
    price: Price,
    qty: Qty,
) -> Result<(Price, Qty), Verdict> {
    let i = instrument;
    if price.0 <= 0 || price.0 > PRICE_MAX {
        return Err(Verdict::PriceBounds);
    }
    let price = price.to_tick(i.tick, side);
    let above = i.price_max.0 > 0 && price > i.price_max;
    if price.0 <= 0 || price < i.price_min || above {
        return Err(Verdict::PriceBounds);
    }
    let qty = qty.to_lot(i.lot);
    if qty.0 <= 0 || qty < i.qty_min {
        return Err(Verdict::SizeMin);
    }
    if i.qty_max.0 > 0 && qty > i.qty_max {
        return Err(Verdict::SizeMax);
    }
    let value = notional(price, qty);
    if value < i.notional_min {
        return Err(Verdict::NotionalMin);
    }
    if i.notional_max > 0 && value > i.notional_max {
        return Err(Verdict::NotionalMax);
    }
    Ok((price, qty))
}

/// Highest price in price units that is believed, whatever the filters say: keeps rounding up
/// and the arithmetic of strategies far from overflow.
pub(crate) const PRICE_MAX: i64 = i64::MAX / 4;

/// Distance of the protective stop in ticks: `bps` hundredths of a percent of `price`, at least
/// one tick.
pub(crate) fn stop_ticks(instrument: &Instrument, price: Price, bps: u32) -> i32 {
    let distance = i128::from(price.0) * i128::from(bps) / 10_000;
    let ticks = distance / i128::from(instrument.tick.max(1));
    i32::try_from(ticks).unwrap_or(i32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::{InstrumentId, Symbol};
    use proptest::prelude::*;

    fn btc() -> Instrument {
        let symbol = Symbol::new("BTCUSDT").expect("short");
        Instrument {
            tick: 1_000_000,
            lot: 1_000,
            qty_min: Qty(1_000),
            qty_max: Qty(900_000_000_000),
            price_min: Price(1_000_000),
            price_max: Price(100_000_000_000_000),
            notional_min: 5 * 10i128.pow(16),
            ..Instrument::bare(InstrumentId(0), symbol, 8)
        }
    }

    proptest! {
        #[test]
        fn shaped_orders_pass_every_filter_and_never_add_risk(
            p in -10i64..200_000_000_000_000, q in -10i64..2_000_000_000_000, sell in any::<bool>(),
        ) {
            let (i, side) = (btc(), if sell { Side::Sell } else { Side::Buy });
            if let Ok((price, qty)) = shape(&i, side, Price(p), Qty(q)) {
                prop_assert_eq!((price.0 % i.tick, qty.0 % i.lot), (0, 0));
                prop_assert!(side.sign() * price.0 <= side.sign() * p && qty.0 <= q);
                prop_assert!(price >= i.price_min && price <= i.price_max);
                prop_assert!(qty >= i.qty_min && qty <= i.qty_max);
                prop_assert!(notional(price, qty) >= i.notional_min);
            }
        }
    }

    #[test]
    fn refusals_name_their_filter() {
        let i = btc();
        let at = |p, q| shape(&i, Side::Buy, Price(p), Qty(q));
        const P: i64 = 6_000_000_000_000;
        assert_eq!(at(P + 1, 100_999), Ok((Price(P), Qty(100_000))));
        assert_eq!(at(0, 1_000), Err(Verdict::PriceBounds));
        assert_eq!(at(i64::MAX, 1_000), Err(Verdict::PriceBounds));
        let unbounded = Instrument { price_max: Price(0), ..i };
        let sell = shape(&unbounded, Side::Sell, Price(i64::MAX), Qty(1_000));
        assert_eq!(sell, Err(Verdict::PriceBounds));
        assert_eq!(at(P, 999), Err(Verdict::SizeMin));
        assert_eq!(at(P, i64::MAX), Err(Verdict::SizeMax));
        assert_eq!(at(P, 8_000), Err(Verdict::NotionalMin));
        assert_eq!(at(P, 9_000), Ok((Price(P), Qty(9_000))));
        let capped = Instrument { notional_max: 1, notional_min: 0, ..i };
        assert_eq!(shape(&capped, Side::Buy, Price(P), Qty(9_000)), Err(Verdict::NotionalMax));
    }

    #[test]
    fn stops_are_positive_and_saturate() {
        let i = btc();
        assert_eq!(stop_ticks(&i, Price(6_000_000_000_000), 100), 60_000);
        assert_eq!(stop_ticks(&i, Price(1), 100), 1);
        assert_eq!(stop_ticks(&Instrument { tick: 0, ..i }, Price(i64::MAX), 10_000), i32::MAX);
    }
}
