//! Value of the order: the venue's smallest and largest notional (market orders where its flags
//! say so).

use bot4_types::{RefuseReason, notional};

use super::CheckInput;

/// # Errors
/// [`RefuseReason::NotionalMin`] or [`RefuseReason::NotionalMax`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let i = input.instrument()?;
    let value = notional(input.intent.price, input.intent.qty);
    let market = input.intent.kind.is_market();
    if value < i.notional_min && (!market || i.notional_min_market) {
        return Err(RefuseReason::NotionalMin);
    }
    let bound = i.notional_max > 0 && (!market || i.notional_max_market);
    if bound && value > i.notional_max {
        return Err(RefuseReason::NotionalMax);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::{Fixture, ONE};
    use bot4_types::OrderKind;
    use bot4_types::Qty;

    #[test]
    fn the_smallest_notional_binds_market_orders_by_flag() {
        let at = |kind, flag| {
            Fixture::with(|f| {
                f.intent.qty = Qty(ONE / 100);
                f.intent.kind = kind;
                f.instrument.notional_min_market = flag;
            })
            .run(check)
        };
        assert_eq!(Fixture::default().run(check), Ok(()));
        assert_eq!(at(OrderKind::Limit, false), Err(RefuseReason::NotionalMin));
        assert_eq!(at(OrderKind::Market, true), Err(RefuseReason::NotionalMin));
        assert_eq!(at(OrderKind::Market, false), Ok(()));
    }

    #[test]
    fn the_largest_binds_market_orders_by_flag() {
        let venue = |kind| {
            Fixture::with(|f| {
                f.intent.kind = kind;
                f.instrument.notional_max = 99 * i128::from(ONE) * i128::from(ONE);
            })
            .run(check)
        };
        assert_eq!(venue(OrderKind::Limit), Err(RefuseReason::NotionalMax));
        assert_eq!(venue(OrderKind::Market), Ok(()));
    }
    #[test]
    fn the_bounds_are_inside() {
        let at = |min, max| {
            Fixture::with(|f| {
                let value = 100 * i128::from(ONE) * i128::from(ONE);
                (f.instrument.notional_min, f.instrument.notional_max) = (value + min, value + max);
            })
            .run(check)
        };
        assert_eq!(at(0, 0), Ok(()));
        assert_eq!(at(1, 1), Err(RefuseReason::NotionalMin));
        assert_eq!(at(-1, -1), Err(RefuseReason::NotionalMax));
    }
}
