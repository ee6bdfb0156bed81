//! The filters of a market, checked in a fixed order; the first that fails names itself.

use crate::decimal::value_floor;
use crate::error::ApiError;
use crate::matching::Side;
use crate::symbol::SymbolSpec;

/// Open orders with a stop price that a market takes.
pub const ALGO_ORDERS_MAX: usize = 5;

/// What the filters look at.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Buys or sells.
    pub side: Side,
    /// Limit; `None` for a market order.
    pub price: Option<i64>,
    /// Quantity.
    pub qty: i64,
    /// Last trade's price: the "average" over zero minutes.
    pub last_price: i64,
    /// Own open orders in this market.
    pub open_orders: usize,
    /// Stop price, and how many other orders in this market have one.
    pub stop: Option<(i64, usize)>,
}

/// Applies the filters of `spec`.
///
/// # Errors
/// -1013 "Filter failure: NAME".
pub fn check(spec: &SymbolSpec, order: &Candidate) -> Result<(), ApiError> {
    let fail = |name| Err(ApiError::filter(name));
    if let Some(price) = order.price
        && !(within(price, spec.price_bounds) && price % spec.tick == 0)
    {
        return fail("PRICE_FILTER");
    }
    if let Some((stop, _)) = order.stop
        && !(within(stop, spec.price_bounds) && stop % spec.tick == 0)
    {
        return fail("PRICE_FILTER");
    }
    if let Some(price) = order.price
        && !within_percent(spec, order, price)
    {
        return fail("PERCENT_PRICE_BY_SIDE");
    }
    if !(within(order.qty, spec.qty_bounds) && order.qty % spec.lot == 0) {
        return fail("LOT_SIZE");
    }
    if order.price.is_none() && order.qty > spec.market_qty_max {
        return fail("MARKET_LOT_SIZE");
    }
    let value = value_floor(order.price.unwrap_or(order.last_price), order.qty);
    // The maximum is not applied to market orders (applyMaxToMarket is false).
    let too_large = order.price.is_some() && value > i128::from(spec.notional_bounds.1);
    if value < i128::from(spec.notional_bounds.0) || too_large {
        return fail("NOTIONAL");
    }
    if order.open_orders >= spec.orders_max {
        return fail("MAX_NUM_ORDERS");
    }
    if order.stop.is_some_and(|(_, others)| others >= ALGO_ORDERS_MAX) {
        return fail("MAX_NUM_ALGO_ORDERS");
    }
    Ok(())
}

/// Applies the filters that a smaller quantity of an open order meets.
///
/// # Errors
/// -1013 "Filter failure: NAME".
pub fn check_amend(spec: &SymbolSpec, price: i64, qty: i64) -> Result<(), ApiError> {
    if !(within(qty, spec.qty_bounds) && qty % spec.lot == 0) {
        return Err(ApiError::filter("LOT_SIZE"));
    }
    if value_floor(price, qty) < i128::from(spec.notional_bounds.0) {
        return Err(ApiError::filter("NOTIONAL"));
    }
    Ok(())
}

fn within(value: i64, (low, high): (i64, i64)) -> bool {
    (low..=high).contains(&value)
}

fn within_percent(spec: &SymbolSpec, order: &Candidate, price: i64) -> bool {
    let (price, last) = (i128::from(price), i128::from(order.last_price));
    let times = i128::from(spec.percent);
    price <= last * times && price * times >= last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decimal::ONE;

    fn outcome(change: impl FnOnce(&mut Candidate)) -> String {
        let spec = &SymbolSpec::defaults()[0];
        let mut order = Candidate {
            side: Side::Buy,
            price: Some(60_000 * ONE),
            qty: ONE / 1000,
            last_price: 60_000 * ONE,
            open_orders: 0,
            stop: None,
        };
        change(&mut order);
        check(spec, &order).err().map(|e| e.msg).unwrap_or_default()
    }

    #[test]
    fn each_filter_names_itself() {
        assert_eq!(outcome(|_| {}), "");
        assert_eq!(outcome(|o| o.price = Some(1)), "Filter failure: PRICE_FILTER");
        assert_eq!(outcome(|o| o.price = Some(60_000 * ONE + 1)), "Filter failure: PRICE_FILTER");
        let far = |o: &mut Candidate| o.price = Some(300_001 * ONE);
        assert_eq!(outcome(far), "Filter failure: PERCENT_PRICE_BY_SIDE");
        let low = |o: &mut Candidate| o.price = Some(11_999 * ONE);
        assert_eq!(outcome(low), "Filter failure: PERCENT_PRICE_BY_SIDE");
        assert_eq!(outcome(|o| o.qty = 0), "Filter failure: LOT_SIZE");
        assert_eq!(outcome(|o| o.qty += 1), "Filter failure: LOT_SIZE");
        assert_eq!(outcome(|o| o.qty = 1000), "Filter failure: NOTIONAL");
        assert_eq!(outcome(|o| o.qty = 200 * ONE), "Filter failure: NOTIONAL");
        assert_eq!(outcome(|o| o.open_orders = 200), "Filter failure: MAX_NUM_ORDERS");
        let odd = |o: &mut Candidate| o.stop = Some((60_000 * ONE + 1, 0));
        assert_eq!(outcome(odd), "Filter failure: PRICE_FILTER");
        assert_eq!(outcome(|o| o.stop = Some((60_000 * ONE, 4))), "");
        let many = |o: &mut Candidate| o.stop = Some((60_000 * ONE, 5));
        assert_eq!(outcome(many), "Filter failure: MAX_NUM_ALGO_ORDERS");
        let large = |o: &mut Candidate| (o.price, o.qty) = (None, 90_001 * ONE);
        assert_eq!(outcome(large), "Filter failure: MARKET_LOT_SIZE");
    }
}
